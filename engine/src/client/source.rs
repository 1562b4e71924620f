//! The source of a deploy: a directory that was scanned, held open.
//!
//! A source knows no host. It is scanned once, and exchanged with any number of hosts, one after another or at once
//! ([`crate::client::exchange`]), so any thread can use it. An exchange uses its manifest and the older ones on this
//! machine, opens and reads files by their entry in the manifest, and stores facts that make the next deploy faster.
//!
//! The last scan is held beside it until [`Source::drop_last`]: the hosts most likely have its manifest, but it takes
//! memory.

mod chunks;
mod reader;

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::cancel::Cancel;
use crate::client::changes::Changes;
use crate::client::commit::Commit;
use crate::client::git::{Blob, Blobs};
use crate::client::memory::Memory;
use crate::client::review::Review;
use crate::client::scan::{REVISION, Scan, ScanRequest, scan};
use crate::client::shared_manifest::SharedManifest;
use crate::client::source_directory::{LastScan, SourceDirectory};
use crate::client::tree_lock::TreeLock;
use crate::client::worktree::Worktree;
use crate::error::Error;
use crate::event::{Event, Observer, Phase};
use crate::hash::Hash;
use crate::manifest::Manifest;
use crate::scan::content;
use crate::scan::snapshot::Snapshot;

pub(crate) use reader::SourceReader;

/// See the module's description.
pub(crate) struct Source<'a> {
    path: PathBuf,
    scan: Scan,
    branch: Option<String>,
    /// The worktree, if the source is a commit.
    worktree: Option<Worktree>,
    /// The lock of a worktree, or of a directory in which a build ran. No other deploy builds there meanwhile.
    _lock: Option<TreeLock>,
    /// The last scan, if it differs from this one.
    last: Mutex<Option<Arc<Snapshot>>>,
    memory: &'a Memory,
    /// Whether the database has this scan.
    is_kept: AtomicBool,
}

impl<'a> Source<'a> {
    /// Scans a directory.
    pub(crate) fn scan(
        directory: SourceDirectory<'_>,
        last_scan: LastScan,
        memory: &'a Memory,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Source<'a>, Error> {
        let SourceDirectory { request, path, config, forbidden, worktree, lock, branch } = directory;
        observer.observe(Event::Began(Phase::Scan));
        let last = match last_scan {
            LastScan::Trusted => memory.ask(|database| database.scan(&path)).flatten().map(Arc::new),
            LastScan::Ignored => None,
        };
        let scan = scan(&ScanRequest {
            source: &path,
            exclude: &request.exclude,
            config: config.as_deref(),
            gitignore: request.gitignore,
            no_revision: request.no_revision,
            commit: worktree.as_ref().map(|worktree| worktree.commit.as_str()),
            known: last.as_ref(),
            forbidden,
            observer,
            cancel,
        })?;
        observer.observe(Event::Ended(Phase::Scan));
        let is_kept = last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &scan.found));
        let last = Mutex::new(last.filter(|_| !is_kept));
        Ok(Source { path, scan, branch, worktree, _lock: lock, last, memory, is_kept: AtomicBool::new(is_kept) })
    }

    /// Returns the manifest.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.scan.found.manifest
    }

    /// Returns the manifest by itself.
    pub(crate) fn into_manifest(self) -> Manifest {
        let Source { scan, last, .. } = self;
        drop(last);
        Arc::try_unwrap(scan.found).map_or_else(|found| found.manifest.clone(), |found| found.manifest)
    }

    /// Returns the commit, if the source is a git checkout and its commit is known.
    pub(crate) fn commit(&self) -> Option<&str> {
        self.scan.commit.known()
    }

    /// Returns the branch, if the commit is known: as it was asked for, as it is checked out, or as the request names it.
    pub(crate) fn branch(&self) -> Option<&str> {
        self.commit().and(self.branch.as_deref())
    }

    /// Tells whether the source has changes since its commit. None if that is unknown, or there is no commit.
    pub(crate) fn is_dirty(&self) -> Option<bool> {
        self.commit().and(match self.scan.changes {
            Changes::None => Some(false),
            Changes::Some => Some(true),
            Changes::Unknown { .. } => None,
        })
    }

    /// Returns the memory of earlier deploys.
    pub(crate) fn memory(&self) -> &'a Memory {
        self.memory
    }

    /// Returns warnings about a release of the source.
    pub(crate) fn review(&self, last_scan: LastScan) -> Vec<String> {
        let kept = match last_scan {
            LastScan::Trusted => self.memory.ask(|database| database.ignored(&self.path)).flatten(),
            LastScan::Ignored => None,
        };
        let Scan { found, source, rules, commit, changes, .. } = &self.scan;
        // Beside the commit, a worktree has only the results of builds.
        let warns_of_ignored = self.worktree.is_none();
        let review = Review { source: &self.path, held: source, rules, found, warns_of_ignored };
        let (mut warnings, ignored) = review.warnings(kept.as_ref());
        if let Some(ignored) = ignored {
            self.memory.ask(|database| database.put_ignored(&self.path, &ignored));
        }
        let has_own = found.manifest.child(0, REVISION).is_some();
        if let Commit::Unknown { reason } = commit
            && !has_own
        {
            warnings.push(format!("The release has no `REVISION`, as the commit of the source is unknown: {reason}"));
        }
        if let Changes::Unknown { reason } = changes {
            warnings.push(format!("Whether the source has changes since its commit is unknown: {reason}"));
        }
        warnings
    }

    /// Finds a manifest on this machine by its root: this one, the last scan's, or one in the database.
    pub(crate) fn find_manifest(&self, root: &Hash) -> Option<SharedManifest> {
        let is_it = |known: &&Arc<Snapshot>| known.manifest.root() == *root;
        let scanned =
            Some(&self.scan.found).filter(is_it).cloned().or_else(|| self.last().as_ref().filter(is_it).cloned());
        match scanned {
            Some(known) => Some(SharedManifest::Scanned(known)),
            None => self.memory.ask(|database| database.manifest(root)).flatten().map(SharedManifest::Alone),
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Arc<Snapshot>>> {
        self.last.lock().expect("nobody panics while the last scan is looked at")
    }

    /// Drops the last scan. Call it once every host that may have its manifest was checked.
    pub(crate) fn drop_last(&self) {
        self.last().take();
    }

    /// Stores the scan for the next one, once, if it differs from the stored one. Call it while the agent has work to
    /// do: otherwise the scan and the conversation would wait for it.
    pub(crate) fn keep(&self) {
        if !self.is_kept.swap(true, Ordering::Relaxed) {
            self.memory.ask(|database| database.put_scan(&self.path, &self.scan.found));
        }
    }

    /// Makes the next scan read all files.
    pub(crate) fn forget(&self) {
        self.memory.ask(|database| database.forget_scan(&self.path));
    }

    /// Opens the file of an entry, even if it has changed.
    pub(crate) fn open(&self, entry: u32) -> Option<File> {
        content::open(&self.scan.source, OsStr::from_bytes(&self.manifest().path(entry))).ok()
    }

    /// Finds git's blobs of files of a commit, by their paths and the lengths of their contents.
    pub(crate) fn find_blobs(&self, commit: &str, files: &[(Vec<u8>, u64)]) -> (Blobs, Vec<Option<Blob>>) {
        Blobs::find(&self.path, commit, files)
    }
}
