//! The fencing number: `.cutover/fence`, decimal digits and a newline.
//!
//! The number grows by one with each taking of the lock, under the lock, and stays when the lock file is removed. A run
//! that finds another number than its own knows that somebody else has taken the lock since.
//!
//! The number is overwritten in place and not synced: a power cut ends all holders, so an old number deceives nobody. If
//! somebody removes the file, the count begins anew. On a full disk the number stays as it is, because the reserve is for
//! the link and a rollback must work. Then the `flock` alone tells two runs apart.

use crate::disk::Dir;
use crate::error::Error;

const FENCE: &[u8] = b"fence";

/// Returns the number; nothing if there is no file, or one without a number.
pub(crate) fn read(private: &Dir) -> Result<Option<u64>, Error> {
    Ok(private.read(FENCE)?.and_then(|bytes| from_bytes(&bytes)))
}

/// Makes the number greater by one and returns it. On a full disk the number stays as it is.
pub(crate) fn grow(private: &Dir) -> Result<u64, Error> {
    let before = read(private)?;
    let next = before.map_or(1, |before| before.saturating_add(1));
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
