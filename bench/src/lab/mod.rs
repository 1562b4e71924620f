//! The place where runs are made: the server with its filesystem, and the directories below `--work`.

mod disk;
mod image;
pub(crate) mod lab;
mod server;
pub(crate) mod sshd;
