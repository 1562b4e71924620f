//! The hashes that a manifest promises: their content is sent right behind the manifest.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use crate::hash::Hash;
use crate::manifest::ObjectKey;

/// The entries with promised hashes, and the hashes of the content that arrived.
#[derive(Debug, Default)]
pub(crate) struct Promise {
    /// Ascending.
    entries: Vec<u32>,
    hashes: Mutex<Hashes>,
}

#[derive(Debug, Default)]
struct Hashes {
    hashes: HashMap<u32, Hash>,
    keys: HashSet<ObjectKey>,
}

impl Promise {
    /// Makes a promise for these entries, ascending.
    pub(crate) fn new(entries: Vec<u32>) -> Promise {
        Promise { entries, hashes: Mutex::default() }
    }

    /// Returns the entries, ascending.
    pub(crate) fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// Tells whether the hash of an entry is promised.
    pub(crate) fn includes(&self, entry: u32) -> bool {
        self.entries.binary_search(&entry).is_ok()
    }

    /// Remembers the object of an entry. Returns false if another entry already has the same object.
    pub(crate) fn add_hash(&self, entry: u32, key: ObjectKey) -> bool {
        let mut hashes = self.hashes.lock().expect("no receiver panics");
        let is_first = hashes.keys.insert(key);
        if is_first {
            hashes.hashes.insert(entry, key.hash);
        }
        is_first
    }

    /// Returns the hash of an entry's content, if it has arrived.
    pub(crate) fn hash(&self, entry: u32) -> Option<Hash> {
        self.hashes.lock().expect("no receiver panics").hashes.get(&entry).copied()
    }
}
