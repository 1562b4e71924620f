//! The object store: `.cutover/objects/ab/cdef…-444[.n]`.
//!
//! One file's content at one mode, stored once. The name is the content's hash, its first two digits as a directory,
//! then the mode, as a hardlink shares its inode's mode. Objects are read-only and carry the second of the release that
//! brought them as mtime. `.n` is a further copy, where the object has no links left to give or where its mtime would
//! make two contents of one path look alike to a browser.
//!
//! An object is published by a rename that replaces nothing, and nothing ever writes to it again. Staging keeps what
//! arrives in the same form, so that directories which the store does not have yet are published whole: a rename between
//! directories waits for every other on its filesystem, and a first deploy would need one for each file.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use rustix::io::Errno;

use crate::disk::{self, Dir, Kind, SETGID, Stat};
use crate::error::Error;
use crate::file_range::FileRange;
use crate::hash::Hash;
use crate::manifest::placement::Placement;
use crate::manifest::{File as ManifestFile, ObjectKey};

use super::sight::Sight;

/// Directories of `objects/`: one for each first byte of a hash.
pub(crate) const SHARDS: usize = 256;

/// They are for the agent alone.
const SHARD_MODE: u32 = 0o700;

/// One stored object: what it holds, and which copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectName {
    /// Content and mode.
    pub(crate) key: ObjectKey,
    /// 0, or the number of the further copy.
    pub(crate) copy: u16,
}

impl ObjectName {
    /// Returns the whole name as one: `abcdef…-444[.n]`.
    pub(crate) fn flat(&self) -> String {
        let ObjectName { key: ObjectKey { hash, mode }, copy } = self;
        match copy {
            0 => format!("{hash}-{mode:03o}"),
            n => format!("{hash}-{mode:03o}.{n}"),
        }
    }

    /// Reads what [`ObjectName::flat`] made.
    pub(crate) fn parse(flat: &[u8]) -> Option<ObjectName> {
        let text = std::str::from_utf8(flat).ok()?;
        let (hash, rest) = text.split_once('-')?;
        let (mode, copy) = match rest.split_once('.') {
            Some((mode, copy)) if copy.starts_with(|digit: char| ('1'..='9').contains(&digit)) => {
                (mode, copy.parse().ok()?)
            }
            Some(_) => return None,
            None => (rest, 0),
        };
        let is_octal = mode.len() == 3 && mode.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u16::from_str_radix(mode, 8).ok().filter(|mode| is_octal && mode & !0o555 == 0)?;
        Some(ObjectName { key: ObjectKey { hash: hash.parse::<Hash>().ok()?, mode }, copy })
    }

    /// Returns the number of the shard that it is in.
    pub(crate) fn shard(&self) -> usize {
        usize::from(self.key.hash.as_bytes()[0])
    }
}

/// The store, or what is staged for it, with its directories held.
pub(crate) struct Store {
    dir: Dir,
    shards: [OnceLock<Dir>; SHARDS],
    synced: OnceLock<bool>,
    /// Only what this user owns is an object.
    owner: u32,
    /// The group that objects get, where their directory passes its own on.
    group: OnceLock<Option<u32>>,
    put_right: AtomicU64,
}

/// What a look at an object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is as the record says.
    Sound(Stat),
    /// Its mode, mtime or group is another, its owner and size are not: its content decides, see [`Store::put_right`].
    Touched,
    /// It is not there.
    Missing,
    /// Its size or owner is another: something wrote to it, or may write to it whatever its mode, or it was replaced.
    Altered,
}

/// The inodes of all objects, shard by shard as they are asked for.
pub(crate) struct Inodes<'a> {
    store: &'a Store,
    /// The device that the store is on.
    device: u64,
    shards: Vec<OnceLock<Shard>>,
}

/// The objects of one shard with their inodes, sorted by [`sort_key`].
#[derive(Default)]
struct Shard {
    /// Their keys, by themselves: what is searched stays in a processor's cache.
    keys: Vec<u64>,
    listed: Vec<Listed>,
}

/// What an object's key does not say, in 24 bytes: there may be a million.
struct Listed {
    inode: u64,
    /// Eight more bytes of the hash. With the key and the shard that makes 136 bits: nobody finds two contents alike in these.
    tail: u64,
    mode: u16,
    copy: u16,
}

