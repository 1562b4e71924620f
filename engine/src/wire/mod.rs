//! The wire: frames → frames. Both sides name this; it names only the nouns.

pub(crate) mod block;
pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod message;
pub(crate) mod pipe;
