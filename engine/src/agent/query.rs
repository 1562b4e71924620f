//! Says how things stand: `releases` and `status`. Changes nothing.

use std::collections::HashMap;

use crate::error::{Error, SiteError};
use crate::manifest::decode::StreamEntryKind;
use crate::path::Shown;
use crate::release::{Record, ReleaseId};
use crate::report::{ReleaseReport, ReleaseState, ReleasesReport, SpareReport, StatusReport};

use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::records::{Releases, object_of, read_objects};
use super::staging::staged_bytes;
use super::store::{ObjectName, Store};
use super::trash::Spare;

/// Lists the releases.
pub(crate) fn releases(layout: &Layout) -> Result<ReleasesReport, Error> {
    let releases = Releases::read(layout)?;
    let mut warnings = Vec::new();
    let live = live(layout, &mut warnings)?;
    let Own { bytes: own_bytes, unreadable, .. } = own(layout, &releases, None)?;
    let report = |record: &Record| {
        let own_bytes = own_bytes.get(&record.id).copied().unwrap_or(0);
        let mut report = describe(record, live.as_ref(), own_bytes);
        if unreadable.contains(&record.id) {
            report.state = ReleaseState::Damaged;
        }
        report
    };
    let mut reports: Vec<ReleaseReport> = releases.records.iter().map(report).collect();
    reports.extend(releases.damaged.iter().map(|(id, _)| ReleaseReport {
        id: id.clone(),
        state: ReleaseState::Damaged,
        live_since: None,
        created: 0,
        commit: None,
        files: 0,
        bytes: 0,
        own_bytes: 0,
        who: String::new(),
        manifest: String::new(),
    }));
    Ok(ReleasesReport { releases: reports, foreign: foreign(&releases), warnings })
}

/// Returns what is live, for those who only look. A link that leads elsewhere, as to a page for the time of maintenance, is
/// named and keeps nothing from being told.
fn live(layout: &Layout, warnings: &mut Vec<String>) -> Result<Option<ReleaseId>, Error> {
    match layout.current.live() {
        Err(error @ Error::Site(SiteError::CurrentForeign { .. } | SiteError::CurrentNotSymlink(_))) => {
            warnings.push(error.to_string());
            Ok(None)
        }
        live => live,
    }
}

fn foreign(releases: &Releases) -> Vec<String> {
    releases.foreign.iter().map(|name| Shown(name).to_string()).collect()
}

fn describe(record: &Record, live: Option<&ReleaseId>, own_bytes: u64) -> ReleaseReport {
    let state = match record.was_live() {
        _ if live == Some(&record.id) => ReleaseState::Live,
        true => ReleaseState::Earlier,
        false => ReleaseState::Ready,
    };
    ReleaseReport {
        id: record.id.clone(),
        state,
        live_since: record.went_live.last().copied(),
        created: record.created,
        commit: record.provenance.commit.clone(),
        files: record.files,
        bytes: record.bytes,
        own_bytes,
        who: format!("{}@{}", record.provenance.who, record.provenance.from),
        manifest: record.root.to_string(),
    }
}

/// What only one release has.
#[derive(Default)]
struct Own {
    /// By release: the sizes of the objects that no other one names, in bytes.
    bytes: HashMap<ReleaseId, u64>,
    /// Those whose manifest cannot be read.
    unreadable: Vec<ReleaseId>,
    /// The same of a spare.
    spare_bytes: u64,
    /// The directories of a spare.
    spare_directories: u64,
}

/// Who names an object: one release, or several.
enum Users {
    One(usize, u64),
    Several,
}

/// Notes that a release names an object.
fn note(users: &mut HashMap<ObjectName, Users>, at: usize, name: ObjectName, size: u64) {
    let named = users.entry(name).or_insert(Users::One(at, size));
    if !matches!(named, Users::One(first, _) if *first == at) {
        *named = Users::Several;
    }
}

fn own(layout: &Layout, releases: &Releases, spare: Option<&Spare>) -> Result<Own, Error> {
    let (mut users, mut own) = (HashMap::new(), Own::default());
    for (at, record) in releases.records.iter().enumerate() {
        if read_objects(layout, &record.id, &record.root, |name, size| note(&mut users, at, name, size)).is_err() {
            own.unreadable.push(record.id.clone());
        }
    }
    if let Some(spare) = spare {
        spare.entries(layout, |entry, placement| {
            own.spare_directories += u64::from(matches!(entry.kind, StreamEntryKind::Directory));
            if let Some((name, size)) = object_of(&entry, placement) {
                note(&mut users, releases.records.len(), name, size);
            }
        })?;
    }
    for users in users.into_values() {
        if let Users::One(at, size) = users {
            match releases.records.get(at) {
                Some(record) => *own.bytes.entry(record.id.clone()).or_insert(0) += size,
                None => own.spare_bytes += size,
            }
        }
    }
    Ok(own)
}

/// Says how the deploy path stands.
pub(crate) fn status(layout: &Layout) -> Result<StatusReport, Error> {
    let releases = Releases::read(layout)?;
    let mut warnings = Vec::new();
    let live = live(layout, &mut warnings)?;
    let record = live.as_ref().and_then(|live| releases.find(live));
    let rollback = releases.rollback_from(live.as_ref());
    let spare = Spare::find(layout)?;
    let own = own(layout, &releases, spare.as_ref())?;
    let (store_objects, store_bytes) = Store::new(layout.objects.again()?).use_of_disk()?;
    let free = layout.root.free()?;
    Ok(StatusReport {
        deploy_path: layout.root.path().display().to_string(),
        current_path: layout.current.path().display().to_string(),
        live: record.map(|record| describe(record, live.as_ref(), own.bytes.get(&record.id).copied().unwrap_or(0))),
        broken: live.filter(|_| record.is_none()),
        rollback: rollback.map(|record| record.id.clone()),
        lock: Lock::holder(&layout.private)?,
        releases: releases.records.len() as u64,
        store_objects,
        store_bytes,
        staging_bytes: staged_bytes(layout)?,
        spare: spare.map(|spare| SpareReport {
            release: spare.id,
            disk_bytes: own.spare_bytes + own.spare_directories * free.block_bytes,
        }),
        free_bytes: free.bytes,
        free_inodes: free.inodes,
        store: layout.store.id.clone(),
        foreign: foreign(&releases),
        warnings,
    })
}
