//! The wire: frames → frames. Client and agent use it; it names neither of them.
//!
//! `message` and `block` are the content, `frame` carries both, and `lane`s carry only blocks. A connection is a pair
//! of pipes in one process (`pipe`), or SSH, built in (`ssh`) or through the system's `ssh` (`openssh`), to an agent
//! that `bootstrap` starts there.

pub(crate) mod block;
pub(crate) mod bounds;
pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod greeting;
pub(crate) mod lane;
pub(crate) mod last_byte;
pub(crate) mod message;

mod connect;
mod pinned;
pub(crate) mod pipe;

mod agents;
mod bootstrap;
mod login;
mod packing;
mod program;

mod algorithms;
mod evaluation;
mod host_settings;
mod keyword_support;
mod known_hosts;
mod resolution;
mod resolver;
mod ssh_config;

mod ack_meter;
mod authenticate;
mod buffer;
mod identity;
mod interview;
mod key_file;
mod openssh;
mod preface;
mod pump;
mod ssh;
mod ssh_agent;
mod ssh_version;
mod steps;
mod tcp;

pub use agents::BUILD;
pub(crate) use bootstrap::Install;
pub use bootstrap::sudo_words;
pub(crate) use connect::connect;
pub(crate) use connection::Connection;
pub use pinned::PinningOptions;
pub(crate) use resolution::Resolution;
