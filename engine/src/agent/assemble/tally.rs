//! The counts of an assembly: linked files, copied files, unfit objects.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts. Any thread may add to them.
#[derive(Default)]
pub(super) struct Tally {
    linked: AtomicU64,
    /// The number of copied files, by reason.
    copied: Mutex<BTreeMap<String, u64>>,
    /// The unfit entries that still need content.
    unfit: Mutex<Vec<u32>>,
    /// The number of times that an object was unfit.
    unfit_total: AtomicU64,
}

impl Tally {
    /// Counts a linked file.
    pub(super) fn link(&self) {
        self.linked.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a copied file.
    pub(super) fn copy(&self, reason: &str) {
        *self.copied.lock().expect("no assembler panics").entry(reason.to_owned()).or_insert(0) += 1;
    }

    /// Counts a file whose object was altered or missing.
    pub(super) fn find_unfit(&self, entry: u32) {
        self.unfit_total.fetch_add(1, Ordering::Relaxed);
        self.unfit.lock().expect("no assembler panics").push(entry);
    }

    /// Counts unfit objects whose entries are known to lack their content.
    pub(super) fn count_unfit(&self, objects: u64) {
        self.unfit_total.fetch_add(objects, Ordering::Relaxed);
    }

    /// Returns the unfit entries, and forgets them.
    pub(super) fn take_unfit(&self) -> Vec<u32> {
        std::mem::take(&mut *self.unfit.lock().expect("no assembler panics"))
    }

    /// Returns the number of linked files.
    pub(super) fn linked(&self) -> u64 {
        self.linked.load(Ordering::Relaxed)
    }

    /// Returns the number of copied files, by reason.
    pub(super) fn copied(&self) -> Vec<(String, u64)> {
        self.copied.lock().expect("no assembler panics").clone().into_iter().collect()
    }

    /// Returns the number of times that an object was unfit.
    pub(super) fn unfit(&self) -> u64 {
        self.unfit_total.load(Ordering::Relaxed)
    }
}
