//! The object store: `.cutover/objects/ab/cdef…-444[.n]`.
//!
//! An object is one file's content at one mode, stored once. Its name is the hash of the content, with the first two
//! digits as a directory, and the mode, because a hardlink shares its inode's mode. Objects are read-only. Their
//! mtime is the second of the release that brought them. `.n` is a further copy: it is made if the object has no
//! links left, or if its mtime would make two contents of one path look alike to a browser.
//!
//! An object is published by a rename that replaces nothing, and nothing ever writes to it again. Staging has the
//! same form, so that a whole directory can be published if the store lacks it. A rename between directories waits
//! for every other one on its filesystem, and a first deploy would need one for each file.

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
