//! Walks the source and makes its manifest.
//!
//! Directories are walked in parallel, each relative to its own descriptor ([`walk`]). Every entry is looked at. What is as
//! the last scan knew it costs no more than that look: a file is not read again, a symlink not resolved, a directory not
//! listed, and where nothing has changed, what is known is the result ([`found`]).
//!
//! What cannot be deployed is refused by name: sockets, fifos, devices, what cannot be read, what will not hold still.
//! A name that vanishes while the walk is on its way was removed, and is not there.

mod found;
mod listing;
mod walk;

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::client::commit::commit_of;
use crate::client::known::Known;
use crate::client::rules::Rules;
use crate::error::Error;
use crate::event::Observer;
use crate::path::Shown;

use found::{Generated, Shape, known_of};
use walk::Walk;

/// What is asked of a scan.
pub(crate) struct ScanRequest<'a> {
    /// The directory.
    pub(crate) source: &'a Path,
    /// Patterns that leave paths out.
    pub(crate) exclude: &'a [String],
    /// The last scan of the same directory; without one, everything is listed and read.
    pub(crate) known: Option<&'a Arc<Known>>,
    /// A directory, as device and inode, that must not be in the source: the local target.
    pub(crate) forbidden: Option<(u64, u64)>,
    /// Receives progress.
    pub(crate) observer: &'a dyn Observer,
    /// Interrupts.
    pub(crate) cancel: &'a Cancel,
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The manifest, and the stat of each entry. That of the last scan itself where all is as that knew it.
    pub(crate) found: Arc<Known>,
    /// The source, held.
    pub(crate) source: OwnedFd,
    /// The entry whose content is not in the source, with its content.
    pub(crate) generated: Option<(u32, Vec<u8>)>,
    /// The commit of the source.
    pub(crate) commit: Option<String>,
    /// Paths whose setuid, setgid or sticky bits were dropped, shown with escapes.
    pub(crate) dropped_bits: Vec<String>,
}

/// Scans a source.
pub(crate) fn scan(request: &ScanRequest<'_>) -> Result<Scan, Error> {
    let source = open_source(request.source)?;
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i64);
    let walk = Walk::new(request);
    let root = walk.root(&source, &Rules::new(request.exclude)?)?;
    let commit = commit_of(request.source);
    let generated = commit.as_deref().map(Generated::revision);
    let shape = Shape { root, generated: generated.as_ref(), exclude: Rules::hash_of(request.exclude), began };
    let found = known_of(shape, request.known)?;
    let generated = generated.and_then(|revision| Some((found.generated(revision.name)?.0, revision.content)));
    let dropped_bits = walk.finish();
    Ok(Scan { found, source, generated, commit, dropped_bits })
}

fn open_source(path: &Path) -> Result<OwnedFd, Error> {
    match fs::open(path, OPEN_DIRECTORY, Mode::empty()) {
        Ok(source) => Ok(source),
        Err(Errno::NOENT) => Err(Error::SourceMissing(path.to_owned())),
        Err(Errno::NOTDIR) => Err(Error::SourceNotDirectory(path.to_owned())),
        Err(errno) => Err(unreadable(path.as_os_str().as_bytes(), errno)),
    }
}

const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn unreadable(path: &[u8], errno: Errno) -> Error {
    Error::SourceUnreadable { path: Shown(path).to_string(), source: errno.into() }
}
