//! Files that are open for writing. Nothing leaves `disk` as a plain writable `File`, so no other module can write.
//!
//! Content is durable once its file was synced, and its name once the directory was.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use rustix::fs;
use rustix::io::Errno;

use crate::error::Error;
use crate::file_range::FileRange;

use super::call;
use super::dir::{Dir, os};
use super::mode::{set_group, set_mode, set_mode_and_mtime};
use super::stat::Stat;

/// A file that is open for writing. It stays when it is dropped, unlike a [`super::Draft`].
#[derive(Debug)]
pub(crate) struct NewFile(File);

impl NewFile {
    /// Writes content at an offset.
    pub(crate) fn put_at(&self, content: &[u8], at: u64) -> io::Result<()> {
        call::write_all_at(&self.0, content, at)
    }

    /// Truncates the file to a length.
    pub(crate) fn cut(&self, bytes: u64) -> io::Result<()> {
        Ok(call::set_len(&self.0, bytes)?)
    }

    /// Gives the file the owner, the group and the permissions of another one. Returns whether this user may.
    pub(crate) fn take_rights_of(&self, other: &Stat) -> bool {
        const PERMISSIONS: u32 = 0o777;
        let Ok(own) = self.0.metadata() else { return false };
        (own.gid() == other.gid || call::set_group(&self.0, other.gid).is_ok())
            && (own.uid() == other.uid || call::set_owner(&self.0, other.uid).is_ok())
            && call::set_mode(&self.0, other.mode & PERMISSIONS).is_ok()
    }

    /// Fills an empty file with the content of another: by sharing blocks if the filesystem can, otherwise by a copy
    /// in the kernel or through memory.
    pub(crate) fn fill_from(&self, from: &File) -> io::Result<()> {
        if call::share_blocks(from, &self.0).is_ok() {
            return Ok(());
        }
        call::copy(from, &self.0).map(drop)
    }

    /// Makes an empty file share the blocks of another one.
    pub(crate) fn share(&self, from: &File) -> io::Result<()> {
        Ok(call::share_blocks(from, &self.0)?)
    }

    /// Appends the content of another file. Returns the number of bytes.
    pub(crate) fn add_from(&self, from: &File) -> io::Result<u64> {
        call::copy(from, &self.0)
    }

    /// Allocates space for a number of bytes, without content.
    pub(crate) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        match call::reserve(&self.0, bytes) {
            // A compressing filesystem stores repeated bytes in almost no space.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                File::open("/dev/urandom").and_then(|noise| io::copy(&mut noise.take(bytes), self)).map(drop)
            }
            taken => Ok(taken?),
        }
    }

    /// Returns a range of the file for reading.
    pub(crate) fn range(&self, range: Range<u64>) -> FileRange<'_> {
        FileRange::new(&self.0, range)
    }

    /// Returns the whole file for reading.
    pub(crate) fn whole(&self) -> FileRange<'_> {
        FileRange::whole(&self.0)
    }

    /// Makes the content durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(call::sync(&self.0)?)
    }

    /// Sets the group, if one is given, and the mode.
    pub(crate) fn set_group_and_mode(&self, group: Option<u32>, mode: u32) -> io::Result<()> {
        if let Some(group) = group {
            set_group(&self.0, group)?;
        }
        Ok(set_mode(&self.0, mode)?)
    }

    /// Sets the final mode and mtime. Nothing is written afterwards.
    pub(crate) fn finish(self, mode: u32, second: u32) -> io::Result<()> {
        Ok(set_mode_and_mtime(&self.0, mode, second)?)
    }
}

impl Write for NewFile {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        (&*self).write(content)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &NewFile {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        Ok(call::write(&self.0, content)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for &NewFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }
}

impl Seek for &NewFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&self.0).seek(to)
    }
}

#[cfg(test)]
impl From<File> for NewFile {
    fn from(file: File) -> NewFile {
        NewFile(file)
    }
}

impl Dir {
    /// Creates a file for this user alone, which must not exist yet.
    pub(crate) fn create_file(&self, name: &[u8]) -> Result<NewFile, Error> {
        self.create_file_with(name, 0o600)
    }

    /// Creates a file with this mode, less the umask, which must not exist yet.
    pub(crate) fn create_file_with(&self, name: &[u8], mode: u32) -> Result<NewFile, Error> {
        let fd = call::create(&self.fd, os(name), mode).map_err(|e| self.error("create", name, e))?;
        Ok(NewFile(fd.into()))
    }

    /// Creates a file with this content, for this user alone.
    pub(crate) fn create_file_of(&self, name: &[u8], content: &[u8]) -> Result<NewFile, Error> {
        let mut file = self.create_file(name)?;
        file.write_all(content).map_err(|e| Error::io("write", self.path_of(name), e))?;
        Ok(file)
    }

    /// Creates a file with the content of another one, durably.
    pub(crate) fn copy_file(&self, from: &File, name: &[u8]) -> Result<(), Error> {
        let file = self.create_file(name)?;
        file.fill_from(from).map_err(|e| Error::io("copy", self.path_of(name), e))?;
        file.sync().map_err(|e| Error::io("sync", self.path_of(name), e))
    }

    /// Tells whether files in the directory can share blocks.
    pub(crate) fn shares_blocks(&self) -> Result<bool, Error> {
        const NAMES: [&[u8]; 2] = [b"blocks", b"shared"];
        let one = self.draft(NAMES[0])?;
        let other = self.draft(NAMES[1])?;
        one.file.put_at(b"x", 0).map_err(|e| Error::io("write", self.path_of(NAMES[0]), e))?;
        let from =
            self.open_file(NAMES[0])?.ok_or_else(|| Error::Bug("a file that was just made is missing".into()))?;
        Ok(other.file.share(&from).is_ok())
    }

    /// Opens an existing file in order to lock it: for reading, and for writing too if this user may.
    pub(crate) fn open_file_to_lock(&self, name: &[u8]) -> Result<Option<File>, Error> {
        match call::open_to_write(&self.fd, os(name)) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::ACCESS | Errno::ROFS) => self.open_file(name),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Opens an existing file for writing. Returns nothing if it is missing, or this user may not write to it.
    pub(crate) fn write_file(&self, name: &[u8]) -> Result<Option<NewFile>, Error> {
        match call::open_to_write(&self.fd, os(name)) {
            Ok(fd) => Ok(Some(NewFile(fd.into()))),
            Err(Errno::NOENT | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }
}

/// Syncs the content of a file that is open for reading.
pub(crate) fn sync_file(file: &File) -> Result<(), Errno> {
    call::sync(file)
}

/// Drops a file's cached content, so that the next read comes from the disk. After a failed sync the cache holds
/// content that the disk lacks, marked clean ("fsyncgate": Rebello et al., "Can Applications Recover from fsync
/// Failures?", USENIX ATC 2020). Unwritten content stays in the cache, so the caller syncs first.
pub(crate) fn forget_cached(file: &File) -> Result<(), Errno> {
    fs::fadvise(file, 0, None, fs::Advice::DontNeed)
}
