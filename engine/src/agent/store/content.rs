//! The content of objects, as it is read.
//!
//! Whether it is right is for the caller to find out.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::disk::{self, Stat};
use crate::error::Error;
use crate::file_range::FileRange;
use crate::hash::Hash;
use crate::manifest::{File as ManifestFile, ObjectKey};

use super::name::ObjectName;
use super::objects::Store;

impl Store {
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
            && disk::file_stat(&file).is_ok_and(|stat| self.is_own(&stat) && is_as_made(&stat))
        {
            return Ok(Some(file));
        }
        let mut copies = self.copies(key)?;
        copies.retain(|(_, stat)| self.is_own(stat));
        // One that was touched may have its content all the same.
        copies.sort_by_key(|(_, stat)| !is_as_made(stat));
        Ok(copies.into_iter().find_map(|(copy, _)| self.open(ObjectName { key, copy }).ok().flatten()))
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
}

/// Tells whether an open file has the content that a hash names.
pub(crate) fn has_hash(file: &File, hash: Hash) -> bool {
    FileRange::whole(file).hash().is_ok_and(|(own, _)| own == hash)
}
