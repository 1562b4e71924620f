//! Opens, looks at and hashes the files of a tree.
//!
//! A file may change while it is read. So it is looked at before and after, and read again when the two looks differ
//! or when it was longer or shorter than it said; a file that will not hold still is refused by name.

use std::fs::File;
use std::io;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::{Error, SourceError};
use crate::file_range::FileRange;
use crate::hash::Hash;
use crate::path::Shown;
use crate::scan::stat::FileStat;

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
pub(crate) fn hash(file: &File, seen: FileStat, path: impl Fn() -> Vec<u8>, cancel: &Cancel) -> Result<Content, Error> {
    let failed = |source: io::Error| match cancel.check() {
        Ok(()) => Error::Source(SourceError::Unreadable { path: Shown(&path()).to_string(), source }),
        Err(interrupted) => interrupted,
    };
    let mut before = seen;
    for _ in 0..ATTEMPTS {
        let (hash, length) = FileRange::whole_of_size(file, before.size).until(cancel).hash().map_err(failed)?;
        let after = look(file).map_err(failed)?;
        if length == after.size && after == before {
            return Ok(Content { stat: after, hash });
        }
        before = after;
    }
    Err(Error::Source(SourceError::FileChanging(Shown(&path()).to_string())))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_has_the_hash_and_the_stat_of_one_moment() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        let seen = look(&file).unwrap();
        let cancel = Cancel::default();
        let hashed = |seen| hash(&file, seen, || b"file".to_vec(), &cancel);
        // Where it was seen otherwise before, it is read again.
        for size in [0, 7, 8, 1 << 20] {
            let content = hashed(FileStat { size, ..seen }).unwrap();
            assert_eq!((content.stat, content.hash), (seen, Hash::of(b"content")), "{size}");
        }
        cancel.cancel();
        assert!(matches!(hashed(seen), Err(Error::Interrupted)));
    }
}
