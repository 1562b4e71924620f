//! The store file: `.cutover/store`, as JSON. It marks a deploy path as ours and identifies its store.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::disk::Dir;
use crate::error::{DamageError, Error, SiteError};

use super::parts::{PRIVATE, PRIVATE_MODE, holds_releases, open_part};
use super::reserve;
use crate::agent::clock::{AHEAD_SECONDS_MAX, now};
use crate::agent::json::to_json;
use crate::agent::token::random_name;

/// The format of the store file. It grows when an older version could do harm.
pub(crate) const STORE_FORMAT: u32 = 1;

/// The name of the store file.
pub(super) const STORE: &[u8] = b"store";

/// The content of `.cutover/store`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreFile {
    /// [`STORE_FORMAT`].
    pub(crate) format: u32,
    /// The identity of the store, a random name.
    pub(crate) id: String,
    /// The epoch, which grows before any object is removed.
    pub(crate) epoch: u64,
    /// The greatest second of the removed releases that no record has any more. No second is used twice.
    #[serde(default)]
    pub(crate) second: u32,
    /// The path of the link to the live release, if it is not `current` in the deploy path.
    pub(crate) current_path: Option<PathBuf>,
}

impl StoreFile {
    /// Reads the store file, or nothing if there is none.
    pub(crate) fn read(root: &Dir) -> Result<Option<StoreFile>, Error> {
        if root.stat(PRIVATE)?.is_none() {
            return Ok(None);
        }
        let Some(bytes) = open_part(root, PRIVATE, PRIVATE_MODE)?.read(STORE)? else {
            return Ok(None);
        };
        store_from_bytes(&bytes).map(Some).map_err(|bad| match bad {
            StoreFileError::Format(found) => Error::Site(SiteError::StoreFormat { found, known: STORE_FORMAT }),
            StoreFileError::Damaged(reason) => store_damaged(root, &reason),
        })
    }

    /// Reads the store file, which must exist.
    pub(crate) fn read_own(root: &Dir) -> Result<StoreFile, Error> {
        StoreFile::read(root)?.ok_or_else(|| store_damaged(root, "it is missing"))
    }

    /// Writes the store file. A cleanup does that before it removes objects, so it must work on a full disk.
    pub(super) fn write(&self, private: &Dir) -> Result<(), Error> {
        reserve::write_critical(private, || private.replace(STORE, to_json(self).as_bytes()))
    }

    /// Makes the first store file. If two first deploys come here at once, the identity of the first one counts.
    pub(super) fn create(root: &Dir, private: &Dir, current_path: Option<PathBuf>) -> Result<StoreFile, Error> {
        // If a store file was lost, the seconds of removed releases are unknown. None of them is later than this, unless
        // releases came faster than one a second.
        let second = if holds_releases(root)? { now() as u32 + AHEAD_SECONDS_MAX } else { 0 };
        let store = StoreFile { format: STORE_FORMAT, id: random_name()?, epoch: 0, second, current_path };
        let temporary = format!(".store-{}", store.id);
        match private.put_new(STORE, to_json(&store).as_bytes(), temporary.as_bytes())? {
            true => Ok(store),
            false => Ok(StoreFile::read(root)?.unwrap_or(store)),
        }
    }
}

/// The reason why a store file cannot be read.
#[derive(Debug, PartialEq, Eq)]
enum StoreFileError {
    Format(u64),
    Damaged(String),
}

/// Reads a store file. The format is read first, because another format may have other fields.
fn store_from_bytes(bytes: &[u8]) -> Result<StoreFile, StoreFileError> {
    #[derive(Deserialize)]
    struct Front {
        format: u64,
    }
    let damaged = |error: serde_json::Error| StoreFileError::Damaged(error.to_string());
    match serde_json::from_slice(bytes).map_err(damaged)? {
        Front { format } if format != u64::from(STORE_FORMAT) => Err(StoreFileError::Format(format)),
        Front { .. } => serde_json::from_slice(bytes).map_err(damaged),
    }
}

/// Makes the error for a store file that cannot be used.
pub(super) fn store_damaged(root: &Dir, reason: &str) -> Error {
    let path = root.path_of(PRIVATE).join(OsStr::from_bytes(STORE)).display().to_string();
    Error::Damage(DamageError::Store { path, reason: reason.to_owned() })
}
