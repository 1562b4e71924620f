//! The entries that a scan refuses, by name.

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Error, SourceError};
use crate::path::Shown;

/// Refuses an entry that cannot be read.
pub(crate) fn unreadable(path: &[u8], errno: Errno) -> Error {
    Error::Source(SourceError::Unreadable { path: Shown(path).to_string(), source: errno.into() })
}

/// Refuses an entry that changed during the scan.
pub(super) fn changing(path: &[u8]) -> Error {
    Error::Source(SourceError::FileChanging(Shown(path).to_string()))
}

/// Returns none for an entry that vanished, and an error for one that changed its kind or cannot be read.
pub(super) fn absent_or_error<T>(path: impl Fn() -> Vec<u8>, errno: Errno) -> Result<Option<T>, Error> {
    match errno {
        Errno::NOENT => Ok(None),
        Errno::LOOP | Errno::NOTDIR | Errno::INVAL => Err(changing(&path())),
        errno => Err(unreadable(&path(), errno)),
    }
}

/// Refuses an entry that is neither file, directory nor symlink.
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
