//! The wanted objects: the new release needs them, and the store lacks them.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::hash::Hash;
use crate::manifest::{Manifest, ObjectKey};

const MISSING: u16 = 0;
const ARRIVED: u16 = u16::MAX;

/// A wanted object, and the entries that will link to it.
#[derive(Debug)]
struct Wanted {
    key: ObjectKey,
    size: u64,
    /// The index of its first entry in `entries`.
    first: u32,
    /// [`MISSING`], [`ARRIVED`], or the number of the receiver that writes it, plus one.
    state: AtomicU16,
}

/// The wanted objects, sorted by key. The entries of one object lie side by side.
#[derive(Debug, Default)]
pub(crate) struct WantedObjects {
    objects: Vec<Wanted>,
    entries: Vec<u32>,
    /// By entry of the manifest: the index of its object, plus one.
    by_entry: Vec<u32>,
}

impl WantedObjects {
    /// Gathers the objects of these entries of a manifest, and skips entries that are not files.
    pub(crate) fn gather(manifest: &Manifest, entries: impl IntoIterator<Item = u32>) -> WantedObjects {
        let with_key = |entry| manifest.file(entry).map(|file| (file.key, entry, file.size));
        let mut sorted: Vec<(ObjectKey, u32, u64)> = entries.into_iter().filter_map(with_key).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let by_entry = vec![0; manifest.len() as usize];
        let mut wanted = WantedObjects { objects: Vec::new(), entries: Vec::with_capacity(sorted.len()), by_entry };
        for (key, entry, size) in sorted {
            if wanted.objects.last().is_none_or(|last| last.key != key) {
                let first = wanted.entries.len() as u32;
                wanted.objects.push(Wanted { key, size, first, state: AtomicU16::new(MISSING) });
            }
            wanted.entries.push(entry);
            wanted.by_entry[entry as usize] = wanted.objects.len() as u32;
        }
        wanted
    }

    /// Returns their memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let lists = size_of_val(&*self.objects) + size_of_val(&*self.entries) + size_of_val(&*self.by_entry);
        lists as u64
    }

    /// Drops the objects that have not arrived. Another round asks for those, so that over all rounds each object is
    /// held once.
    pub(crate) fn into_arrived(mut self) -> WantedObjects {
        if self.missing().next().is_none() {
            return self;
        }
        let mut entries = Vec::new();
        let mut objects = Vec::new();
        self.by_entry.fill(0);
        for at in self.arrived() {
            let Wanted { key, size, .. } = self.objects[at];
            let first = entries.len() as u32;
            objects.push(Wanted { key, size, first, state: AtomicU16::new(ARRIVED) });
            entries.extend_from_slice(self.entries(at));
        }
        let mut arrived = WantedObjects { objects, entries, by_entry: std::mem::take(&mut self.by_entry) };
        for at in 0..arrived.objects.len() {
            let first = arrived.objects[at].first as usize;
            let count = arrived.entries(at).len();
            for entry in &arrived.entries[first..first + count] {
                arrived.by_entry[*entry as usize] = at as u32 + 1;
            }
        }
        arrived
    }

    /// Returns the number of objects.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Returns all entries; those of one object lie side by side.
    pub(crate) fn all_entries(&self) -> &[u32] {
        &self.entries
    }

    /// Finds the object of an entry.
    pub(crate) fn of_entry(&self, entry: u32) -> Option<usize> {
        (*self.by_entry.get(entry as usize)? as usize).checked_sub(1)
    }

    /// Finds an object.
    pub(crate) fn find(&self, key: ObjectKey) -> Option<usize> {
        self.objects.binary_search_by_key(&key, |object| object.key).ok()
    }

    /// Finds the objects with this content, in any mode.
    pub(crate) fn of_hash(&self, hash: &Hash) -> std::ops::Range<usize> {
        let first = self.objects.partition_point(|object| object.key.hash < *hash);
        let count = self.objects[first..].iter().take_while(|object| object.key.hash == *hash).count();
        first..first + count
    }

    /// Returns an object's key.
    pub(crate) fn key(&self, at: usize) -> ObjectKey {
        self.objects[at].key
    }

    /// Returns an object's size in bytes.
    pub(crate) fn size(&self, at: usize) -> u64 {
        self.objects[at].size
    }

    /// Returns the entries that will link to an object, ascending.
    pub(crate) fn entries(&self, at: usize) -> &[u32] {
        let end = self.objects.get(at + 1).map_or(self.entries.len(), |next| next.first as usize);
        &self.entries[self.objects[at].first as usize..end]
    }

    /// Tells whether an object has arrived.
    pub(crate) fn has_arrived(&self, at: usize) -> bool {
        self.objects[at].state.load(Ordering::Acquire) == ARRIVED
    }

    /// Claims an object for a receiver. Returns false if it has arrived or belongs to another receiver.
    pub(crate) fn claim(&self, at: usize, receiver: usize) -> bool {
        let own = receiver as u16 + 1;
        let state = &self.objects[at].state;
        match state.compare_exchange(MISSING, own, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(found) => found == own,
        }
    }

    /// Releases the claim on an object that did not arrive whole.
    pub(crate) fn give_back(&self, at: usize) {
        self.objects[at].state.store(MISSING, Ordering::Release);
    }

    /// Marks an object as arrived.
    pub(crate) fn arrive(&self, at: usize) {
        self.objects[at].state.store(ARRIVED, Ordering::Release);
    }

    /// Returns the objects that have arrived.
    pub(crate) fn arrived(&self) -> impl Iterator<Item = usize> {
        (0..self.objects.len()).filter(|&at| self.has_arrived(at))
    }

    /// Returns the objects that have not arrived.
    pub(crate) fn missing(&self) -> impl Iterator<Item = usize> {
        (0..self.objects.len()).filter(|&at| !self.has_arrived(at))
    }

    /// Returns the first entry of each object that has not arrived, ascending.
    pub(crate) fn missing_entries(&self) -> Vec<u32> {
        let mut entries: Vec<u32> = self.missing().map(|at| self.entries(at)[0]).collect();
        entries.sort_unstable();
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::manifest::{Builder, File};

    #[test]
    fn what_has_arrived_is_found_where_the_rest_is_forgotten() {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        for (name, content) in [(b"a", b"1"), (b"b", b"2"), (b"c", b"1"), (b"d", b"3")] {
            let key = ObjectKey { hash: Hash::of(content), mode: 0o444 };
            builder.file(name, File { key, size: 1 }).unwrap();
        }
        let manifest = builder.finish().unwrap();
        let wanted = WantedObjects::gather(&manifest, 0..4);
        assert_eq!(wanted.of_hash(&Hash::of(b"1")).len(), 1);
        assert_eq!(wanted.of_hash(&Hash::of(b"4")).len(), 0);
        let at = wanted.of_entry(2).unwrap();
        wanted.arrive(at);
        let arrived = wanted.into_arrived();
        assert_eq!((arrived.len(), arrived.all_entries()), (1, &[0, 2][..]));
        assert_eq!([0, 1, 2, 3].map(|entry| arrived.of_entry(entry)), [Some(0), None, Some(0), None]);
        assert!(arrived.has_arrived(0) && arrived.entries(0) == [0, 2]);
        assert_eq!((arrived.key(0).hash, arrived.missing().count()), (Hash::of(b"1"), 0));
        assert_eq!(arrived.into_arrived().len(), 1);
    }
}
