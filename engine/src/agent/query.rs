//! Says how things stand: `releases` and `status`. Changes nothing.

use std::collections::HashMap;

use crate::error::Error;
use crate::path::Shown;
use crate::release::{Record, ReleaseId};
use crate::report::{ReleaseReport, ReleaseState, ReleasesReport, StatusReport};

use super::layout::Layout;
use super::lock::Lock;
use super::records::{Releases, read_objects};
use super::staging::staged_bytes;
use super::store::{ObjectName, Store};

/// Lists the releases.
pub(crate) fn releases(layout: &Layout) -> Result<ReleasesReport, Error> {
    let releases = Releases::read(layout)?;
    let live = layout.current.live()?;
    let (own_bytes, unreadable) = own_bytes(layout, &releases);
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
    Ok(ReleasesReport { releases: reports, foreign: foreign(&releases) })
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

/// Sums, for each release, the sizes of objects that no other one names; and finds those whose manifest cannot be read.
fn own_bytes(layout: &Layout, releases: &Releases) -> (HashMap<ReleaseId, u64>, Vec<ReleaseId>) {
    /// Who names an object: one release, or several.
    enum Users {
        One(usize, u64),
        Several,
    }
    let mut users: HashMap<ObjectName, Users> = HashMap::new();
    let mut unreadable = Vec::new();
    for (at, record) in releases.records.iter().enumerate() {
        let take = |name, size| {
            let named = users.entry(name).or_insert(Users::One(at, size));
            if !matches!(named, Users::One(first, _) if *first == at) {
                *named = Users::Several;
            }
        };
        if read_objects(layout, &record.id, &record.root, take).is_err() {
            unreadable.push(record.id.clone());
        }
    }
    let mut own: HashMap<ReleaseId, u64> = HashMap::new();
    for users in users.into_values() {
        if let Users::One(at, size) = users {
            *own.entry(releases.records[at].id.clone()).or_insert(0) += size;
        }
    }
    (own, unreadable)
}

/// Says how the deploy path stands.
pub(crate) fn status(layout: &Layout) -> Result<StatusReport, Error> {
    let releases = Releases::read(layout)?;
    let live = layout.current.live()?;
    let record = live.as_ref().and_then(|live| releases.find(live));
    let rollback = releases.rollback_from(live.as_ref());
    let own_bytes = own_bytes(layout, &releases).0;
    let (store_objects, store_bytes) = Store::new(layout.objects.again()?).use_of_disk()?;
    let free = layout.root.free()?;
    Ok(StatusReport {
        deploy_path: layout.root.path().display().to_string(),
        current_path: layout.current.path().display().to_string(),
        live: record.map(|record| describe(record, live.as_ref(), own_bytes.get(&record.id).copied().unwrap_or(0))),
        broken: live.filter(|_| record.is_none()),
        rollback: rollback.map(|record| record.id.clone()),
        lock: Lock::holder(&layout.private)?,
        releases: releases.records.len() as u64,
        store_objects,
        store_bytes,
        staging_bytes: staged_bytes(layout)?,
        free_bytes: free.bytes,
        free_inodes: free.inodes,
        store: layout.store.id.clone(),
        foreign: foreign(&releases),
    })
}
