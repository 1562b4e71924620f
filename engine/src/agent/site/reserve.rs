//! The reserve against a full disk: `.cutover/reserve`, a file that only occupies space.
//!
//! A rollback and a cleanup must work when no block is free. The files that they need are written into the space of
//! the reserve. Files that the next run can mend are left unwritten.

use std::time::Duration;

use crate::disk::Dir;
use crate::error::Error;

use super::lock::Lock;

const RESERVE: &[u8] = b"reserve";
/// The size of the reserve. A link or a new store file takes one block, but XFS writes neither before some forty
/// blocks are free.
pub(crate) const RESERVE_BYTES: u64 = 256 << 10;

/// Writes a file that a rollback or a cleanup needs. On a full disk the reserve is removed to make space: at once,
/// or, on XFS, a moment later.
pub(crate) fn write_critical<T>(private: &Dir, write: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    const TRIES: usize = 20;
    const A_MOMENT: Duration = Duration::from_millis(50);
    let mut written = write();
    if !written.as_ref().is_err_and(Error::is_full) || !private.remove_file(RESERVE)? {
        return written;
    }
    for _ in 0..TRIES {
        // The space of a removed file is free only when the filesystem has finished its removal.
        private.sync_filesystem().ok();
        written = write();
        if !written.as_ref().is_err_and(Error::is_full) {
            break;
        }
        std::thread::sleep(A_MOMENT);
    }
    written
}

/// Makes the reserve, if it is missing and the disk has space. Only a deploy calls this: a rollback that used the
/// reserve must not fill the disk again.
pub(crate) fn ensure(_lock: &Lock, private: &Dir) -> Result<(), Error> {
    if private.stat(RESERVE)?.is_some() {
        return Ok(());
    }
    unless_full(private.create_reserve(RESERVE, RESERVE_BYTES))
}

/// Ignores the error of a full disk.
pub(crate) fn unless_full(written: Result<(), Error>) -> Result<(), Error> {
    match written {
        Err(error) if error.is_full() => Ok(()),
        other => other,
    }
}
