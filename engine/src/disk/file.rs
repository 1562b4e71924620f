//! A file that is being written. What may be written to leaves `disk` in no other form, so that nothing else can write.
//!
//! Content is durable once its file was synced, its name once the directory was.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use rustix::fs;
use rustix::io::Errno;

use crate::error::Error;
use crate::file_range::FileRange;

use super::call;
use super::dir::{Dir, os};
use super::mode::set_mode_and_mtime;

/// A file that is being written. It stays where it is when it is dropped: see [`super::Draft`] for one that does not.
#[derive(Debug)]
pub(crate) struct NewFile(File);

impl NewFile {
    /// Writes content to a place in it.
    pub(crate) fn put_at(&self, content: &[u8], at: u64) -> io::Result<()> {
        call::write_all_at(&self.0, content, at)
    }

    /// Drops what is beyond a length.
    pub(crate) fn cut(&self, bytes: u64) -> io::Result<()> {
        Ok(call::set_len(&self.0, bytes)?)
    }

    /// Gives it the content of another file, while it has none: shared blocks where the filesystem can, a copy in the kernel
    /// or through memory where it cannot.
    pub(crate) fn fill_from(&self, from: &File) -> io::Result<()> {
        if call::share_blocks(from, &self.0).is_ok() {
            return Ok(());
        }
        call::copy(from, &self.0).map(drop)
    }

    /// Adds the content of another file. Says how many bytes that was.
    pub(crate) fn add_from(&self, from: &File) -> io::Result<u64> {
        call::copy(from, &self.0)
    }

    /// Takes space for so many bytes, in which nothing stands.
    pub(crate) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        match call::reserve(&self.0, bytes) {
            // A filesystem that packs what it stores makes nothing of what repeats itself.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                File::open("/dev/urandom").and_then(|noise| io::copy(&mut noise.take(bytes), self)).map(drop)
            }
            taken => Ok(taken?),
        }
    }

    /// Returns a range of what was written, to be read.
    pub(crate) fn range(&self, range: Range<u64>) -> FileRange<'_> {
        FileRange::new(&self.0, range)
    }

    /// Returns all that was written, to be read.
    pub(crate) fn whole(&self) -> FileRange<'_> {
        FileRange::whole(&self.0)
    }

    /// Makes its content durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(call::sync(&self.0)?)
    }

    /// Gives it its final mode and mtime. Nothing is written to it afterwards.
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
    /// Makes a file that does not exist yet, for this user alone.
    pub(crate) fn create_file(&self, name: &[u8]) -> Result<NewFile, Error> {
        self.create_file_with(name, 0o600)
    }

    /// Makes a file that does not exist yet with this mode, less the umask.
    pub(crate) fn create_file_with(&self, name: &[u8], mode: u32) -> Result<NewFile, Error> {
        let fd = call::create(&self.fd, os(name), mode).map_err(|e| self.error("create", name, e))?;
        Ok(NewFile(fd.into()))
    }

    /// Makes a file with this content, for this user alone.
    pub(crate) fn create_file_of(&self, name: &[u8], content: &[u8]) -> Result<NewFile, Error> {
        let mut file = self.create_file(name)?;
        file.write_all(content).map_err(|e| Error::io("write", self.path_of(name), e))?;
        Ok(file)
    }

    /// Makes a file with the content of another one, durably.
    pub(crate) fn copy_file(&self, from: &File, name: &[u8]) -> Result<(), Error> {
        let file = self.create_file(name)?;
        file.fill_from(from).map_err(|e| Error::io("copy", self.path_of(name), e))?;
        file.sync().map_err(|e| Error::io("sync", self.path_of(name), e))
    }

    /// Opens a file to go on with; nothing where there is none, or none that this user may write.
    pub(crate) fn write_file(&self, name: &[u8]) -> Result<Option<NewFile>, Error> {
        match call::open_to_write(&self.fd, os(name)) {
            Ok(fd) => Ok(Some(NewFile(fd.into()))),
            Err(Errno::NOENT | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }
}

/// Makes the content of a file durable that is open for reading.
pub(crate) fn sync_file(file: &File) -> Result<(), Errno> {
    call::sync(file)
}

/// Makes the next read of an open file come from the disk. After a failed sync the cache holds content that the disk does
/// not have, marked clean ("fsyncgate": Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
/// What is not on the disk yet stays in the cache, so the caller syncs before.
pub(crate) fn forget_cached(file: &File) -> Result<(), Errno> {
    fs::fadvise(file, 0, None, fs::Advice::DontNeed)
}
