//! The object store: `.cutover/objects/ab/cdef…-444[.n]`.
//!
//! One file's content at one mode, stored once. The name is the content's hash, its first two digits as a directory,
//! then the mode, as a hardlink shares its inode's mode. Objects are read-only and carry the second of the release that
//! brought them as mtime. `.n` is a further copy, where the object has no links left to give or where its mtime would
//! make two contents of one path look alike to a browser.
//!
//! An object is published by a rename that replaces nothing, and nothing ever writes to it again. Staging keeps what
//! arrives in the same form, so that directories which the store does not have yet are published whole: a rename between
//! directories waits for every other on its filesystem, and a first deploy would need one for each file.

mod content;
mod inodes;
mod name;
mod objects;
mod state;

pub(crate) use content::has_hash;
pub(crate) use inodes::Inodes;
pub(crate) use name::ObjectName;
pub(crate) use objects::{SHARDS, Store};
pub(crate) use state::ObjectState;
