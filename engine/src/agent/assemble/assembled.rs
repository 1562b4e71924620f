//! What an assembly comes to.

use crate::agent::stamp::Stamp;
use crate::agent::store::ObjectName;
use crate::manifest::placement::Placements;

/// A release that is complete in staging.
pub(crate) struct AssembledTree {
    /// Where each file came to be.
    pub(crate) placements: Placements,
    /// For each directory, whether it or one below it was touched.
    pub(crate) touched_below: Vec<bool>,
    /// The directories, by number, as they were looked at last.
    pub(crate) directories: Vec<Stamp>,
    /// The inode of each entry's object; 0 where it is none, or nobody looked.
    pub(crate) inodes: Vec<u64>,
    /// The objects that were made beside those that arrived.
    pub(crate) further: Vec<ObjectName>,
    /// Files that were linked.
    pub(crate) linked: u64,
    /// Files that were copied, by reason.
    pub(crate) copied: Vec<(String, u64)>,
    /// Files whose object was changed or gone.
    pub(crate) unfit: u64,
}
