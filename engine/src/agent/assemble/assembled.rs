//! The result of an assembly.

use crate::agent::stamp::Stamp;
use crate::agent::store::ObjectName;
use crate::manifest::placement::Placements;

/// A complete tree in staging.
pub(crate) struct AssembledTree {
    /// The placement of each file.
    pub(crate) placements: Placements,
    /// For each directory, whether it or one below it was changed.
    pub(crate) touched_below: Vec<bool>,
    /// The last stamp of each directory.
    pub(crate) directories: Vec<Stamp>,
    /// For each entry, the inode of its object; 0 if there is none or it is not known.
    pub(crate) inodes: Vec<u64>,
    /// The further copies that were made.
    pub(crate) further: Vec<ObjectName>,
    /// The number of linked files.
    pub(crate) linked: u64,
    /// The number of copied files, by reason.
    pub(crate) copied: Vec<(String, u64)>,
    /// The number of files whose object was altered or missing.
    pub(crate) unfit: u64,
}
