//! Finds processes that live in a release that is not live, such as a worker that was not restarted. Only the processes
//! of the user itself are seen, or, for root, all.
//!
//! A release that was live a moment ago may still answer its last requests: it is left out until its grace is over. While a
//! run has the lock, its hooks work in a release that is not live yet: then only those that were live count.

use std::path::PathBuf;

use crate::agent::clock::now;
use crate::agent::process::{Inhabitant, find_inhabitants};
use crate::agent::site::lock::{Lock, LockState};
use crate::agent::trash;
use crate::error::Error;
use crate::release::ReleaseId;
use crate::report::Finding;

use super::look::Look;
use super::place::{Ours, Place};

pub(super) fn look(place: &Place<'_>, ours: &Ours) -> Result<Look, Error> {
    let Ours { layout, releases } = ours;
    let live = layout.current.live()?;
    let grace = place.hello.policy.grace.as_secs();
    let root = layout.releases.path();
    let root = std::fs::canonicalize(root).map_err(|error| Error::io("resolve", root, error))?;
    let is_run = matches!(Lock::state(&layout.private)?, LockState::Held(_) | LockState::HookRuns { .. });
    let is_old = |retired: Option<u64>| retired.map_or(!is_run, |at| at.saturating_add(grace) <= now());
    let old = releases.records.iter().filter(|record| live.as_ref() != Some(&record.id) && is_old(record.retired));
    let mut trees: Vec<(ReleaseId, PathBuf)> =
        old.map(|record| (record.id.clone(), root.join(record.id.as_str()))).collect();
    for tree in trash::trees(layout, None)? {
        if let Some(id) = trash::release_of(&tree) {
            trees.push((id, trash::tree_path(layout, &tree)?));
        }
    }
    let paths: Vec<PathBuf> = trees.iter().map(|(_, path)| path.clone()).collect();
    let mut look = Look::default();
    for ((release, _), inhabitant) in trees.into_iter().zip(find_inhabitants(&paths)) {
        if let Some(Inhabitant::Process { name, pid }) = inhabitant {
            look.find(Finding::ProcessInOldRelease { name, pid, release });
        }
    }
    Ok(look)
}
