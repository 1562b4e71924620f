//! The fencing number: `.cutover/fence`, decimal digits and a newline.
//!
//! It grows by one whenever the lock is taken, under the lock and durably, and stays when the lock file goes. So a run that
//! finds another number than its own knows that somebody else has taken the lock since.
//!
//! Who removes the file begins the count anew. On a full disk the number stays as it is: the space of the reserve is for
//! the link, and a rollback must work. Then the `flock` alone tells two runs apart.

use crate::disk::Dir;
use crate::error::Error;

const FENCE: &[u8] = b"fence";

/// Reads the number; nothing where there is none, or something else stands there.
pub(crate) fn read(private: &Dir) -> Result<Option<u64>, Error> {
    Ok(private.read(FENCE)?.and_then(|bytes| from_bytes(&bytes)))
}

/// Makes the number one more, durably, and returns it. On a full disk it stays.
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
