//! The wire: frames → frames. Both sides name this; it names only the nouns.
//!
//! What is said (`message`, `block`, in `frame`s; `lane`s carry blocks alone), and how two sides get to speak: through `pipe`s in one process, or
//! over SSH, built in (`ssh`) or through the system's `ssh` (`openssh`), with an agent that `bootstrap` brings there.

pub(crate) mod block;
pub(crate) mod bounds;
pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod greeting;
pub(crate) mod heard;
pub(crate) mod lane;
pub(crate) mod message;

mod connect;
pub(crate) mod pipe;

mod bootstrap;
mod login;
mod packing;
mod program;

mod algorithms;
mod evaluation;
mod host_settings;
mod known_hosts;
mod resolution;
mod resolver;
mod ssh_config;
mod standing;

mod arrived;
mod authenticate;
mod buffer;
mod key_file;
mod openssh;
mod preface;
mod pump;
mod ssh;
mod steps;
mod tcp;

pub(crate) use bootstrap::Install;
pub(crate) use connect::connect;
pub(crate) use connection::Connection;
pub use program::BUILD;
pub(crate) use resolution::Resolution;
