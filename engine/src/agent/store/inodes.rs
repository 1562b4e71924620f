//! The inodes of all objects, read from the store's directories.

use std::sync::OnceLock;

use crate::disk::Stat;
use crate::error::Error;
use crate::hash::Hash;

use super::name::ObjectName;
use super::objects::{SHARDS, Store};

/// The inodes of all objects. Each shard is listed when it is first needed.
pub(crate) struct Inodes<'a> {
    store: &'a Store,
    /// The device of the store.
    device: u64,
    shards: Vec<OnceLock<Shard>>,
}

/// The objects of one shard with their inodes, sorted by [`sort_key`].
#[derive(Default)]
struct Shard {
    /// The keys, apart from the rest, so that a search stays in the processor's cache.
    keys: Vec<u64>,
    entries: Vec<InodeEntry>,
}

/// The properties of an object beyond its key, in 24 bytes, as there may be a million.
struct InodeEntry {
    inode: u64,
    /// Eight more bytes of the hash. With key and shard that makes 136 bits: nobody can find two contents that agree
    /// in these.
    tail: u64,
    mode: u16,
    copy: u16,
}

impl InodeEntry {
    fn new(ObjectName { key, copy }: ObjectName, inode: u64) -> InodeEntry {
        InodeEntry { inode, tail: number_at(&key.hash, 9), mode: key.mode, copy }
    }

    fn is(&self, ObjectName { key, copy }: ObjectName) -> bool {
        (self.tail, self.mode, self.copy) == (number_at(&key.hash, 9), key.mode, copy)
    }
}

impl Inodes<'_> {
    /// Tells whether a file is the object of this name. The answer no may be wrong: some filesystems list other
    /// inodes than they show. `known` is the object's inode, if it is known without listing the shard.
    pub(crate) fn has(&self, name: ObjectName, known: Option<u64>, stat: &Stat) -> Result<bool, Error> {
        if stat.device != self.device {
            return Ok(false);
        }
        if let Some(inode) = known {
            return Ok(inode == stat.inode);
        }
        let shard = self.shard(name.shard())?;
        let key = sort_key(name);
        let first = first_not_below(&shard.keys, key);
        let alike = shard.keys[first..].iter().take_while(|&&other| other == key).count();
        let mut alike = shard.entries[first..first + alike].iter();
        Ok(alike.any(|entries| entries.is(name) && entries.inode == stat.inode))
    }

    fn shard(&self, number: usize) -> Result<&Shard, Error> {
        match self.shards[number].get() {
            Some(shard) => Ok(shard),
            // If several threads come here at once, each lists the shard.
            None => self.store.list(number).map(|shard| self.shards[number].get_or_init(|| shard)),
        }
    }
}

impl Store {
    /// Returns the inodes of all objects. Listing the directories takes less time than a stat of each object.
    pub(crate) fn inodes(&self) -> Result<Inodes<'_>, Error> {
        let device = self.dir.own_stat()?.device;
        Ok(Inodes { store: self, device, shards: (0..SHARDS).map(|_| OnceLock::new()).collect() })
    }

    fn list(&self, number: usize) -> Result<Shard, Error> {
        let Some(shard) = self.shard(number)? else { return Ok(Shard::default()) };
        let mut flat = format!("{number:02x}").into_bytes();
        let mut objects = Vec::new();
        for (name, inode) in shard.names_and_inodes()? {
            flat.truncate(2);
            flat.extend_from_slice(&name);
            objects.extend(ObjectName::parse(&flat).map(|name| (name, inode)));
        }
        objects.sort_unstable_by_key(|&(name, _)| sort_key(name));
        let keys = objects.iter().map(|&(name, _)| sort_key(name)).collect();
        Ok(Shard { keys, entries: objects.iter().map(|&(name, inode)| InodeEntry::new(name, inode)).collect() })
    }
}

/// Returns the eight bytes of the hash behind the first one, which is the shard's. Numbers are compared faster than
/// names.
fn sort_key(name: ObjectName) -> u64 {
    number_at(&name.key.hash, 1)
}

fn number_at(hash: &Hash, at: usize) -> u64 {
    hash.as_bytes()[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Returns the index of the first key that is not less. Keys are parts of hashes and evenly spread, so the search
/// begins at the proportional place and goes through neighbours in memory.
fn first_not_below(keys: &[u64], key: u64) -> usize {
    let mut at = ((key as u128 * keys.len() as u128) >> 64) as usize;
    while at > 0 && keys[at - 1] >= key {
        at -= 1;
    }
    while at < keys.len() && keys[at] < key {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_wherever_the_keys_lie() {
        for keys in [&[][..], &[7], &[0, 0, 1, 2, 3], &[u64::MAX - 2, u64::MAX, u64::MAX], &[0, 1 << 62, 1 << 63]] {
            for key in keys.iter().flat_map(|key| [key.saturating_sub(1), *key, key.saturating_add(1)]).chain([0, 9]) {
                assert_eq!(first_not_below(keys, key), keys.partition_point(|&other| other < key), "{key} in {keys:?}");
            }
        }
    }
}
