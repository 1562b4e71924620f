//! What a scan refuses, by name.

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Error, SourceError};
use crate::path::Shown;

/// Refuses what cannot be read.
pub(crate) fn unreadable(path: &[u8], errno: Errno) -> Error {
    Error::Source(SourceError::Unreadable { path: Shown(path).to_string(), source: errno.into() })
}

/// Refuses what is not what it was a moment ago.
pub(super) fn changing(path: &[u8]) -> Error {
    Error::Source(SourceError::FileChanging(Shown(path).to_string()))
}

/// What vanished, or became something else, between two looks is not there; the rest is an error.
pub(super) fn gone<T>(path: impl Fn() -> Vec<u8>, errno: Errno) -> Result<Option<T>, Error> {
    match errno {
        Errno::NOENT => Ok(None),
        Errno::LOOP | Errno::NOTDIR | Errno::INVAL => Err(changing(&path())),
        errno => Err(unreadable(&path(), errno)),
    }
}

/// Refuses what is neither file, directory nor symlink.
pub(super) fn special(path: &[u8], kind: FileType) -> Error {
    Error::Source(SourceError::SpecialFile { path: Shown(path).to_string(), kind: kind_name(kind) })
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Socket => "socket",
        FileType::Fifo => "fifo",
        _ => "device",
    }
}
