//! Opens, stats and hashes the files of a tree.
//!
//! A file may change while it is read. So its stat is taken before and after. If the two differ, or if the length read
//! differs from the size, the file is read again. A file that keeps changing is refused by name.

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

/// The number of times that a changing file is read before it is refused.
const ATTEMPTS: usize = 4;

/// The content of a file that was read.
#[derive(Debug)]
pub(crate) struct Content {
    /// The stat before and after the read.
    pub(crate) stat: FileStat,
    /// Its hash.
    pub(crate) hash: Hash,
}

/// The flags to open a directory that is to be listed.
pub(crate) const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a file, never through a symlink and never waiting for a fifo.
pub(crate) fn open(directory: impl std::os::fd::AsFd, name: &std::ffi::OsStr) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    fs::openat(directory, name, flags, Mode::empty()).map(File::from)
}

/// Returns the stat of an open file.
pub(crate) fn stat(file: &File) -> io::Result<FileStat> {
    Ok(fs::fstat(file)?.into())
}

/// Tells whether a file has capabilities, which a program gets when it runs. A change of them changes the ctime.
pub(crate) fn has_capabilities(file: &File) -> bool {
    // A buffer smaller than the value would make the call fail.
    let mut room = [0_u8; 256];
    fs::fgetxattr(file, "security.capability", &mut room[..]).is_ok_and(|bytes| bytes > 0)
}

/// Reads and hashes an open file, whose stat was `seen` before it was opened, with this group. `path` is for messages.
pub(crate) fn hash(
    file: &File,
    seen: FileStat,
    path: impl Fn() -> Vec<u8>,
    group: Option<u32>,
    cancel: &Cancel,
) -> Result<Content, Error> {
    let failed = |source: io::Error| match cancel.check() {
        Ok(()) => Error::Source(SourceError::Unreadable { path: Shown(&path()).to_string(), source }),
        Err(interrupted) => interrupted,
    };
    let mut before = seen;
    for _ in 0..ATTEMPTS {
        let (hash, length) = FileRange::whole_of_size(file, before.size).until(cancel).hash().map_err(failed)?;
        let after = fs::fstat(file).map_err(|errno| failed(errno.into()))?;
        let after = FileStat::of(after, group);
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
        let seen = stat(&file).unwrap();
        let cancel = Cancel::default();
        let hashed = |seen| hash(&file, seen, || b"file".to_vec(), None, &cancel);
        // If its stat was different before, it is read again.
        for size in [0, 7, 8, 1 << 20] {
            let content = hashed(FileStat { size, ..seen }).unwrap();
            assert_eq!((content.stat, content.hash), (seen, Hash::of(b"content")), "{size}");
        }
        cancel.cancel();
        assert!(matches!(hashed(seen), Err(Error::Interrupted)));
    }
}
