//! A look at an object that is about to be linked again: is it what the record says?
//!
//! Something may have changed it meanwhile, or its owner, mode or mtime. What was only touched is put right.

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

impl Store {
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
        if !disk::file_stat(&file).is_ok_and(|stat| self.is_own(&stat)) {
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

    /// Opens an object that no release names, where it looks like one. Its content is for the caller to find out.
    pub(crate) fn open_orphan(&self, name: ObjectName, size: u64, stat: &Stat) -> Option<File> {
        let second = u32::try_from(stat.mtime).ok()?;
        let look = self.judge(stat, name.key, size, Placement { second, copy: name.copy });
        matches!(look, Ok(Look::Sound(_))).then(|| self.open(name).ok().flatten())?
    }

    /// Counts the objects that were put right.
    pub(crate) fn count_put_right(&self) -> u64 {
        self.put_right.load(Ordering::Relaxed)
    }
}
