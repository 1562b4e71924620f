//! The reports `releases` and `status`. They change nothing.

use std::collections::HashMap;

use crate::error::{AdoptError, Error, SiteError};
use crate::manifest::decode::StreamEntryKind;
use crate::path::Shown;
use crate::release::{Record, ReleaseId};
use crate::report::{
    ComparisonReport, LinkState, ReleaseReport, ReleaseState, ReleasesReport, SpareReport, StatusReport, TrialReport,
};

use super::adopt::{UnfinishedAdoption, unfinished};
use super::clock::now;
use super::compare::{Depth, Stop, compare_releases};
use super::removed::{self, RemovedRelease};
use super::shared;
use super::site::layout::Layout;
use super::site::lock::{Lock, manual};
use super::site::mend::is_remnant;
use super::site::records::{Releases, object_of, read_objects};
use super::staging::received_usage;
use super::store::{ObjectName, Store};
use super::trash::Spare;

/// Lists the releases; with `all`, also removed ones that a rollback might make again.
pub(crate) fn releases(layout: &Layout, all: bool) -> Result<ReleasesReport, Error> {
    let releases = Releases::read(layout)?;
    let mut warnings = Vec::new();
    let live = live(layout, &mut warnings)?;
    let ExclusiveUse { bytes: own_bytes, unreadable, .. } = exclusive_use(layout, &releases, None)?;
    let report = |record: &Record| {
        let own_bytes = own_bytes.get(&record.id).copied().unwrap_or(0);
        let mut report = describe(record, live.as_ref(), own_bytes);
        if unreadable.contains(&record.id) {
            report.state = ReleaseState::Damaged;
        }
        report
    };
    let mut reports: Vec<ReleaseReport> = releases.records.iter().map(report).collect();
    if all {
        let removed = removed::find_all(layout, &releases)?;
        let gone = |removed: &RemovedRelease| ReleaseReport {
            state: ReleaseState::Removed,
            ..describe(&removed.record, None, 0)
        };
        reports.splice(0..0, removed.iter().map(gone));
    }
    reports.extend(releases.damaged.iter().map(|(id, _)| ReleaseReport {
        id: id.clone(),
        state: ReleaseState::Damaged,
        live_since: None,
        created: 0,
        commit: None,
        branch: None,
        dirty: None,
        files: 0,
        bytes: 0,
        own_bytes: 0,
        who: String::new(),
        manifest: String::new(),
        bad: None,
        pinned: None,
        migrations: Vec::new(),
    }));
    warnings.extend(damage_warnings(layout, &releases, live.as_ref(), &unreadable)?);
    Ok(ReleasesReport { releases: reports, foreign: foreign(&releases), warnings })
}

/// Returns the live release, for a report. If the link points elsewhere, for example at a maintenance page, a warning
/// names its target and the report goes on.
pub(super) fn live(layout: &Layout, warnings: &mut Vec<String>) -> Result<Option<ReleaseId>, Error> {
    Ok(live_with_link(layout, warnings)?.0)
}

/// Returns the live release as `live` does, and what stands in the place of the link.
fn live_with_link(layout: &Layout, warnings: &mut Vec<String>) -> Result<(Option<ReleaseId>, LinkState), Error> {
    let begun = unfinished(layout)?;
    if let Some(UnfinishedAdoption::Begun(site) | UnfinishedAdoption::Exchanged(site)) = &begun {
        warnings.push(AdoptError::Unfinished(site.clone()).to_string());
    }
    Ok(match (layout.current.live(), begun) {
        (Ok(Some(live)), _) => (Some(live), LinkState::Release),
        (Ok(None) | Err(Error::Site(SiteError::CurrentNotSymlink(_))), Some(_)) => {
            (None, LinkState::AdoptionUnfinished)
        }
        (Ok(None), None) => (None, LinkState::Missing),
        (Err(Error::Site(SiteError::CurrentNotSymlink(path))), None) => {
            warnings.push(format!("`{path}` stands in the place of the link, and is a directory or a file"));
            (None, LinkState::NotALink)
        }
        (Err(error @ Error::Site(SiteError::CurrentForeign { .. })), _) => {
            warnings.push(error.to_string());
            (None, LinkState::Elsewhere)
        }
        (Err(error), _) => return Err(error),
    })
}

/// Returns a warning for each damaged release, with the next step.
fn damage_warnings(
    layout: &Layout,
    releases: &Releases,
    live: Option<&ReleaseId>,
    unreadable: &[ReleaseId],
) -> Result<Vec<String>, Error> {
    let damaged = releases.damaged.iter().map(|(id, reason)| (id, reason.as_str()));
    let unreadable = unreadable.iter().map(|id| (id, "its manifest is missing or wrong"));
    let warning = |(id, reason): (&ReleaseId, &str)| {
        let next = if live == Some(id) {
            "It is live: deploy again, or go back to another release".to_owned()
        } else if is_remnant(layout, live, id)? {
            "The next deploy or cleanup removes its record".to_owned()
        } else {
            format!(
                "If nothing serves from it, delete `releases/{id}` on the server; the next deploy or cleanup removes the rest"
            )
        };
        Ok(format!("Release {id} is damaged: {reason}. {next}"))
    };
    damaged.chain(unreadable).map(warning).collect()
}

fn foreign(releases: &Releases) -> Vec<String> {
    releases.foreign.iter().map(|name| Shown(name).to_string()).collect()
}

/// Returns the state of a release that is not damaged.
pub(super) fn describe_state(record: &Record, live: Option<&ReleaseId>) -> ReleaseState {
    match record.was_live() {
        _ if live == Some(&record.id) => ReleaseState::Live,
        _ if record.is_bad() => ReleaseState::Bad,
        true => ReleaseState::Earlier,
        false => ReleaseState::Ready,
    }
}

