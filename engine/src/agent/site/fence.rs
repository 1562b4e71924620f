//! The fencing number: `.cutover/fence`, decimal digits and a newline.
//!
//! Each run that takes the lock increments it, under the lock. It survives the lock file. So a run that finds another
//! number than its own knows that another run has taken the lock since.
//!
//! The number is overwritten in place and not synced: no holder survives a power cut, so an old number deceives nobody.
//! If the
//! file is lost or older, the count goes on behind the newest journal, which has the number of its run. On a full disk the number is not incremented: the space of the
//! reserve is for the link, and a rollback must work. Then only the `flock` keeps two runs apart.

use crate::disk::Dir;
use crate::error::Error;

use super::journals;

const FENCE: &[u8] = b"fence";

/// Reads the number, or nothing if the file is missing or has other content.
pub(crate) fn read(private: &Dir) -> Result<Option<u64>, Error> {
    Ok(private.read(FENCE)?.and_then(|bytes| from_bytes(&bytes)))
}

/// Makes the number greater than any before, and returns it. On a full disk it stays as it is.
pub(crate) fn increment(private: &Dir) -> Result<u64, Error> {
    let before = read(private)?;
    let newest = before.max(journals::newest(private)?);
    let next = newest.map_or(1, |newest| newest.saturating_add(1));
    match write(private, before, next) {
        Ok(()) => Ok(next),
        Err(error) if error.is_full() => Ok(before.unwrap_or(0)),
        Err(error) => Err(error),
    }
}

fn write(private: &Dir, before: Option<u64>, next: u64) -> Result<(), Error> {
    let text = format!("{next}\n");
    match private.write_file(FENCE)? {
        // A greater number is never shorter, so nothing of the old one remains.
        Some(file) if before.is_some() => {
            file.put_at(text.as_bytes(), 0).map_err(|error| Error::io("write", private.path_of(FENCE), error))
        }
        _ => private.replace(FENCE, text.as_bytes()),
    }
}

fn from_bytes(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}
