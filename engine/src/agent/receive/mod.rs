//! Receives content: blocks → verified files in staging, linked at once to where they belong.
//!
//! Each receiver is a thread with a bounded queue of its own, so memory is bounded by queues and receivers. An object
//! belongs to the receiver that began to write it. The parts of one large file always go to the same one. They are hashed
//! as they are written; what comes before its turn, as it may over several connections, is written where it belongs and
//! read again when its turn comes. Until then it lies behind a hole, from which a later run sees where the beginning
//! ends. Content whose hash is not what the manifest says is dropped: it stays wanted.
//!
//! Where the manifest promises a hash, the content is what gives it: it is staged under the hash that it has, and linked
//! when the manifest's root has proved all of them.

mod promise;
mod wanted;

mod receiver;
mod receivers;

mod large;
mod part;
mod small;

mod flush;
mod inlets;
pub(crate) mod resume;

mod first_error;

#[cfg(test)]
mod tests;

pub(crate) use first_error::FirstError;
pub(crate) use inlets::Inlets;
pub(crate) use promise::Promise;
pub(crate) use receiver::{RECEIVER_BYTES, Reception};
pub(crate) use receivers::Receivers;
pub(crate) use wanted::WantedObjects;
