//! What an assembly counts: files that were linked, copied, or whose object was found unfit.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts, from any thread.
#[derive(Default)]
pub(super) struct Tally {
    linked: AtomicU64,
    /// By reason.
    copied: Mutex<BTreeMap<String, u64>>,
    /// Entries whose object was found unfit, and for which nothing else was done yet.
    unfit: Mutex<Vec<u32>>,
    /// How often an object was found unfit.
    unfit_total: AtomicU64,
}

impl Tally {
    /// Counts a file that was linked.
    pub(super) fn link(&self) {
        self.linked.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a file that was copied.
    pub(super) fn copy(&self, reason: &str) {
        *self.copied.lock().expect("no assembler panics").entry(reason.to_owned()).or_insert(0) += 1;
    }

    /// Counts a file whose object was changed or gone.
    pub(super) fn find_unfit(&self, entry: u32) {
        self.unfit_total.fetch_add(1, Ordering::Relaxed);
        self.unfit.lock().expect("no assembler panics").push(entry);
    }

    /// Returns the entries whose object was found unfit, and forgets them.
    pub(super) fn take_unfit(&self) -> Vec<u32> {
        std::mem::take(&mut *self.unfit.lock().expect("no assembler panics"))
    }

    /// Returns how many files were linked.
    pub(super) fn linked(&self) -> u64 {
        self.linked.load(Ordering::Relaxed)
    }

    /// Returns how many files were copied, by reason.
    pub(super) fn copied(&self) -> Vec<(String, u64)> {
        self.copied.lock().expect("no assembler panics").clone().into_iter().collect()
    }

    /// Returns how often an object was found unfit.
    pub(super) fn unfit(&self) -> u64 {
        self.unfit_total.load(Ordering::Relaxed)
    }
}
