//! The directories of a store: makes, moves, lists and removes objects.
//!
//! A shard is a directory of `objects/`. It is opened when it is first needed, and held from then on.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use rayon::prelude::*;
use rustix::io::Errno;

use crate::agent::stamp::Stamp;
use crate::disk::{Dir, Kind, NewFile, Stat, Usage};
use crate::error::Error;

use super::name::ObjectName;

/// The number of shards: one for each first byte of a hash.
pub(crate) const SHARDS: usize = 256;

/// Shards are for the agent alone.
const SHARD_MODE: u32 = 0o700;

/// A store, or the objects in staging, with its directories held.
pub(crate) struct Store {
    pub(super) dir: Dir,
    shards: [OnceLock<Dir>; SHARDS],
    synced: OnceLock<bool>,
    /// The owner of all objects. A file of another user is not an object.
    pub(super) owner: u32,
    /// The group of new objects, if their directory passes its own on.
    pub(super) group: OnceLock<Option<u32>>,
    pub(super) restored_objects: AtomicU64,
}

impl Store {
    /// Makes a store of an `objects/` directory.
    pub(crate) fn new(dir: Dir) -> Store {
        Store {
            dir,
            shards: [const { OnceLock::new() }; SHARDS],
            synced: OnceLock::new(),
            owner: rustix::process::geteuid().as_raw(),
            group: OnceLock::new(),
            restored_objects: AtomicU64::new(0),
        }
    }

    /// Returns a shard, or nothing if it was never made.
    pub(super) fn shard(&self, number: usize) -> Result<Option<&Dir>, Error> {
        if let Some(dir) = self.shards[number].get() {
            return Ok(Some(dir));
        }
        match self.dir.open_dir(format!("{number:02x}").as_bytes()) {
            Ok(dir) => Ok(Some(self.shards[number].get_or_init(|| dir))),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells whether a shard exists.
    pub(crate) fn has_shard(&self, number: usize) -> Result<bool, Error> {
        self.shard(number).map(|shard| shard.is_some())
    }

    fn ensure_shard(&self, number: usize) -> Result<&Dir, Error> {
        if self.shard(number)?.is_none() {
            let name = format!("{number:02x}");
            let (dir, _) = self.dir.ensure_dir(name.as_bytes(), SHARD_MODE)?;
            return Ok(self.shards[number].get_or_init(|| dir));
        }
        self.shard(number)?.ok_or_else(|| Error::Bug("a shard that was just made is missing".into()))
    }

    /// Returns the owner of all objects.
    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    /// Tells whether this is a file of this user. Another owner could write to it whatever its mode.
    pub(super) fn is_own(&self, stat: &Stat) -> bool {
        stat.kind == Kind::File && stat.uid == self.owner
    }

    /// Returns the stat of an object, or nothing if it is missing.
    pub(crate) fn stat(&self, name: ObjectName) -> Result<Option<Stat>, Error> {
        let flat = name.flat();
        match self.shard(name.shard())? {
            Some(shard) => shard.stat(&flat.as_bytes()[2..]),
            None => Ok(None),
        }
    }

    /// Returns the stamps of all shards. A shard that was never made has an empty stamp.
    pub(crate) fn stamps(&self) -> Result<Vec<Stamp>, Error> {
        let stamp = |number: usize| {
            let stat = self.dir.stat(format!("{number:02x}").as_bytes())?;
            Ok(stat.filter(|stat| stat.kind == Kind::Directory).map_or_else(Stamp::default, |stat| Stamp::of(&stat)))
        };
        (0..SHARDS).map(stamp).collect()
    }

    /// Links an object to a path below a directory.
    pub(crate) fn link(&self, name: ObjectName, to: &Dir, path: &[u8]) -> Result<(), Errno> {
        let flat = name.flat();
        match self.shards[name.shard()].get() {
            Some(shard) => shard.link(&flat.as_bytes()[2..], to, path),
            None => Err(Errno::NOENT),
        }
    }

    /// Makes an object's file and opens it for writing, in place of an existing one. The umask applies to `mode`.
    pub(crate) fn create(&self, name: ObjectName, mode: u32) -> Result<NewFile, Error> {
        let (shard, flat) = (self.ensure_shard(name.shard())?, name.flat());
        match shard.create_file_with(&flat.as_bytes()[2..], mode) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                shard.remove_file(&flat.as_bytes()[2..])?;
                shard.create_file_with(&flat.as_bytes()[2..], mode)
            }
            other => other,
        }
    }

    /// Links a file to an object's name, in place of an existing one. Returns false if the filesystem refuses the link.
    pub(crate) fn take_link(&self, from: &Dir, file: &[u8], name: ObjectName) -> Result<bool, Error> {
        let (shard, flat) = (self.ensure_shard(name.shard())?, name.flat());
        shard.remove_file(&flat.as_bytes()[2..])?;
        Ok(from.link(file, shard, &flat.as_bytes()[2..]).is_ok())
    }

