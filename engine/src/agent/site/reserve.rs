//! A full disk: `.cutover/reserve`, a file that only takes space, and what may stay unwritten.
//!
//! A rollback and a cleanup must work where no block is free. What they cannot do without is written in the space that the
//! reserve gives up; what is found again later is left out.

use std::time::Duration;

use crate::disk::Dir;
use crate::error::Error;

use super::lock::Lock;

const RESERVE: &[u8] = b"reserve";
/// A link or a new store file takes a block. XFS makes neither before some forty blocks are free.
const RESERVE_BYTES: u64 = 256 << 10;

/// Writes something that a rollback or a cleanup cannot do without. On a full disk the reserve makes room for it: at once,
/// or, on XFS, a moment later.
pub(crate) fn write_critical<T>(private: &Dir, write: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    const TRIES: usize = 20;
    const A_MOMENT: Duration = Duration::from_millis(50);
    let mut written = write();
    if !written.as_ref().is_err_and(Error::is_full) || !private.remove_file(RESERVE)? {
        return written;
    }
    for _ in 0..TRIES {
        // What was removed is free once the filesystem has finished with it.
        private.sync_filesystem().ok();
        written = write();
        if !written.as_ref().is_err_and(Error::is_full) {
            break;
        }
        std::thread::sleep(A_MOMENT);
    }
    written
}

/// Takes space that a rollback or a cleanup may need when there is none left, where it is not taken yet and there is some.
/// A rollback that uses it must not find it taken again.
pub(crate) fn ensure(_lock: &Lock, private: &Dir) -> Result<(), Error> {
    if private.stat(RESERVE)?.is_some() {
        return Ok(());
    }
    unless_full(private.create_reserve(RESERVE, RESERVE_BYTES))
}

/// Drops an error that says that there is no space.
pub(crate) fn unless_full(written: Result<(), Error>) -> Result<(), Error> {
    match written {
        Err(error) if error.is_full() => Ok(()),
        other => other,
    }
}
