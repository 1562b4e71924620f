//! Reads the content of objects.
//!
//! It is not verified here: the caller does that.

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

    /// Opens a copy of an object for reading, preferably one with the right mode and an untouched mtime. The caller
    /// verifies its content.
    pub(crate) fn open_any(&self, key: ObjectKey) -> Result<Option<File>, Error> {
        let is_as_made = |stat: &Stat| stat.mode == u32::from(key.mode) && stat.mtime_nanos == 0;
        // Usually the first copy will do. It is checked once it is open.
        if let Ok(Some(file)) = self.open(ObjectName { key, copy: 0 })
            && disk::file_stat(&file).is_ok_and(|stat| self.is_own(&stat) && is_as_made(&stat))
        {
            return Ok(Some(file));
        }
        let mut copies = self.copies(key)?;
        copies.retain(|(_, stat)| self.is_own(stat));
        // A copy that was touched may still have its content.
        copies.sort_by_key(|(_, stat)| !is_as_made(stat));
        Ok(copies.into_iter().find_map(|(copy, _)| self.open(ObjectName { key, copy }).ok().flatten()))
    }

    /// Reads an object whole. Returns nothing if none has the expected size. Wrong content shows in the file that is
    /// made of it.
    pub(crate) fn content(&self, file: ManifestFile) -> Result<Option<Vec<u8>>, Error> {
        let mut memory = vec![0; file.size as usize + 1];
        let is_there = self.read_into(file, &mut memory)?;
        memory.pop();
        Ok(is_there.then_some(memory))
    }

    /// Reads an object into memory with room for one byte more than its size. Returns whether it has that size.
    pub(crate) fn read_into(&self, file: ManifestFile, memory: &mut [u8]) -> Result<bool, Error> {
        let Some(object) = self.open_any(file.key)? else { return Ok(false) };
        let mut len = 0;
        while len < memory.len() {
            match object.read_at(&mut memory[len..], len as u64) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(false),
            }
            // A file returns fewer bytes than asked for only at its end.
            if len as u64 == file.size {
                break;
            }
        }
        Ok(len as u64 == file.size)
    }
}

/// Tells whether an open file has the content of a hash.
pub(crate) fn has_hash(file: &File, hash: Hash) -> bool {
    FileRange::whole(file).hash().is_ok_and(|(own, _)| own == hash)
}