fn describe(record: &Record, live: Option<&ReleaseId>, own_bytes: u64) -> ReleaseReport {
    ReleaseReport {
        id: record.id.clone(),
        state: describe_state(record, live),
        live_since: record.went_live.last().copied(),
        created: record.created,
        commit: record.provenance.commit.clone(),
        branch: record.provenance.branch.clone(),
        dirty: record.provenance.dirty,
        files: record.files,
        bytes: record.bytes,
        own_bytes,
        who: record.provenance.person(),
        manifest: record.root.to_string(),
        bad: record.marks.bad.clone(),
        pinned: record.marks.pinned.clone().filter(|pin| pin.holds(now())),
        migrations: record.marks.migrations.clone(),
    }
}

/// The disk that only one release uses.
#[derive(Default)]
struct ExclusiveUse {
    /// By release: the total size of the objects that only this release names, in bytes.
    bytes: HashMap<ReleaseId, u64>,
    /// The releases whose manifest cannot be read.
    unreadable: Vec<ReleaseId>,
    /// The total size of the objects that only the spare names, in bytes.
    spare_bytes: u64,
    /// The number of directories in the spare.
    spare_directories: u64,
}

/// The releases that name an object: one, or several.
enum References {
    One(usize, u64),
    Several,
}

/// Counts a reference of a release to an object.
fn note_reference(references: &mut HashMap<ObjectName, References>, at: usize, name: ObjectName, size: u64) {
    let named = references.entry(name).or_insert(References::One(at, size));
    if !matches!(named, References::One(first, _) if *first == at) {
        *named = References::Several;
    }
}

fn exclusive_use(layout: &Layout, releases: &Releases, spare: Option<&Spare>) -> Result<ExclusiveUse, Error> {
    let (mut references, mut own) = (HashMap::new(), ExclusiveUse::default());
    for (at, record) in releases.records.iter().enumerate() {
        if read_objects(layout, &record.id, &record.root, |name, size| note_reference(&mut references, at, name, size))
            .is_err()
        {
            own.unreadable.push(record.id.clone());
        }
    }
    if let Some(spare) = spare {
        spare.entries(layout, |passing, placement| {
            own.spare_directories += u64::from(matches!(passing.kind, StreamEntryKind::Directory));
            if let Some((name, size)) = object_of(&passing, placement) {
                note_reference(&mut references, releases.records.len(), name, size);
            }
        })?;
    }
    for references in references.into_values() {
        if let References::One(at, size) = references {
            match releases.records.get(at) {
                Some(record) => *own.bytes.entry(record.id.clone()).or_insert(0) += size,
                None => own.spare_bytes += size,
            }
        }
    }
    Ok(own)
}

/// Reports the state of the deploy path.
pub(crate) fn status(layout: &Layout, depth: Option<Depth>) -> Result<StatusReport, Error> {
    let releases = Releases::read(layout)?;
    let mut warnings = Vec::new();
    let (live, link) = live_with_link(layout, &mut warnings)?;
    let record = live.as_ref().and_then(|live| releases.find(live));
    let may_switch = !matches!(link, LinkState::NotALink | LinkState::AdoptionUnfinished);
    let rollback = releases.rollback_from(live.as_ref()).filter(|_| may_switch);
    let forward = releases.return_from(live.as_ref());
    let spare = Spare::find(layout)?;
    let own = exclusive_use(layout, &releases, spare.as_ref())?;
    warnings.extend(record.and_then(|record| shared::missing_warning(&layout.shared, record)));
    warnings.extend(damage_warnings(layout, &releases, live.as_ref(), &own.unreadable)?);
    let store = Store::new(layout.objects.duplicate()?).usage()?;
    let free = layout.root.free()?;
    let comparison = depth.map(|depth| compare(layout, &releases, depth, &mut warnings)).transpose()?;
    Ok(StatusReport {
        deploy_path: layout.root.path().display().to_string(),
        current_path: layout.current.path().display().to_string(),
        link,
        live: record.map(|record| describe(record, live.as_ref(), own.bytes.get(&record.id).copied().unwrap_or(0))),
        broken: live.filter(|_| record.is_none()),
        rollback: rollback.map(|record| record.id.clone()),
        forward: forward.map(|record| record.id.clone()),
        trial: record.and_then(|record| record.trial.as_ref()).map(|trial| TrialReport {
            back_to: trial.back_to.clone(),
            needs_confirmation: trial.confirmation.is_some(),
        }),
        lock: Lock::holder(&layout.private)?,
        manual_lock: manual::read(&layout.private)?,
        releases: releases.records.len() as u64,
        store_objects: store.inodes,
        store_bytes: store.bytes,
        staging_bytes: received_usage(layout)?.bytes,
        spare: spare.map(|spare| SpareReport {
            release: spare.id,
            disk_bytes: own.spare_bytes + own.spare_directories * free.costs.block_bytes,
        }),
        free_bytes: free.bytes,
        free_inodes: free.inodes,
        store: layout.store.id.clone(),
        foreign: foreign(&releases),
        comparison,
        warnings,
    })
}

/// Compares all releases with their manifests.
fn compare(
    layout: &Layout,
    releases: &Releases,
    depth: Depth,
    warnings: &mut Vec<String>,
) -> Result<ComparisonReport, Error> {
    let records: Vec<&Record> = releases.records.iter().collect();
    let compared = compare_releases(layout, &records, depth, &Stop::default())?;
    warnings.extend(compared.failed_warnings());
    Ok(compared.into_report(depth))
}
