//! The objects that a new release needs and that the store does not have.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::manifest::{Manifest, ObjectKey};

/// One object, and the entries that are to be links to it.
#[derive(Debug)]
struct Wanted {
    key: ObjectKey,
    size: u64,
    /// Where its entries begin in `entries`.
    first: u32,
    /// 0 while it has not arrived, then the lane that holds it, plus one.
    lane: AtomicU16,
}

/// Objects that are wanted, found by key. Entries of one object lie side by side.
#[derive(Debug, Default)]
pub(crate) struct WantedObjects {
    objects: Vec<Wanted>,
    entries: Vec<u32>,
}

impl WantedObjects {
    /// Gathers the objects of the given entries of a manifest; entries that are no files are passed over.
    pub(crate) fn gather(manifest: &Manifest, entries: impl IntoIterator<Item = u32>) -> WantedObjects {
        let with_key = |entry| manifest.file(entry).map(|file| (file.key, entry, file.size));
        let mut sorted: Vec<(ObjectKey, u32, u64)> = entries.into_iter().filter_map(with_key).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut wanted = WantedObjects { objects: Vec::new(), entries: Vec::with_capacity(sorted.len()) };
        for (key, entry, size) in sorted {
            if wanted.objects.last().is_none_or(|last| last.key != key) {
                let first = wanted.entries.len() as u32;
                wanted.objects.push(Wanted { key, size, first, lane: AtomicU16::new(0) });
            }
            wanted.entries.push(entry);
        }
        wanted
    }

    /// Counts the objects.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Finds an object.
    pub(crate) fn find(&self, key: ObjectKey) -> Option<usize> {
        self.objects.binary_search_by_key(&key, |object| object.key).ok()
    }

    /// Returns an object's key.
    pub(crate) fn key(&self, at: usize) -> ObjectKey {
        self.objects[at].key
    }

    /// Returns an object's size in bytes.
    pub(crate) fn size(&self, at: usize) -> u64 {
        self.objects[at].size
    }

    /// Returns the entries that are to be links to an object, ascending.
    pub(crate) fn entries(&self, at: usize) -> &[u32] {
        let end = self.objects.get(at + 1).map_or(self.entries.len(), |next| next.first as usize);
        &self.entries[self.objects[at].first as usize..end]
    }

    /// Returns the lane that holds an object, once it has arrived.
    pub(crate) fn lane(&self, at: usize) -> Option<usize> {
        self.objects[at].lane.load(Ordering::Acquire).checked_sub(1).map(usize::from)
    }

    /// Notes that an object has arrived in a lane. Says whether it was the first to arrive.
    pub(crate) fn arrive(&self, at: usize, lane: usize) -> bool {
        self.objects[at].lane.compare_exchange(0, lane as u16 + 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Returns the objects that have not arrived.
    pub(crate) fn missing(&self) -> impl Iterator<Item = usize> {
        (0..self.objects.len()).filter(|&at| self.lane(at).is_none())
    }

    /// Names the objects that have not arrived by their first entries, ascending.
    pub(crate) fn missing_entries(&self) -> Vec<u32> {
        let mut entries: Vec<u32> = self.missing().map(|at| self.entries(at)[0]).collect();
        entries.sort_unstable();
        entries
    }

    /// Sums the sizes of what has not arrived, each rounded up to whole blocks.
    pub(crate) fn missing_disk_bytes(&self, block_bytes: u64) -> u64 {
        self.missing().map(|at| self.size(at).next_multiple_of(block_bytes)).sum()
    }
}
