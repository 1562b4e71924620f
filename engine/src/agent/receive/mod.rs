//! Receives content: blocks → verified files in staging, linked into the new tree at once.
//!
//! Each receiver is a thread with a bounded queue, so the number of receivers bounds the memory. An object belongs to
//! the receiver that began to write it, and all parts of a large file go to one receiver. It hashes them as it writes
//! them. With several connections a part may arrive early: it is written to its place, and read again when its turn
//! comes. Until then a hole lies before it, and a later run sees from that hole where the beginning ends. Content
//! with the wrong hash is dropped, and stays wanted.
//!
//! If the manifest promises a hash, the content gives it: it is staged under its own hash, and linked when the root
//! of the manifest has proved all hashes.

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
