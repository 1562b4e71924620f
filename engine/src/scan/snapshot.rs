//! The result of a scan, for its caller and for the next scan.
//!
//! The next scan takes the stat of every entry. If it equals the stat here, the content, the target or the names are
//! those here, and are not read again.

use crate::hash::Hash;
use crate::manifest::{File, Manifest};
use crate::scan::stat::FileStat;

/// An entry that changed less than this before a scan is not trusted by the next. Two seconds cover the coarsest clocks
/// in use (FAT, some network filesystems) and a server's clock that is a little off.
const RACY_NANOS: i64 = 2_000_000_000;

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// The stat of each entry of the tree. A generated file has the default.
    pub(crate) stats: Vec<FileStat>,
    /// The stat of the tree itself.
    pub(crate) root: FileStat,
    /// The mount of the tree, as [`crate::disk::mount_of_own_times`] names it. Only on the same mount an equal stat
    /// means an unchanged entry.
    pub(crate) mount: Option<Hash>,
    /// The hash of the rules at the beginning of the scan.
    pub(crate) rules: Hash,
    /// The directories with their own file of rules, ascending, and the hash of each file.
    pub(crate) rule_files: Vec<(u32, Hash)>,
    /// The directories with the name that the rules note, deployed or not, ascending.
    pub(crate) noted: Vec<u32>,
    /// The entries of files with capabilities, ascending.
    pub(crate) capable: Vec<u32>,
    /// The begin of the scan, in nanoseconds since 1970.
    pub(crate) began: i64,
}

impl Snapshot {
    /// Tells whether an entry is generated: its content is not in the tree.
    pub(crate) fn is_generated(&self, index: u32) -> bool {
        self.stats[index as usize] == FileStat::default()
    }

    /// Returns the generated file and its entry. It is in the root.
    pub(crate) fn generated(&self) -> Option<(u32, File)> {
        let named = self.manifest.children(0).find(|named| self.is_generated(named.index))?;
        Some((named.index, self.manifest.file(named.index)?))
    }

    /// Tells whether an entry is unchanged. An entry that changed twice within one tick of the filesystem's clock, once
    /// before that scan and once after, has the same stat both times (git calls such entries racy).
    pub(crate) fn is_unchanged(&self, before: &FileStat, now: &FileStat) -> bool {
        before == now && self.is_older(now)
    }

    /// Tells whether something has surely not changed since that scan began.
    pub(crate) fn is_older(&self, stat: &FileStat) -> bool {
        stat.mtime.max(stat.ctime) < self.began - RACY_NANOS
    }

    /// Returns the hash of a directory's own file of rules, if it had one.
    pub(crate) fn rule_file(&self, directory: u32) -> Option<Hash> {
        let at = self.rule_files.binary_search_by_key(&directory, |&(directory, _)| directory).ok()?;
        Some(self.rule_files[at].1)
    }

    /// Tells whether a directory had the name that the rules note.
    pub(crate) fn has_noted(&self, directory: u32) -> bool {
        self.noted.binary_search(&directory).is_ok()
    }

    /// Tells whether the file of an entry had capabilities.
    pub(crate) fn is_capable(&self, index: u32) -> bool {
        self.capable.binary_search(&index).is_ok()
    }
}