impl Listed {
    fn new(ObjectName { key, copy }: ObjectName, inode: u64) -> Listed {
        Listed { inode, tail: number_at(&key.hash, 9), mode: key.mode, copy }
    }

    fn is(&self, ObjectName { key, copy }: ObjectName) -> bool {
        (self.tail, self.mode, self.copy) == (number_at(&key.hash, 9), key.mode, copy)
    }
}

impl Inodes<'_> {
    /// Tells whether what was looked at is an object. Where it says no, it may be one all the same: some filesystems list
    /// other inodes than they show. `known` is the object's inode, where that is known without listing the shard.
    pub(crate) fn have(&self, name: ObjectName, known: Option<u64>, stat: &Stat) -> Result<bool, Error> {
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
        let mut alike = shard.listed[first..first + alike].iter();
        Ok(alike.any(|listed| listed.is(name) && listed.inode == stat.inode))
    }

    fn shard(&self, number: usize) -> Result<&Shard, Error> {
        match self.shards[number].get() {
            Some(shard) => Ok(shard),
            // Where several threads come here at once, each lists it.
            None => self.store.list(number).map(|shard| self.shards[number].get_or_init(|| shard)),
        }
    }
}

/// Bytes of a hash behind the first, which is the shard's. Numbers are compared faster than names.
fn sort_key(name: ObjectName) -> u64 {
    number_at(&name.key.hash, 1)
}

