//! Scans a tree: entries of the disk become a manifest.
//!
//! The walk (`walk`) goes through directories in parallel, each relative to its own descriptor, and takes the stat of
//! every entry. An entry that is unchanged since the last scan (`snapshot`) costs no more: a file is not read again, a
//! symlink is not resolved, a directory is not listed. Then the tree is laid out as a manifest (`tree`). If nothing has
//! changed, the last scan is the result.
//!
//! An equal stat means an unchanged entry only on the same mount, and only if this kernel sets the times of files
//! there: two images that are mounted in turn may have equal stats.
//!
//! Entries that cannot be deployed are refused by name (`refusal`): sockets, fifos, devices, unreadable files, files
//! that keep changing. A name that vanishes during the walk was removed, and is not in the manifest.
//!
//! Client and server scan with this. The caller says which paths are left out (`rules`), which last scan is known and
//! which file is added. This module knows no ignore files, no git and no database.

pub(crate) mod content;
pub(crate) mod rules;
pub(crate) mod snapshot;
pub(crate) mod stat;

mod known;
mod listing;
mod names;
mod place;
mod progress;
mod refusal;
mod scope;
mod tree;
mod walk;

pub(crate) use refusal::unreadable;
pub(crate) use tree::Generated;
pub(crate) use walk::{WalkRequest, walk};
