//! Examines the trees of the releases: what differs from the manifest, and what the user will not be able to remove.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::agent::compare::{Depth, Stop, compare_releases};
use crate::disk::may_write;
use crate::error::Error;
use crate::path::shown_path;
use crate::release::{Record, ReleaseId};
use crate::report::{DifferenceKind, Finding};

use super::look::Look;
use super::place::{Ours, Place};

/// The most names that are looked at in one tree. A tree of a release has at most a few more.
const NAMES_MAX: usize = 1_500_000;

pub(super) fn look(place: &Place<'_>, ours: &Ours) -> Result<Look, Error> {
    let Ours { layout, releases } = ours;
    let mut look = Look::default();
    let live = layout.current.live().unwrap_or_default();
    let records: Vec<&Record> = releases.records.iter().collect();
    let compared = compare_releases(layout, &records, Depth::Stat, &Stop::default())?;
    for differences in compared.differences {
        let is_live = live.as_ref().is_some_and(|live| differences.releases.contains(live));
        let is_only_added = differences.paths.iter().all(|path| path.kind == DifferenceKind::Added);
        look.find(Finding::ReleaseEdited { differences, is_live, is_only_added });
    }
    for (id, error) in compared.failed {
        look.facts.push(format!("{id} was not compared: {}", error.with_cause()));
    }
    for record in &releases.records {
        look.findings.extend(unremovable(place, ours, &record.id));
    }
    Ok(look)
}

fn unremovable(place: &Place<'_>, ours: &Ours, id: &ReleaseId) -> Option<Finding> {
    let (path, owner) = find_unremovable(place, &ours.layout.releases.path_of(id.as_str().as_bytes()))?;
    Some(Finding::ReleaseNotRemovable {
        release: id.clone(),
        path: shown_path(&path),
        owner: place.name_of(owner),
        user: place.user.clone(),
    })
}

/// Finds a directory in a tree that has names, belongs to another user, and is closed to this one. Returns its owner too.
pub(super) fn find_unremovable(place: &Place<'_>, tree: &Path) -> Option<(PathBuf, u32)> {
    if place.is_root() {
        return None;
    }
    let (mut waiting, mut left) = (vec![tree.to_owned()], NAMES_MAX);
    while let Some(directory) = waiting.pop() {
        let owner = fs::symlink_metadata(&directory).ok()?.uid();
        let Ok(entries) = fs::read_dir(&directory) else {
            // Its owner can open it again.
            if owner == place.uid { continue } else { return Some((directory, owner)) }
        };
        let mut is_empty = true;
        for entry in entries.flatten() {
            (left, is_empty) = (left.checked_sub(1)?, false);
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
        if !is_empty && owner != place.uid && may_write(&directory).is_err() {
            return Some((directory, owner));
        }
    }
    None
}