fn number_at(hash: &Hash, at: usize) -> u64 {
    hash.as_bytes()[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Returns where a key is or would be among sorted ones. They are hashes and lie evenly: it is near where that leads to, and
/// the way there is through neighbours in memory.
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

impl Store {
    /// Holds the store in `objects/`.
    pub(crate) fn new(dir: Dir) -> Store {
        Store {
            dir,
            shards: [const { OnceLock::new() }; SHARDS],
            synced: OnceLock::new(),
            owner: rustix::process::geteuid().as_raw(),
            group: OnceLock::new(),
            put_right: AtomicU64::new(0),
        }
    }

    /// Returns a shard; nothing where it was never made.
    fn shard(&self, number: usize) -> Result<Option<&Dir>, Error> {
        if let Some(dir) = self.shards[number].get() {
            return Ok(Some(dir));
        }
        match self.dir.open_dir(format!("{number:02x}").as_bytes()) {
            Ok(dir) => Ok(Some(self.shards[number].get_or_init(|| dir))),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn ensure_shard(&self, number: usize) -> Result<&Dir, Error> {
        if self.shard(number)?.is_none() {
            let name = format!("{number:02x}");
            let (dir, _) = self.dir.ensure_dir(name.as_bytes(), SHARD_MODE)?;
            return Ok(self.shards[number].get_or_init(|| dir));
        }
        self.shard(number)?.ok_or_else(|| Error::Bug("a shard that was just made is missing".into()))
    }

    /// Looks whether there is an object, whatever its mtime.
    pub(crate) fn stat(&self, name: ObjectName) -> Result<Option<Stat>, Error> {
        let flat = name.flat();
        match self.shard(name.shard())? {
            Some(shard) => shard.stat(&flat.as_bytes()[2..]),
            None => Ok(None),
        }
    }

    /// Tells whether there is an object, or a first further copy of it.
    pub(crate) fn has(&self, key: ObjectKey) -> Result<bool, Error> {
        let names = [0, 1].map(|copy| ObjectName { key, copy });
        let Some(shard) = self.shard(names[0].shard())? else {
            return Ok(false);
        };
        for name in names {
            if shard.stat(&name.flat().as_bytes()[2..])?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the copies of an object that there are: the object itself, and further ones up to a number that is free.
    pub(crate) fn copies(&self, key: ObjectKey) -> Result<Vec<(u16, Stat)>, Error> {
        let mut copies = Vec::new();
        for copy in 0..=u16::MAX {
            match self.stat(ObjectName { key, copy })? {
                Some(stat) => copies.push((copy, stat)),
                None if copy == 0 => {}
                None => break,
            }
        }
        Ok(copies)
    }

    /// Looks at an object that is about to be linked again.
    pub(crate) fn look(&self, key: ObjectKey, size: u64, placement: Placement) -> Result<Look, Error> {
        match self.stat(ObjectName { key, copy: placement.copy })? {
            None => Ok(Look::Missing),
            Some(stat) => self.judge(&stat, key, size, placement),
        }
    }

    /// Says what a look at an object means.
    pub(crate) fn judge(&self, stat: &Stat, key: ObjectKey, size: u64, placement: Placement) -> Result<Look, Error> {
        if !self.is_own(stat) || stat.size != size {
            return Ok(Look::Altered);
        }
        let is_as_made = stat.mode == u32::from(key.mode)
            && stat.has_mtime(placement.second)
            && self.group()?.is_none_or(|group| stat.gid == group);
        Ok(if is_as_made { Look::Sound(*stat) } else { Look::Touched })
    }

    /// Tells whether something is a file of this user's. Another owner may write to it whatever its mode.
    fn is_own(&self, stat: &Stat) -> bool {
        stat.kind == Kind::File && stat.uid == self.owner
    }

    fn group(&self) -> Result<Option<u32>, Error> {
        if let Some(group) = self.group.get() {
            return Ok(*group);
        }
        let stat = self.dir.own_stat()?;
        Ok(*self.group.get_or_init(|| (stat.mode & SETGID != 0).then_some(stat.gid)))
    }

    /// Gives an object that was touched the mode, mtime and group that it should have, if it has its content still. Says
    /// whether that was so. Nobody may write to it any more when its content is read.
    pub(crate) fn put_right(&self, key: ObjectKey, placement: Placement) -> Result<bool, Error> {
        let name = ObjectName { key, copy: placement.copy };
        let file = match self.open(name) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(false),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            Err(error) => return Err(error),
        };
        if !disk::look(&file).is_ok_and(|stat| self.is_own(&stat)) {
            return Ok(false);
        }
        let mode = u32::from(key.mode);
        let grouped = self.group()?.map_or(Ok(()), |group| disk::set_group(&file, group));
        // What cannot be changed is replaced.
        if grouped.and_then(|()| disk::set_mode(&file, mode)).is_err() || !has_hash(&file, key.hash) {
            return Ok(false);
        }
        disk::set_mode_and_mtime(&file, mode, placement.second)
            .map_err(|e| Error::io("set the mtime of", self.path_of(name), e))?;
        self.put_right.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// Counts the objects that were put right.
    pub(crate) fn count_put_right(&self) -> u64 {
        self.put_right.load(Ordering::Relaxed)
    }

    /// Returns the inodes of all objects, as the store's directories have them: a look at each object would take longer
    /// than to list them all.
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
        Ok(Shard { keys, listed: objects.iter().map(|&(name, inode)| Listed::new(name, inode)).collect() })
    }

    /// Looks at every shard: nothing of one that was never made.
    pub(crate) fn sights(&self) -> Result<Vec<Sight>, Error> {
        let sight = |number: usize| {
            let stat = self.dir.stat(format!("{number:02x}").as_bytes())?;
            Ok(stat.filter(|stat| stat.kind == Kind::Directory).map_or_else(Sight::default, |stat| Sight::of(&stat)))
        };
        (0..SHARDS).map(sight).collect()
    }

    /// Links an object to a path below a directory.
    pub(crate) fn link(&self, name: ObjectName, to: &Dir, path: &[u8]) -> Result<(), Errno> {
        let flat = name.flat();
        match self.shards[name.shard()].get() {
            Some(shard) => shard.link(&flat.as_bytes()[2..], to, path),
            None => Err(Errno::NOENT),
        }
    }

    /// Opens an object for reading.
    pub(crate) fn open(&self, name: ObjectName) -> Result<Option<File>, Error> {
        let flat = name.flat();
        match self.shard(name.shard())? {
            Some(shard) => shard.open_file(&flat.as_bytes()[2..]),
            None => Ok(None),
        }
    }

    /// Opens a copy of an object for reading: the first that looks like one. Whether its content is right is for the
    /// caller to find out.
    pub(crate) fn open_any(&self, key: ObjectKey) -> Result<Option<File>, Error> {
        let is_as_made = |stat: &Stat| stat.mode == u32::from(key.mode) && stat.mtime_nanos == 0;
        // Mostly it is that one: it is looked at once it is open.
        if let Ok(Some(file)) = self.open(ObjectName { key, copy: 0 })
            && disk::look(&file).is_ok_and(|stat| self.is_own(&stat) && is_as_made(&stat))
        {
            return Ok(Some(file));
        }
        let mut copies = self.copies(key)?;
        copies.retain(|(_, stat)| self.is_own(stat));
        // One that was touched may have its content all the same.
        copies.sort_by_key(|(_, stat)| !is_as_made(stat));
        Ok(copies.into_iter().find_map(|(copy, _)| self.open(ObjectName { key, copy }).ok().flatten()))
    }

    /// Opens an object that no release names, where it looks like one. Its content is for the caller to find out.
    pub(crate) fn open_orphan(&self, name: ObjectName, size: u64, stat: &Stat) -> Option<File> {
        let second = u32::try_from(stat.mtime).ok()?;
        let look = self.judge(stat, name.key, size, Placement { second, copy: name.copy });
        matches!(look, Ok(Look::Sound(_))).then(|| self.open(name).ok().flatten())?
    }

    /// Reads an object whole; nothing where there is none of its size. Whether its content is right shows in what is made
    /// of it.
    pub(crate) fn content(&self, file: ManifestFile) -> Result<Option<Vec<u8>>, Error> {
        let mut room = vec![0; file.size as usize + 1];
        let is_there = self.read_into(file, &mut room)?;
        room.pop();
        Ok(is_there.then_some(room))
    }

    /// Does the same into memory that has room for one byte more than it should be long.
    pub(crate) fn read_into(&self, file: ManifestFile, room: &mut [u8]) -> Result<bool, Error> {
        let Some(object) = self.open_any(file.key)? else { return Ok(false) };
        let mut len = 0;
        while len < room.len() {
            match object.read_at(&mut room[len..], len as u64) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(false),
            }
            // A file gives less than was asked for only at its end.
            if len as u64 == file.size {
                break;
            }
        }
        Ok(len as u64 == file.size)
    }

    /// Makes an object's file and opens it for writing, instead of what may stand there. Its mode is the one that is
    /// asked for, less the umask.
    pub(crate) fn create(&self, name: ObjectName, mode: u32) -> Result<File, Error> {
        let (shard, flat) = (self.ensure_shard(name.shard())?, name.flat());
        match shard.create_file_with(&flat.as_bytes()[2..], mode) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                shard.remove_file(&flat.as_bytes()[2..])?;
                shard.create_file_with(&flat.as_bytes()[2..], mode)
            }
            other => other,
        }
    }

    /// Opens what stands there for writing, where this user may write it.
    pub(crate) fn open_to_write(&self, name: ObjectName) -> Result<Option<File>, Error> {
        match self.shard(name.shard())? {
            Some(shard) => shard.write_file(&name.flat().as_bytes()[2..]),
            None => Ok(None),
        }
    }

    /// Returns an object's path, for messages.
    pub(crate) fn path_of(&self, name: ObjectName) -> PathBuf {
        let flat = name.flat();
        self.dir.path().join(&flat[..2]).join(&flat[2..])
    }

    /// Moves an object into another store. Says whether the name was free there.
    pub(crate) fn hand_over(&self, name: ObjectName, to: &Store) -> Result<bool, Error> {
        let flat = name.flat();
        let from = self.shard(name.shard())?.ok_or_else(|| Error::Bug(format!("nothing holds {flat}")))?;
        from.rename_new(&flat.as_bytes()[2..], to.ensure_shard(name.shard())?, &flat.as_bytes()[2..])
    }

    /// Moves a shard with all that is in it into another store that has none. Says whether that was to be done so. This
    /// store must not be written to afterwards: it holds what is the other's.
    pub(crate) fn hand_over_shard(&self, number: usize, to: &Store) -> Result<bool, Error> {
        let name = format!("{number:02x}");
        match to.shard(number)? {
            Some(_) => Ok(false),
            None => match self.dir.rename_new(name.as_bytes(), &to.dir, name.as_bytes()) {
                // Some filesystems move files and refuse directories.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::CrossesDevices => Ok(false),
                other => other,
            },
        }
    }

    /// Syncs its filesystem, once. Says whether that was done without an error: only then is content that some other run
    /// wrote on the disk, or not in the cache either once that was dropped.
    pub(crate) fn is_synced(&self) -> bool {
        *self.synced.get_or_init(|| self.dir.sync_filesystem().is_ok())
    }

    /// Makes the names in the given shards durable.
    pub(crate) fn sync(&self, shards: impl IntoIterator<Item = usize>) -> Result<(), Error> {
        for number in shards {
            if let Some(shard) = self.shard(number)? {
                shard.sync()?;
            }
        }
        self.dir.sync()
    }

    /// Moves an object out of the way, where another thread has not done it yet.
    pub(crate) fn set_aside(&self, name: ObjectName, to: &Dir, new_name: &[u8]) -> Result<(), Error> {
        let flat = name.flat();
        let Some(shard) = self.shard(name.shard())? else { return Ok(()) };
        match shard.rename(&flat.as_bytes()[2..], to, new_name) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes an object. Says what disk that frees; nothing where there was no such object.
    pub(crate) fn remove(&self, name: ObjectName) -> Result<Option<u64>, Error> {
        let flat = name.flat();
        let Some(shard) = self.shard(name.shard())? else {
            return Ok(None);
        };
        let Some(stat) = shard.stat(&flat.as_bytes()[2..])? else {
            return Ok(None);
        };
        shard.remove_file(&flat.as_bytes()[2..])?;
        Ok(Some(if stat.links <= 1 { stat.disk_bytes } else { 0 }))
    }

    /// Removes shards in which nothing is left, and the directory of all where none is.
    pub(crate) fn remove_empty(self, above: &Dir, name: &[u8]) -> Result<(), Error> {
        for number in 0..SHARDS {
            self.dir.remove_empty_dir(format!("{number:02x}").as_bytes())?;
        }
        above.remove_empty_dir(name)
    }

    /// Returns the objects in a shard, by name. Names that are no objects are passed over.
    pub(crate) fn in_shard(&self, number: usize) -> Result<Vec<ObjectName>, Error> {
        let Some(shard) = self.shard(number)? else {
            return Ok(Vec::new());
        };
        let prefix = format!("{number:02x}");
        let parse = |rest: Vec<u8>| ObjectName::parse(&[prefix.as_bytes(), &rest].concat());
        Ok(shard.names()?.into_iter().filter_map(parse).collect())
    }

    /// Calls `found` for each object in the store.
    pub(crate) fn for_each(&self, mut found: impl FnMut(ObjectName) -> Result<(), Error>) -> Result<(), Error> {
        (0..SHARDS).try_for_each(|number| self.in_shard(number)?.into_iter().try_for_each(&mut found))
    }

    /// Counts the objects, and sums the disk that they take, in bytes.
    pub(crate) fn use_of_disk(&self) -> Result<(u64, u64), Error> {
        let of_shard = |number| {
            let mut disk_bytes = 0;
            let names = self.in_shard(number)?;
            for &name in &names {
                disk_bytes += self.stat(name)?.map_or(0, |stat| stat.disk_bytes);
            }
            Ok((names.len() as u64, disk_bytes))
        };
        let sum = |one: (u64, u64), other: (u64, u64)| Ok((one.0 + other.0, one.1 + other.1));
        (0..SHARDS).into_par_iter().map(of_shard).try_reduce(|| (0, 0), sum)
    }

    /// Returns all objects that are due.
    pub(crate) fn all(&self, is_due: impl Fn(&ObjectName) -> bool) -> Result<HashSet<ObjectName>, Error> {
        let mut all = HashSet::new();
        self.for_each(|name| {
            all.extend(Some(name).filter(&is_due));
            Ok(())
        })?;
        Ok(all)
    }
}

/// Tells whether an open file has the content that a hash names.
pub(crate) fn has_hash(file: &File, hash: Hash) -> bool {
    FileRange::whole(file).hash().is_ok_and(|(own, _)| own == hash)
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

    #[test]
    fn names_of_objects_read_back_and_others_are_not_taken_for_them() {
        let key = ObjectKey { hash: Hash::of(b"content"), mode: 0o555 };
        for copy in [0, 1, 65535] {
            let name = ObjectName { key, copy };
            assert_eq!(ObjectName::parse(name.flat().as_bytes()), Some(name));
        }
        let flat = ObjectName { key, copy: 0 }.flat();
        let short = &flat[..flat.len() - 4];
        for wrong in
            [format!("{flat}.0"), format!("{flat}.01"), format!("{short}-644"), format!("{short}-55"), short.to_owned()]
        {
            assert_eq!(ObjectName::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
