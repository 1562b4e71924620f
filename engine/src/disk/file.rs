//! Files in a held directory: new ones, and the replacement of what stands.
//!
//! Content is durable once its file was synced, its name once the directory was.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::error::Error;

use super::dir::{Dir, os};

impl Dir {
    /// Makes a file that does not exist yet, for this user alone, and opens it for writing.
    pub(crate) fn create_file(&self, name: &[u8]) -> Result<File, Error> {
        self.create_file_with(name, 0o600)
    }

    /// Makes a file that does not exist yet with this mode, less the umask, and opens it for writing.
    pub(crate) fn create_file_with(&self, name: &[u8], mode: u32) -> Result<File, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, os(name), flags, Mode::from_raw_mode(mode))
            .map_err(|e| self.error("create", name, e))?;
        Ok(fd.into())
    }

    /// Makes a file that only takes space.
    pub(crate) fn create_reserve(&self, name: &[u8], bytes: u64) -> Result<(), Error> {
        let mut file = self.create_file(name)?;
        let taken = match fs::fallocate(&file, fs::FallocateFlags::empty(), 0, bytes) {
            // A filesystem that packs what it stores makes nothing of what repeats itself.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                File::open("/dev/urandom").and_then(|noise| io::copy(&mut noise.take(bytes), &mut file)).map(drop)
            }
            taken => taken.map_err(io::Error::from),
        };
        if taken.is_err() {
            self.remove_file(name)?;
        }
        taken.map_err(|e| Error::io("write", self.path_of(name), e))
    }

    /// Opens a file for writing at its end, making it where it does not exist.
    pub(crate) fn append_file(&self, name: &[u8]) -> Result<File, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, os(name), flags, Mode::from_raw_mode(0o600))
            .map_err(|e| self.error("open", name, e))?;
        Ok(fd.into())
    }

    /// Opens an existing file for writing; nothing where there is none, or none that this user may write.
    pub(crate) fn write_file(&self, name: &[u8]) -> Result<Option<File>, Error> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(&self.fd, os(name), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Makes a file with the content of another one, durably.
    pub(crate) fn copy_file(&self, from: &File, name: &[u8]) -> Result<(), Error> {
        let file = self.create_file(name)?;
        copy_content(from, &file).map_err(|e| Error::io("copy", self.path_of(name), e))?;
        file.sync_all().map_err(|e| Error::io("sync", self.path_of(name), e))
    }

    /// Gives a name its first content, durably. Says whether nothing stood there.
    pub(crate) fn put_new(&self, name: &[u8], content: &[u8], temporary: &[u8]) -> Result<bool, Error> {
        self.write_new(temporary, content, name)?;
        let is_first = self.rename_new(temporary, self, name)?;
        self.remove_file(temporary)?;
        self.sync()?;
        Ok(is_first)
    }

    /// Gives a name new content: all of it or, after a crash, the old. Durable when it returns.
    pub(crate) fn replace(&self, name: &[u8], content: &[u8]) -> Result<(), Error> {
        let temporary = [b".", name, b".new"].concat();
        self.remove_file(&temporary)?;
        self.write_new(&temporary, content, name)?;
        self.rename(&temporary, self, name)?;
        self.sync()
    }

    /// Writes a new file, durably, under a temporary name. Where that fails, nothing is left of it.
    fn write_new(&self, temporary: &[u8], content: &[u8], name: &[u8]) -> Result<(), Error> {
        let mut file = self.create_file(temporary)?;
        let written = file.write_all(content).map_err(|e| Error::io("write", self.path_of(name), e));
        let written = written.and_then(|()| file.sync_all().map_err(|e| Error::io("sync", self.path_of(name), e)));
        if written.is_err() {
            self.remove_file(temporary).ok();
        }
        written
    }
}

/// Makes the content of `to` that of `from`: shared blocks where the filesystem can, a copy in the kernel or through
/// memory where it cannot. `to` is empty.
pub(crate) fn copy_content(from: &File, to: &File) -> io::Result<()> {
    if fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    // `io::copy` between files uses copy_file_range where that works.
    let (mut from, mut to) = (from, to);
    io::copy(&mut from, &mut to).map(drop)
}

/// Makes the next read of an open file come from the disk. After a failed sync the cache holds content that the disk does
/// not have, marked clean ("fsyncgate": Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
/// What is not on the disk yet stays in the cache, so the caller syncs before.
pub(crate) fn forget_cached(file: &File) -> Result<(), Errno> {
    fs::fadvise(file, 0, None, fs::Advice::DontNeed)
}
