//! The wire: frames → frames. Both sides name this; it names only the nouns.

mod connection;
mod greeting;

mod connect;

mod bootstrap;
mod login;
mod program;

mod host_settings;
mod known_hosts;
mod ssh_config;

mod authenticate;
mod openssh;
mod pump;
mod ssh;
mod tcp;

pub(crate) use connect::{Install, connect};
pub(crate) use connection::{Carrier, Connection};
pub(crate) use greeting::{PROTOCOL_VERSION, read_greeting, write_greeting};
