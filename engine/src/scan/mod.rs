//! Scans a tree: entries of the disk become a manifest.
//!
//! The walk (`walk`) goes through directories in parallel, each relative to its own descriptor. Every entry is looked at.
//! What is as the last scan (`snapshot`) knew it costs no more than that look: a file is not read again, a symlink not
//! resolved, a directory not listed. Then what was found is laid out as a manifest (`found`); where nothing has changed, the
//! last scan is the result.
//!
//! What looks as before is as before only on the mount of then, and only where this kernel gives files their times: two
//! images that are mounted in turn may look the same.
//!
//! What cannot be deployed is refused by name (`refusal`): sockets, fifos, devices, what cannot be read, what will not hold
//! still. A name that vanishes while the walk is on its way was removed, and is not there.
//!
//! Client and server scan with this. The caller says what is left out (`rules`), what is known and what is added; ignore
//! files, git and databases are not known here.

pub(crate) mod content;
pub(crate) mod rules;
pub(crate) mod snapshot;
pub(crate) mod stat;

mod found;
mod known;
mod listing;
mod names;
mod place;
mod progress;
mod refusal;
mod scope;
mod walk;

pub(crate) use found::Generated;
pub(crate) use refusal::unreadable;
pub(crate) use walk::{WalkRequest, walk};
