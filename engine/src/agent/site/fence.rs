//! The fencing number: `.cutover/fence`, decimal digits and a newline.
//!
//! Each run that takes the lock increments it, under the lock and durably. It survives the lock file. So a run that
//! finds another number than its own knows that another run has taken the lock since.
//!
//! If somebody removes the file, the count begins anew. On a full disk the number is not incremented: the space of
//! the reserve is for the link, and a rollback must work. Then only the `flock` keeps two runs apart.

use crate::disk::Dir;
use crate::error::Error;

const FENCE: &[u8] = b"fence";

/// Reads the number, or nothing if the file is missing or has other content.
pub(crate) fn read(private: &Dir) -> Result<Option<u64>, Error> {
    Ok(private.read(FENCE)?.and_then(|bytes| from_bytes(&bytes)))
}

/// Increments the number durably, and returns it. On a full disk it stays as it is.
pub(crate) fn increment(private: &Dir) -> Result<u64, Error> {
    let before = read(private)?.unwrap_or(0);
    let next = before.saturating_add(1);
    match private.replace(FENCE, format!("{next}\n").as_bytes()) {
        Ok(()) => Ok(next),
        Err(error) if error.is_full() => Ok(before),
        Err(error) => Err(error),
    }
}

fn from_bytes(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}
