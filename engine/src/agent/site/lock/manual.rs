//! The manual lock: `.cutover/manual-lock`, JSON. It stays until somebody removes it.
//!
//! It is written and removed under the lock, so no other run is at work when it comes. Every run that takes the lock
//! looks for it.

use crate::agent::json::to_json;
use crate::disk::Dir;
use crate::error::{Error, ReleaseError};
use crate::manual_lock::ManualLock;

use super::Lock;

const MANUAL_LOCK: &[u8] = b"manual-lock";

/// Returns the manual lock, if there is one. One that cannot be read keeps deploys out too.
pub(crate) fn read(private: &Dir) -> Result<Option<ManualLock>, Error> {
    let unknown = || ManualLock {
        who: "unknown".to_owned(),
        from: "unknown".to_owned(),
        since: 0,
        message: "its file cannot be read".to_owned(),
    };
    let bytes = private.read(MANUAL_LOCK)?;
    Ok(bytes.map(|bytes| serde_json::from_slice(&bytes).unwrap_or_else(|_| unknown())))
}

/// Takes a manual lock, durably. Fails if there is one.
pub(crate) fn acquire(_lock: &Lock, private: &Dir, manual: &ManualLock) -> Result<(), Error> {
    if let Some(held) = read(private)? {
        return Err(ReleaseError::LockedManually { held: held.to_string() }.into());
    }
    private.replace(MANUAL_LOCK, to_json(manual).as_bytes())
}

/// Removes the manual lock, durably. Returns it, if there was one.
pub(crate) fn remove(_lock: &Lock, private: &Dir) -> Result<Option<ManualLock>, Error> {
    let removed = read(private)?;
    if private.remove_file(MANUAL_LOCK)? {
        private.sync()?;
    }
    Ok(removed)
}
