//! Locks on open files and directories: `flock`, which the kernel releases when the process ends. And the file of the
//! lock of a deploy path, whose text is written in place.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs;
use rustix::io::Errno;

use crate::error::Error;

use super::call;
use super::dir::{Dir, os};

/// Returns whether another process holds the exclusive lock, without keeping others from it.
pub(crate) fn is_locked(file: impl AsFd) -> Result<bool, Errno> {
    try_flock(file, fs::FlockOperation::NonBlockingLockShared).map(|is_taken| !is_taken)
}

/// Locks an open file or directory exclusively. Returns false if another process holds the lock. The kernel releases
/// it when the process ends, however it ends.
pub(crate) fn try_lock(file: impl AsFd) -> Result<bool, Errno> {
    try_flock(file, fs::FlockOperation::NonBlockingLockExclusive)
}

fn try_flock(file: impl AsFd, operation: fs::FlockOperation) -> Result<bool, Errno> {
    match fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A file to lock, with a text that its holder writes. Nothing here syncs: no holder survives a power cut.
#[derive(Debug)]
pub(crate) struct LockFile(File);

impl LockFile {
    /// Replaces the text in place. Another process reads the old text or the new one, or in rare cases a mixture that
    /// is no JSON.
    pub(crate) fn rewrite(&self, text: &str) -> io::Result<()> {
        if !text.is_empty() {
            self.overwrite(text, 0)?;
        }
        Ok(call::set_len(&self.0, text.len() as u64)?)
    }

    /// Overwrites a part of the text.
    pub(crate) fn overwrite(&self, text: &str, at: u64) -> io::Result<()> {
        call::write_all_at(&self.0, text.as_bytes(), at)
    }

    /// Reads the text.
    pub(crate) fn text(&self) -> io::Result<String> {
        let mut bytes = vec![0; self.0.metadata()?.len() as usize];
        self.0.read_exact_at(&mut bytes, 0)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }

    /// Duplicates the descriptor, which shares its locks.
    pub(crate) fn try_clone(&self) -> io::Result<LockFile> {
        self.0.try_clone().map(LockFile)
    }
}

impl From<OwnedFd> for LockFile {
    fn from(fd: OwnedFd) -> LockFile {
        LockFile(fd.into())
    }
}

impl From<LockFile> for OwnedFd {
    fn from(file: LockFile) -> OwnedFd {
        file.0.into()
    }
}

impl AsFd for LockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Dir {
    /// Opens a file to lock, and creates it for this user alone if it does not exist.
    pub(crate) fn open_lock(&self, name: &[u8]) -> Result<LockFile, Error> {
        let fd = call::open_or_create(&self.fd, os(name)).map_err(|e| self.error("open", name, e))?;
        Ok(fd.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_the_place_of_a_longer_one_and_of_a_shorter_one() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let file = dir.open_lock(b"lock").unwrap();
        for text in ["a long text", "short", "", "long again"] {
            file.rewrite(text).unwrap();
            assert_eq!((dir.read(b"lock").unwrap().unwrap(), file.text().unwrap()), (text.into(), text.to_owned()));
        }
        file.overwrite("L", 0).unwrap();
        assert_eq!(file.text().unwrap(), "Long again");
    }
}
