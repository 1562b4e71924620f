//! The directory of a source, before it is scanned.
//!
//! It must not lie in its own target, nor hold it, unless a pattern leaves the target out: a release would hold itself.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, SourceError};
use crate::request::SourceRequest;
use crate::target::Destination;

/// The use of the last scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastScan {
    /// Entries with an equal stat are not read again.
    Trusted,
    /// Every directory is listed and every file is read.
    Ignored,
}

/// See the module's description.
pub(crate) struct SourceDirectory<'a> {
    /// The request.
    pub(crate) request: &'a SourceRequest,
    /// The path, absolute and without symlinks.
    pub(crate) path: PathBuf,
    /// The directory of the local target, as device and inode.
    pub(crate) forbidden: Option<(u64, u64)>,
}

impl<'a> SourceDirectory<'a> {
    /// Finds the directory. Refuses a directory inside its own local target.
    pub(crate) fn find(request: &'a SourceRequest, destination: &Destination) -> Result<SourceDirectory<'a>, Error> {
        let path = std::fs::canonicalize(&request.directory).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::Source(SourceError::Missing(request.directory.clone())),
            _ => {
                Error::Source(SourceError::Unreadable { path: request.directory.display().to_string(), source: error })
            }
        })?;
        let forbidden = check_overlap(&path, destination)?;
        Ok(SourceDirectory { request, path, forbidden })
    }
}

/// Returns the device and inode of the local target, if it exists, so that the scan refuses a source that holds it.
fn check_overlap(source: &Path, destination: &Destination) -> Result<Option<(u64, u64)>, Error> {
    let Destination::Local(target) = destination else { return Ok(None) };
    let overlapping =
        || Error::Source(SourceError::Overlapping { source_path: source.to_owned(), target: target.clone() });
    let real = real_path(target);
    if source.starts_with(&real) {
        return Err(overlapping());
    }
    let own = std::fs::metadata(&real).ok();
    if own.is_none() && real.starts_with(source) {
        // The target would be made in the source, and be part of every deploy but the first.
        return Err(overlapping());
    }
    Ok(own.map(|metadata| (metadata.dev(), metadata.ino())))
}

/// Resolves the existing part of a path.
fn real_path(path: &Path) -> PathBuf {
    match (std::fs::canonicalize(path), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real_path(parent).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}
