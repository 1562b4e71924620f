//! A directory that the last scan knew.

use crate::manifest::{EntryRef, Node};
use crate::scan::snapshot::Snapshot;
use crate::scan::stat::FileStat;
use crate::scan::tree::{Branch, ScannedEntry, ScannedNode};

/// See the module's description.
#[derive(Clone, Copy)]
pub(super) struct KnownDirectory<'a> {
    /// The last scan.
    pub(super) known: &'a Snapshot,
    /// The number in the last scan.
    pub(super) number: u32,
    /// The stat in the last scan.
    pub(super) stat: &'a FileStat,
}

impl<'a> KnownDirectory<'a> {
    /// Returns the directory of an entry in this one. None if the entry is not a directory.
    pub(super) fn below(self, index: u32) -> Option<KnownDirectory<'a>> {
        match self.known.manifest.node(index) {
            Node::Directory(number) => Some(KnownDirectory { number, stat: &self.known.stats[index as usize], ..self }),
            _ => None,
        }
    }

    /// Returns the entries in the last scan, without the generated file.
    pub(super) fn children(self) -> impl Iterator<Item = EntryRef<'a>> {
        let KnownDirectory { known, number, .. } = self;
        known.manifest.children(number).filter(|named| !known.is_generated(named.index))
    }

    /// Tells whether `entries` are all entries of the last scan, unchanged.
    pub(super) fn is_all_of(self, entries: &[ScannedEntry]) -> bool {
        let is_same =
            |entry: &ScannedEntry| matches!(entry.node, ScannedNode::Same(_) | ScannedNode::Directory(Branch::Same(_)));
        self.children().count() == entries.len() && entries.iter().all(is_same)
    }
}
