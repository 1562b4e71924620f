//! The place where runs are made: the server with its filesystem, and the directories below `--work`.

mod disk;
mod image;
pub(crate) mod laboratory;
mod server;
pub(crate) mod sshd;
