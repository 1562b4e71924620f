//! The state of an object before it is linked again: does it still agree with the record?
//!
//! A program may have changed its content, owner, mode or mtime. If only mode, mtime or group differ, they are
//! restored.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;

use crate::disk::{self, SETGID, Stat};
use crate::error::Error;
use crate::manifest::ObjectKey;
use crate::manifest::placement::Placement;

use super::content::has_hash;
use super::name::ObjectName;
use super::objects::Store;

/// The state of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectState {
    /// It agrees with the record.
    Sound(Stat),
    /// Its mode, mtime or group differs, its owner and size do not. Its content decides, see
    /// [`Store::restore_attributes`].
    Touched,
    /// It is missing.
    Missing,
    /// Its size or owner differs: a program wrote to it, may write to it whatever its mode, or replaced it.
    Altered,
}

impl Store {
    /// Tells whether the store has an object or its first further copy.
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

    /// Returns the existing copies of an object: the object itself, and further copies up to the first free number.
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

    /// Returns the state of an object.
    pub(crate) fn state(&self, key: ObjectKey, size: u64, placement: Placement) -> Result<ObjectState, Error> {
        match self.stat(ObjectName { key, copy: placement.copy })? {
            None => Ok(ObjectState::Missing),
            Some(stat) => self.state_of(&stat, key, size, placement),
        }
    }

    /// Returns the state of an object with this stat.
    pub(crate) fn state_of(
        &self,
        stat: &Stat,
        key: ObjectKey,
        size: u64,
        placement: Placement,
    ) -> Result<ObjectState, Error> {
        if !self.is_own(stat) || stat.size != size {
            return Ok(ObjectState::Altered);
        }
        let is_as_made = stat.mode == u32::from(key.mode)
            && stat.has_mtime(placement.second)
            && self.group()?.is_none_or(|group| stat.gid == group);
        Ok(if is_as_made { ObjectState::Sound(*stat) } else { ObjectState::Touched })
    }

    /// Returns the group of new objects, if their directory passes its own on.
    pub(crate) fn group(&self) -> Result<Option<u32>, Error> {
        if let Some(group) = self.group.get() {
            return Ok(*group);
        }
        let stat = self.dir.own_stat()?;
        Ok(*self.group.get_or_init(|| (stat.mode & SETGID != 0).then_some(stat.gid)))
    }

    /// Restores the mode, mtime and group of an object that was touched, if it still has its content. Returns whether
    /// it has. Its content is read only after the new mode keeps others from writing to it.
    pub(crate) fn restore_attributes(&self, key: ObjectKey, placement: Placement) -> Result<bool, Error> {
        let name = ObjectName { key, copy: placement.copy };
        let file = match self.open(name) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(false),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            Err(error) => return Err(error),
        };
        if !disk::file_stat(&file).is_ok_and(|stat| self.is_own(&stat)) {
            return Ok(false);
        }
        let mode = u32::from(key.mode);
        let grouped = self.group()?.map_or(Ok(()), |group| disk::set_group(&file, group));
        // An object that cannot be changed is replaced.
        if grouped.and_then(|()| disk::set_mode(&file, mode)).is_err() || !has_hash(&file, key.hash) {
            return Ok(false);
        }
        disk::set_mode_and_mtime(&file, mode, placement.second)
            .map_err(|e| Error::io("set the mtime of", self.path_of(name), e))?;
        self.restored_objects.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// Opens an object that no release names, if its attributes are right. The caller verifies its content.
    pub(crate) fn open_orphan(&self, name: ObjectName, size: u64, stat: &Stat) -> Option<File> {
        let second = u32::try_from(stat.mtime).ok()?;
        let state = self.state_of(stat, name.key, size, Placement { second, copy: name.copy });
        matches!(state, Ok(ObjectState::Sound(_))).then(|| self.open(name).ok().flatten())?
    }

    /// Returns the number of objects that were restored.
    pub(crate) fn restored_objects(&self) -> u64 {
        self.restored_objects.load(Ordering::Relaxed)
    }
}
