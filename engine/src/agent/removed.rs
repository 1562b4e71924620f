//! Removed releases that a rollback can make again.
//!
//! ```text
//! .cutover/removed/<id>/
//! ├── record      as it was when the release was removed
//! ├── manifest    with the placements of its files
//! └── own         the names that were not of its manifest, if there were any
//! ```
//!
//! They come from trash when their objects were checked; the record of the spare still waits there. Only releases that
//! were live are kept, because a rollback goes to no other, and of those the newest. A removed release keeps no object:
//! it can be made again for as long as other releases, or the spare, have all of its content.

use std::io::ErrorKind;

use crate::disk::{Dir, OwnBlocks, Usage};
use crate::error::{DamageError, Error};
use crate::release::{Record, ReleaseId};
use crate::rollback::ReleaseName;

use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::own::{OWN, Own};
use super::site::records::{MANIFEST, RECORD, Releases, StoredManifest, read_removed_manifest, read_removed_record};
use super::trash::{self, RemovedRecords};

const REMOVED: &[u8] = b"removed";
const MODE: u32 = 0o700;

/// A release without a tree.
pub(crate) struct RemovedRelease {
    /// Its record.
    pub(crate) record: Record,
    /// The directory of its record.
    dir: Dir,
}

impl RemovedRelease {
    /// Reads its manifest and verifies it.
    pub(crate) fn manifest(&self) -> Result<StoredManifest, Error> {
        read_removed_manifest(&self.dir, &self.record.root).map_err(|reason| {
            let reason = format!("its manifest {reason}");
            Error::from(DamageError::Release { id: self.record.id.clone(), reason })
        })
    }

    /// Returns the number of names that were not of its manifest.
    pub(crate) fn own_names(&self) -> Result<usize, Error> {
        Own::read(&self.dir).map(|own| own.len())
    }
}

/// Finds the removed releases, oldest first.
pub(crate) fn find_all(layout: &Layout, releases: &Releases) -> Result<Vec<RemovedRelease>, Error> {
    let mut dirs = trash::records(layout)?;
    if let Some(removed) = open(layout)? {
        for name in names(&removed)? {
            dirs.push(removed.open_dir(&name)?);
        }
    }
    let mut found: Vec<RemovedRelease> = Vec::new();
    for dir in dirs {
        if let Some(record) = rebuildable(&dir)?
            // A release of that name was made since.
            && releases.ids().iter().chain(releases.damaged.iter().map(|(id, _)| id)).all(|id| *id != record.id)
        {
            found.push(RemovedRelease { record, dir });
        }
    }
    // Of two with one name, the newer one counts.
    found.sort_by_key(|removed| removed.record.sequence);
    let ids: Vec<ReleaseId> = found.iter().map(|removed| removed.record.id.clone()).collect();
    let mut at = 0;
    found.retain(|removed| {
        at += 1;
        !ids[at..].contains(&removed.record.id)
    });
    Ok(found)
}

/// Finds a removed release by its name, or by the first digits of its commit.
pub(crate) fn find(layout: &Layout, releases: &Releases, name: &ReleaseName) -> Result<Option<RemovedRelease>, Error> {
    let mut all = find_all(layout, releases)?;
    if all.is_empty() {
        return Ok(None);
    }
    let records = all.iter().map(|removed| removed.record.clone()).collect();
    let removed = Releases { records, ..Releases::default() };
    let id = removed.named(name, None)?.id.clone();
    Ok(all.iter().position(|removed| removed.record.id == id).map(|at| all.swap_remove(at)))
}

/// Keeps the newest of the removed releases whose objects were checked, and deletes all other records. Returns the space
/// that this frees.
pub(crate) fn keep_newest(lock: &Lock, layout: &Layout, checked: RemovedRecords, most: u32) -> Result<Usage, Error> {
    if most > 0 {
        for name in checked.names() {
            keep(layout, name)?;
        }
    }
    let deleted = checked.delete(lock, layout)?;
    let Some(removed) = open(layout)? else { return Ok(deleted) };
    let mut kept: Vec<(Option<u64>, Vec<u8>)> = Vec::new();
    for name in names(&removed)? {
        let sequence = rebuildable(&removed.open_dir(&name)?)?.map(|record| record.sequence);
        kept.push((sequence, name));
    }
    kept.sort_unstable();
    let surplus = kept.len().saturating_sub(most as usize);
    let is_surplus = |(at, (sequence, _)): &(usize, (Option<u64>, Vec<u8>))| *at < surplus || sequence.is_none();
    let surplus = kept.into_iter().enumerate().filter(is_surplus);
    let remove = |name: Vec<u8>| removed.remove_tree_in_part(&name, OwnBlocks::All);
    surplus
        .map(|(_, (_, name))| remove(name).map(|removal| removal.freed))
        .sum::<Result<Usage, Error>>()
        .map(|freed| deleted + freed)
}

/// Moves a record out of trash, if a rollback could go to its release. If the disk is full or the record lies in a lower
/// layer of an overlay, it stays in trash, and is deleted there.
fn keep(layout: &Layout, name: &[u8]) -> Result<(), Error> {
    let dir = layout.trash.open_dir(name)?;
    let Some(record) = rebuildable(&dir)? else { return Ok(()) };
    for other in dir.names()?.iter().filter(|name| ![RECORD, MANIFEST, OWN].contains(&name.as_slice())) {
        dir.remove_tree(other)?;
    }
    let id = record.id.as_str().as_bytes();
    let moved = || {
        let (removed, _) = layout.private.ensure_dir(REMOVED, MODE)?;
        removed.remove_tree(id)?;
        layout.trash.rename(name, &removed, id)
    };
    match moved() {
        Err(error) if error.is_full() => Ok(()),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => Ok(()),
        moved => moved,
    }
}

/// Forgets a removed release that exists again. Its tree, if it was the spare, is deleted by the next cleanup.
pub(crate) fn forget(lock: &Lock, layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
    if let Some(removed) = open(layout)? {
        removed.remove_tree(id.as_str().as_bytes())?;
    }
    trash::delete_records_of(lock, layout, id)
}

/// Returns the record of a release that was live and has a manifest.
fn rebuildable(dir: &Dir) -> Result<Option<Record>, Error> {
    match dir.stat(MANIFEST)? {
        Some(_) => Ok(read_removed_record(dir)?.filter(Record::was_live)),
        None => Ok(None),
    }
}

/// Returns the names of releases. Other names are not ours, and stay.
fn names(removed: &Dir) -> Result<Vec<Vec<u8>>, Error> {
    let is_id = |name: &Vec<u8>| std::str::from_utf8(name).is_ok_and(|name| name.parse::<ReleaseId>().is_ok());
    Ok(removed.names()?.into_iter().filter(is_id).collect())
}

fn open(layout: &Layout) -> Result<Option<Dir>, Error> {
    match layout.private.stat(REMOVED)? {
        Some(_) => layout.private.open_own_dir(REMOVED).map(Some),
        None => Ok(None),
    }
}
