//! Opens, looks at and hashes the files of a tree.
//!
//! A file may change while it is read. So it is looked at before and after, and read again when the two looks differ
//! or when it was longer or shorter than it said; a file that will not hold still is refused by name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::hash::Hash;
use crate::path::Shown;
use crate::scan::stat::FileStat;

/// Files of this size are not read at once.
const READ_BYTES_MAX: u64 = 1 << 20;

/// How often a file that changes is read before it is refused.
const ATTEMPTS: usize = 4;

/// A file's content as it was read.
#[derive(Debug)]
pub(crate) struct Content {
    /// The stat that it was read under.
    pub(crate) stat: FileStat,
    /// Its hash.
    pub(crate) hash: Hash,
}

/// How a directory is opened to be listed.
pub(crate) const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a file, never through a symlink and never waiting for a fifo.
pub(crate) fn open(directory: impl std::os::fd::AsFd, name: &std::ffi::OsStr) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    fs::openat(directory, name, flags, Mode::empty()).map(File::from)
}

/// Looks at an open file.
pub(crate) fn look(file: &File) -> io::Result<FileStat> {
    Ok(fs::fstat(file)?.into())
}

/// Tells whether a file has capabilities, which programs get that run it. A change of them changes the ctime.
pub(crate) fn has_capabilities(file: &File) -> bool {
    // With less room than there are bytes it would fail.
    let mut room = [0_u8; 256];
    fs::fgetxattr(file, "security.capability", &mut room[..]).is_ok_and(|bytes| bytes > 0)
}

/// Reads and hashes an open file that was seen as `seen` before it was opened. `path` is for messages.
pub(crate) fn hash(
    file: &mut File,
    seen: FileStat,
    path: impl Fn() -> Vec<u8>,
    buffer: &mut Vec<u8>,
    cancel: &Cancel,
) -> Result<Content, Error> {
    let failed = |source: io::Error| match cancel.check() {
        Ok(()) => Error::SourceUnreadable { path: Shown(&path()).to_string(), source },
        Err(interrupted) => interrupted,
    };
    let mut before = seen;
    for _ in 0..ATTEMPTS {
        let (hash, length) = read(file, before.size, buffer, cancel).map_err(failed)?;
        let after = look(file).map_err(failed)?;
        if length == after.size && after == before {
            return Ok(Content { stat: after, hash });
        }
        before = after;
    }
    Err(Error::FileChanging(Shown(&path()).to_string()))
}

fn read(file: &mut File, size: u64, buffer: &mut Vec<u8>, cancel: &Cancel) -> io::Result<(Hash, u64)> {
    if size >= READ_BYTES_MAX {
        io::Seek::rewind(file)?;
        let mut hasher = blake3::Hasher::new();
        let length = hasher.update_reader(cancel.reader(file))?.count();
        return Ok((hasher.finalize().into(), length));
    }
    // One byte more than it says, so that a file that has grown is noticed and one that has not costs a single read.
    let end = size as usize + 1;
    if buffer.len() < end {
        buffer.resize(end, 0);
    }
    let length = read_at_start(file, &mut buffer[..end], size as usize)?;
    Ok((Hash::of(&buffer[..length]), length as u64))
}

/// Reads from the beginning of a file until its end, or until `enough` bytes are there and the last read gave no more.
fn read_at_start(file: &File, buffer: &mut [u8], enough: usize) -> io::Result<usize> {
    let mut length = 0;
    loop {
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => return Ok(length),
            Ok(read) => {
                length += read;
                // A regular file gives less than was asked for only at its end: no further read has to find that out.
                if length == buffer.len() || length == enough {
                    return Ok(length);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_long_file_is_not_hashed_to_its_end_once_that_is_of_no_use() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; READ_BYTES_MAX as usize]).unwrap();
        let seen = look(&file).unwrap();
        let cancel = Cancel::default();
        let mut hashed = || hash(&mut file, seen, || b"file".to_vec(), &mut Vec::new(), &cancel);
        assert_eq!(hashed().unwrap().stat, seen);
        cancel.cancel();
        assert!(matches!(hashed(), Err(Error::Interrupted)));
    }
}
