//! The entries of a release being assembled, as they come to be.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::manifest::placement::Placement;

/// What became of each entry.
pub(super) struct Entries {
    /// Where each file came to be: second and copy, packed; 0 where it is not there yet.
    placed: Vec<AtomicU64>,
    /// The inode of the object that each file is a link to, where somebody looked; else 0.
    inodes: Vec<AtomicU64>,
    /// Symlinks and empty files that are there already.
    made: Vec<AtomicBool>,
}

impl Entries {
    /// Begins with nothing made.
    pub(super) fn new(entries: u32) -> Entries {
        let zeros = || (0..entries).map(|_| AtomicU64::new(0)).collect();
        Entries { placed: zeros(), inodes: zeros(), made: (0..entries).map(|_| AtomicBool::new(false)).collect() }
    }

    /// Tells whether a file is there.
    pub(super) fn is_placed(&self, entry: u32) -> bool {
        self.placed[entry as usize].load(Ordering::Relaxed) != 0
    }

    /// Notes where a file came to be.
    pub(super) fn place(&self, entry: u32, placement: Placement, inode: u64) {
        let packed = u64::from(placement.second) << 16 | u64::from(placement.copy);
        self.placed[entry as usize].store(packed, Ordering::Relaxed);
        self.inodes[entry as usize].store(inode, Ordering::Relaxed);
    }

    /// Returns where a file came to be.
    pub(super) fn placement(&self, entry: u32) -> Placement {
        let packed = self.placed[entry as usize].load(Ordering::Relaxed);
        Placement { second: (packed >> 16) as u32, copy: packed as u16 }
    }

    /// Tells whether a symlink or an empty file is there.
    pub(super) fn is_made(&self, entry: u32) -> bool {
        self.made[entry as usize].load(Ordering::Relaxed)
    }

    /// Notes that a symlink or an empty file is there.
    pub(super) fn note_made(&self, entry: u32) {
        self.made[entry as usize].store(true, Ordering::Relaxed);
    }

    /// Forgets what was there.
    pub(super) fn forget(&self) {
        self.placed.iter().for_each(|placed| placed.store(0, Ordering::Relaxed));
        self.made.iter().for_each(|made| made.store(false, Ordering::Relaxed));
    }

    /// Returns how much memory they take.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.placed) + size_of_val(&*self.inodes) + size_of_val(&*self.made)
    }

    /// Returns the inode of each entry's object; 0 where it is none, or nobody looked.
    pub(super) fn into_inodes(self) -> Vec<u64> {
        self.inodes.into_iter().map(AtomicU64::into_inner).collect()
    }
}
