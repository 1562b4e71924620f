//! The content of a site: scans it, and brings what the store lacks into staging.
//!
//! Nothing is linked that a running program may write to: files are copied, or share their blocks where the filesystem can
//! do that. On request, for lack of space, files are linked all the same (`linking`). The hash of what was staged decides:
//! a file that changed since the scan is scanned again.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::agent::assemble::Assembly;
use crate::agent::conversation::Conversation;
use crate::agent::receive::WantedObjects;
use crate::agent::reporter::Reporter;
use crate::agent::store::ObjectName;
use crate::cancel::Cancel;
use crate::disk::Dir;
use crate::error::Error;
use crate::event::{Event, Observer, Phase};
use crate::manifest::{Manifest, ObjectKey};
use crate::scan::snapshot::Snapshot;
use crate::scan::{WalkRequest, walk};

use super::linking;
use super::rules::SiteRules;
use super::standing::Standing;

/// The files between two looks whether the client is still there.
const FILES_BETWEEN_LOOKS: u64 = 256;

/// Reads a site.
pub(super) struct SiteContent<'a> {
    /// The site.
    pub(super) standing: &'a Standing,
    /// What is left out.
    pub(super) rules: &'a SiteRules,
    /// Whether to link files and not to copy them.
    pub(super) is_linked: bool,
    /// Receives progress. If the client has gone, nothing goes on.
    pub(super) conversation: &'a Conversation,
}

/// Passes the progress of a scan on.
struct ScanProgress<'a>(&'a dyn Reporter);

impl Observer for ScanProgress<'_> {
    fn observe(&self, event: Event) {
        if let Event::Progress { phase, files, files_total, .. } = event {
            self.0.progress(phase, files, files_total);
        }
    }
}

impl SiteContent<'_> {
    /// Scans the site. Files that are unchanged since the last scan are not read again.
    pub(super) fn scan(&self, last: Option<&Arc<Snapshot>>) -> Result<Arc<Snapshot>, Error> {
        self.conversation.check_client()?;
        let dir = self.standing.dir.reopen()?;
        let root = dir.as_fd().try_clone_to_owned().map_err(|error| Error::io("hold", dir.path(), error))?;
        let request = WalkRequest {
            root: &root,
            path: &self.standing.path,
            rules: self.rules,
            known: last,
            // All files of a release get the group of the site.
            group: Some(self.standing.dir.own_stat()?.gid),
            forbidden: None,
            observer: &ScanProgress(self.conversation),
            cancel: &Cancel::default(),
        };
        walk(&request)?.finish(None)
    }

    /// Stages the wanted objects. Those whose files changed since the scan stay wanted. `staged` are the objects that are in
    /// staging already.
    pub(super) fn stage(
        &self,
        assembly: &Assembly<'_>,
        wanted: &WantedObjects,
        snapshot: &Snapshot,
        staged: &mut HashSet<ObjectKey>,
    ) -> Result<(), Error> {
        for at in 0..wanted.len() {
            if staged.contains(&wanted.key(at)) {
                wanted.arrive(at);
            }
        }
        let (done, total) = (AtomicU64::new(0), wanted.missing().count() as u64);
        wanted.missing().collect::<Vec<_>>().into_par_iter().try_for_each(|at| {
            let number = done.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(FILES_BETWEEN_LOOKS) {
                self.conversation.check_client()?;
            }
            self.conversation.progress(Phase::Copy, number, total);
            if self.stage_object(assembly, wanted, snapshot, at)? {
                wanted.arrive(at);
            }
            Ok::<(), Error>(())
        })?;
        staged.extend(wanted.arrived().map(|at| wanted.key(at)));
        Ok(())
    }

    /// Stages an object from the first of its files that still has the content.
    fn stage_object(
        &self,
        assembly: &Assembly<'_>,
        wanted: &WantedObjects,
        snapshot: &Snapshot,
        at: usize,
    ) -> Result<bool, Error> {
        let name = ObjectName { key: wanted.key(at), copy: 0 };
        for &entry in wanted.entries(at) {
            let Some((dir, file)) = self.open(assembly.manifest, entry)? else { continue };
            let own_name = assembly.manifest.name(entry);
            let noted = snapshot.stats[entry as usize].inode;
            let is_staged = (self.is_linked && linking::stage_link(assembly, &dir, own_name, &file, noted, name)?)
                || assembly.sources.stage_copy(&file, name, assembly.second)?;
            if is_staged {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Opens the file of an entry, if it is still there.
    fn open(&self, manifest: &Manifest, entry: u32) -> Result<Option<(Dir, File)>, Error> {
        let above = manifest.directory_path(manifest.holder(entry));
        let dir = if above.is_empty() { self.standing.dir.duplicate() } else { self.standing.dir.open_below(&above) };
        let dir = match dir {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            // It became something else: the next scan sees it.
            Err(Error::Site(_)) => return Ok(None),
            other => other?,
        };
        let file = dir.open_file(manifest.name(entry));
        match file {
            // It became a symlink.
            Err(Error::Io { source, .. }) if source.raw_os_error() == Some(libc::ELOOP) => Ok(None),
            file => Ok(file?.map(|file| (dir, file))),
        }
    }
}
