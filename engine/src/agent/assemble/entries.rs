//! The entries of a release that is being assembled.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::manifest::placement::Placement;

/// The state of each entry.
pub(super) struct Entries {
    /// The placement of each file: second and copy, packed; 0 if it is not there yet.
    placed: Vec<AtomicU64>,
    /// The inode of each file's object, if it is known; else 0.
    inodes: Vec<AtomicU64>,
    /// Whether each symlink or empty file is there.
    made: Vec<AtomicBool>,
}

impl Entries {
    /// Begins with no entry there.
    pub(super) fn new(entries: u32) -> Entries {
        let zeros = || (0..entries).map(|_| AtomicU64::new(0)).collect();
        Entries { placed: zeros(), inodes: zeros(), made: (0..entries).map(|_| AtomicBool::new(false)).collect() }
    }

    /// Tells whether a file is there.
    pub(super) fn is_placed(&self, entry: u32) -> bool {
        self.placed[entry as usize].load(Ordering::Relaxed) != 0
    }

    /// Remembers the placement of a file.
    pub(super) fn place(&self, entry: u32, placement: Placement, inode: u64) {
        let packed = u64::from(placement.second) << 16 | u64::from(placement.copy);
        self.placed[entry as usize].store(packed, Ordering::Relaxed);
        self.inodes[entry as usize].store(inode, Ordering::Relaxed);
    }

    /// Returns the placement of a file.
    pub(super) fn placement(&self, entry: u32) -> Placement {
        let packed = self.placed[entry as usize].load(Ordering::Relaxed);
        Placement { second: (packed >> 16) as u32, copy: packed as u16 }
    }

    /// Tells whether a symlink or an empty file is there.
    pub(super) fn is_made(&self, entry: u32) -> bool {
        self.made[entry as usize].load(Ordering::Relaxed)
    }

    /// Marks a symlink or an empty file as there.
    pub(super) fn note_made(&self, entry: u32) {
        self.made[entry as usize].store(true, Ordering::Relaxed);
    }

    /// Forgets all entries.
    pub(super) fn forget(&self) {
        self.placed.iter().for_each(|placed| placed.store(0, Ordering::Relaxed));
        self.made.iter().for_each(|made| made.store(false, Ordering::Relaxed));
    }

    /// Returns their memory, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.placed) + size_of_val(&*self.inodes) + size_of_val(&*self.made)
    }

    /// Returns the inode of each entry's object; 0 if there is none or it is not known.
    pub(super) fn into_inodes(self) -> Vec<u64> {
        self.inodes.into_iter().map(AtomicU64::into_inner).collect()
    }
}