    /// Opens an existing object for writing, if this user may write to it.
    pub(crate) fn open_to_write(&self, name: ObjectName) -> Result<Option<NewFile>, Error> {
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

    /// Moves an object into another store. Returns whether the name was free there.
    pub(crate) fn hand_over(&self, name: ObjectName, to: &Store) -> Result<bool, Error> {
        let flat = name.flat();
        let from = self.shard(name.shard())?.ok_or_else(|| Error::Bug(format!("nothing holds {flat}")))?;
        from.rename_new(&flat.as_bytes()[2..], to.ensure_shard(name.shard())?, &flat.as_bytes()[2..])
    }

    /// Moves a whole shard into another store that lacks it. Returns whether it was moved. Do not write to this store
    /// afterwards: it holds a directory of the other one.
    pub(crate) fn hand_over_shard(&self, number: usize, to: &Store) -> Result<bool, Error> {
        let name = format!("{number:02x}");
        match to.shard(number)? {
            Some(_) => Ok(false),
            None => match self.dir.rename_new(name.as_bytes(), &to.dir, name.as_bytes()) {
                // Some filesystems move files but not directories.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::CrossesDevices => Ok(false),
                other => other,
            },
        }
    }

    /// Syncs the filesystem, once. Returns whether that succeeded: only then is the content of another run on the
    /// disk, or absent from the cache too once that is dropped.
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

    /// Moves an object out of the way, unless another thread has done so.
    pub(crate) fn set_aside(&self, name: ObjectName, to: &Dir, new_name: &[u8]) -> Result<(), Error> {
        let flat = name.flat();
        let Some(shard) = self.shard(name.shard())? else { return Ok(()) };
        match shard.rename(&flat.as_bytes()[2..], to, new_name) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes an object. Returns its stat, or nothing if there was no such object.
    pub(crate) fn remove(&self, name: ObjectName) -> Result<Option<Stat>, Error> {
        let flat = name.flat();
        let Some(shard) = self.shard(name.shard())? else {
            return Ok(None);
        };
        let Some(stat) = shard.stat(&flat.as_bytes()[2..])? else {
            return Ok(None);
        };
        shard.remove_file(&flat.as_bytes()[2..])?;
        Ok(Some(stat))
    }

    /// Removes empty shards, and the directory itself if no shard is left.
    pub(crate) fn remove_empty(self, above: &Dir, name: &[u8]) -> Result<(), Error> {
        for number in 0..SHARDS {
            self.dir.remove_empty_dir(format!("{number:02x}").as_bytes())?;
        }
        above.remove_empty_dir(name)
    }

    /// Returns the objects of a shard, by name. Skips names that are not objects.
    pub(crate) fn in_shard(&self, number: usize) -> Result<Vec<ObjectName>, Error> {
        let Some(shard) = self.shard(number)? else {
            return Ok(Vec::new());
        };
        let prefix = format!("{number:02x}");
        let parse = |rest: Vec<u8>| ObjectName::parse(&[prefix.as_bytes(), &rest].concat());
        Ok(shard.names()?.into_iter().filter_map(parse).collect())
    }

    /// Calls `found` with each object of the store.
    pub(crate) fn for_each(&self, mut found: impl FnMut(ObjectName) -> Result<(), Error>) -> Result<(), Error> {
        (0..SHARDS).try_for_each(|number| self.in_shard(number)?.into_iter().try_for_each(&mut found))
    }

    /// Returns the disk space of the directories.
    pub(crate) fn directories(&self) -> Result<Usage, Error> {
        let of_dir = |dir: &Dir| dir.own_stat().map(|stat| Usage { bytes: stat.disk_bytes, inodes: 1 });
        let of_shard = |number| self.shard(number)?.map_or(Ok(Usage::default()), of_dir);
        let shards = (0..SHARDS).map(of_shard).sum::<Result<Usage, Error>>()?;
        of_dir(&self.dir).map(|own| own + shards)
    }

    /// Returns the disk space of the objects, without that of their directories.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        let of_shard = |number| {
            let stats = self.in_shard(number)?.into_iter().map(|name| self.stat(name));
            let bytes = |stat: Option<Stat>| stat.map_or(0, |stat| stat.disk_bytes);
            stats.map(|stat| stat.map(|stat| Usage { bytes: bytes(stat), inodes: 1 })).sum::<Result<Usage, Error>>()
        };
        (0..SHARDS).into_par_iter().map(of_shard).try_reduce(Usage::default, |one, other| Ok(one + other))
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
