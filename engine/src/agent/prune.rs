//! Cleanup: removes expired releases, then the objects that nothing names.
//!
//! 1. Rename the expired releases into trash, tree and record, and delete the trees there.
//! 2. Increment the epoch, so that no client relies on the objects afterwards.
//! 3. Remove the objects that these records name and no remaining release does.
//! 4. Delete the records, but for the newest, with which a rollback can make its release again (`removed`). If a run is killed before, the next one finds in trash which objects to check.
//!
//! An error is a warning, never a failure: the deploy is live, and the next one tries again. Nothing is written
//! before something was deleted, because a cleanup must free space on a full disk. So the second of a removed release
//! stays in its record in trash, and is kept elsewhere only when that record is deleted.

mod forecast;
mod left;
mod retention;
mod trees;

use std::collections::HashSet;
use std::path::PathBuf;

use rayon::prelude::*;

use crate::disk::Usage;
use crate::error::{DamageError, Error, ReleaseError};
use crate::release::{Record, ReleaseId};
use crate::report::{CleanupReport, KeptRelease};
use crate::target::Policy;

use self::forecast::due_after;
use self::retention::retention;
use self::trees::{delete_trees, releases_path, usage_of};
use super::clock::now;
use super::process::{Candidate, Ties, find_inhabitants, find_obstacles};
use super::removed;
use super::reporter::Reporter;
use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::mend::take_dropped;
use super::site::records::{ManifestView, Releases, read_objects};
use super::staging;
use super::store::{ObjectName, Store};
use super::trash::{self, RemovedRecords, Spare};
use super::uptime::Uptime;

pub(crate) use self::forecast::would_expire;

/// The most manifests that are read at once.
const MANIFESTS_AT_ONCE: usize = 2;

/// The options of a cleanup.
#[derive(Clone, Copy, Default)]
pub(crate) struct CleanupOptions<'a> {
    /// The lock. Without it nothing is changed: the cleanup is a dry run.
    pub(crate) lock: Option<&'a Lock>,
    /// Whether to check all objects, and not only those of removed releases.
    pub(crate) sweep: bool,
    /// The manifests that are already in memory.
    pub(crate) read: &'a [(&'a ReleaseId, ManifestView<'a>)],
}

impl<'a> CleanupOptions<'a> {
    /// Returns the manifest of a release, if it is already in memory.
    fn view(&self, record: &Record) -> Option<ManifestView<'a>> {
        self.read.iter().find(|(id, _)| **id == record.id).map(|&(_, placed)| placed)
    }
}

/// Removes the expired releases, and the objects that only those releases named. With `sweep`, removes every object
/// that no release names, and all leftovers. Without `sweep`, the newest expired release may stay in trash as the
/// spare, if the policy allows it, until the next deploy reuses it.
pub(crate) fn cleanup(
    layout: &mut Layout,
    releases: &mut Releases,
    policy: &Policy,
    options: &CleanupOptions<'_>,
    reporter: &dyn Reporter,
) -> Result<CleanupReport, Error> {
    let &CleanupOptions { lock, sweep, .. } = options;
    let mut report = CleanupReport { dry_run: lock.is_none(), ..CleanupReport::default() };
    let live = layout.current.live()?;
    let retention = retention(releases, live.as_ref(), policy, now(), Uptime::now().as_ref());
    report.kept.extend(retention.in_grace.into_iter().map(|id| KeptRelease { id, reason: "grace".into() }));
    let dropped = take_dropped(layout, releases, live.as_ref(), lock.is_none())?;
    report.removed.extend(dropped);
    let Removable { due, stay } = keep_inhabited(layout, retention.due, policy.spare && !sweep, &mut report)?;

    for id in due {
        if lock.is_none() {
            report.note_freed(usage_of(layout, releases, &id)?);
        }
        if let Some(lock) = lock {
            // A release that cannot be moved must not keep the others.
            if let Err(error) = trash::discard_release(lock, layout, &id) {
                report.warnings.push(error.with_cause());
                continue;
            }
            reporter.removed(&id);
        }
        releases.records.retain(|record| record.id != id);
        report.removed.push(id);
    }
    let spare = if policy.spare && !sweep { Spare::find(layout)? } else { None };
    delete_trees(lock, layout, spare.as_ref(), &stay, &mut report)?;
    if sweep {
        match lock.map_or_else(|| staging::usage(layout), |lock| staging::clear(lock, layout)) {
            Ok(freed) => report.note_freed(freed),
            Err(error) => report.warnings.push(error.with_cause()),
        }
    }
    // The releases are gone already, and must be reported in any case. Their objects are removed by the next cleanup.
    if let Err(error) = collect_garbage(layout, releases, policy, spare.as_ref(), options, &mut report) {
        report.warnings.push(error.with_cause());
    }
    Ok(report)
}

/// Removes the objects of removed releases, then the records of those releases, but for the newest.
fn collect_garbage(
    layout: &mut Layout,
    releases: &Releases,
    policy: &Policy,
    spare: Option<&Spare>,
    options: &CleanupOptions<'_>,
    report: &mut CleanupReport,
) -> Result<(), Error> {
    let records = RemovedRecords::find(layout, spare)?;
    let is_due = options.sweep || !records.is_empty();
    if is_due
        && remove_unnamed(layout, releases, spare, &records, options, report)?
        && let Some(lock) = options.lock
    {
        // With these records the last trace of their seconds disappears, and no other content may get such a second.
        let existing = releases.records.iter().map(|record| record.second).max();
        let known = existing.max(Some(layout.store.second));
        if let Some(second) = trash::greatest_second(layout)?.filter(|&second| Some(second) > known) {
            layout.keep_second(lock, second)?;
        }
        report.note_freed(removed::keep_newest(lock, layout, records, policy.keep_manifests)?);
    }
    Ok(())
}

/// The release that expires once another one is live, and may be turned into that one.
pub(crate) enum DueRelease {
    /// No release expires.
    Nothing,
    /// The release was moved to trash.
    Taken(ReleaseId),
    /// No expired release may be reused; the error is that of the newest.
    Refused(Error),
}

/// Moves the newest release to trash that will expire once `next` is live, unless a rollback would go to it, or a
/// process may live in it.
pub(crate) fn take_due(
    lock: &Lock,
    layout: &mut Layout,
    releases: &mut Releases,
    policy: &Policy,
    next: Record,
) -> Result<DueRelease, Error> {
    let live = layout.current.live()?;
    let goes_back = releases.rollback_from(live.as_ref()).map(|record| record.id.clone());
    let id = next.id.clone();
    let mut due = due_after(releases, policy, next, Some(&id));
    due.retain(|id| goes_back.as_ref() != Some(id) && live.as_ref() != Some(id));
    let root = releases_path(layout)?;
    let span = |id| releases.find(id).and_then(|record| record.span.as_ref());
    let candidates: Vec<Candidate<'_>> =
        due.iter().map(|id| Candidate { path: root.join(id.as_str()), span: span(id) }).collect();
    let reasons = find_obstacles(&candidates, Ties::All, policy.grace);
    let mut refused = DueRelease::Nothing;
    for (id, reason) in due.into_iter().zip(reasons).rev() {
        match reason {
            Some(reason) if matches!(refused, DueRelease::Nothing) => {
                refused = DueRelease::Refused(Error::from(ReleaseError::NotReused { id, reason }));
            }
            Some(_) => {}
            None => {
                // A release that cannot be moved cannot be reused. It may still be needed for a rollback if this
                // deploy fails.
                if !trash::move_release(lock, layout, &id)? {
                    continue;
                }
                releases.records.retain(|record| record.id != id);
                return Ok(DueRelease::Taken(id));
            }
        }
    }
    Ok(refused)
}

/// The releases and trees in which no process is known to live.
struct Removable {
    /// The releases to remove.
    due: Vec<ReleaseId>,
    /// The trees in trash that must stay. All others may be deleted.
    stay: HashSet<Vec<u8>>,
}

/// Keeps the releases in which a process lives, and such trees in trash, as a process may have entered after the
/// move. With `spares` the newest tree stays there anyway while no newer release is removed.
fn keep_inhabited(
    layout: &Layout,
    due: Vec<ReleaseId>,
    spares: bool,
    report: &mut CleanupReport,
) -> Result<Removable, Error> {
    let spare = if spares && due.is_empty() { Spare::find(layout)? } else { None };
    let in_trash = trash::trees(layout, spare.as_ref())?;
    let root = releases_path(layout)?;
    let mut paths: Vec<PathBuf> = due.iter().map(|id| root.join(id.as_str())).collect();
    for tree in &in_trash {
        paths.push(trash::tree_path(layout, tree)?);
    }
    let reasons: Vec<Option<String>> =
        find_inhabitants(&paths).into_iter().map(|inhabitant| inhabitant.map(|who| who.to_string())).collect();
    let (of_due, of_trash) = reasons.split_at(due.len());
    let mut free = Removable { due: Vec::new(), stay: HashSet::new() };
    for (id, reason) in due.into_iter().zip(of_due) {
        match reason.clone() {
            Some(reason) => report.kept.push(KeptRelease { id, reason }),
            None => free.due.push(id),
        }
    }
    for (tree, reason) in in_trash.into_iter().zip(of_trash) {
        if let Some(reason) = reason.clone() {
            report.kept.extend(trash::release_of(&tree).map(|id| KeptRelease { id, reason }));
            free.stay.insert(tree);
        }
    }
    Ok(free)
}

/// Removes the objects that no release names: of all objects with `sweep`, else of those of removed releases. Returns
/// whether all could be removed.
fn remove_unnamed(
    layout: &mut Layout,
    releases: &Releases,
    spare: Option<&Spare>,
    records: &RemovedRecords,
    options: &CleanupOptions<'_>,
    report: &mut CleanupReport,
) -> Result<bool, Error> {
    if let Some((id, reason)) = releases.damaged.first() {
        report.warnings.push(no_object_removed(id, reason));
        return Ok(false);
    }
    let store = Store::new(layout.objects.duplicate()?);
    let mut candidates = candidates(layout, releases, &store, records, options)?;
    let unknown = releases.records.iter().filter(|record| options.view(record).is_none());
    // The spare's files occupy the disk anyway, and a later release may need them.
    let others: Vec<Referrer<'_>> = unknown.map(Referrer::Release).chain(spare.map(Referrer::Spare)).collect();
    if let Err((id, error)) = drop_named(layout, &others, &mut candidates) {
        let reason = match &error {
            Error::Damage(DamageError::Release { reason, .. }) => reason.clone(),
            other => other.with_cause(),
        };
        report.warnings.push(no_object_removed(&id, &reason));
        return Ok(false);
    }
    if let Some(lock) = options.lock.filter(|_| !candidates.is_empty()) {
        layout.grow_epoch(lock)?;
    }
    Ok(remove_objects(&store, candidates, options.lock, report))
}

/// Returns the objects that may be removed: of all objects with `sweep`, else of those of removed releases. Leaves
/// out those that a manifest in memory names.
fn candidates(
    layout: &Layout,
    releases: &Releases,
    store: &Store,
    records: &RemovedRecords,
    options: &CleanupOptions<'_>,
) -> Result<HashSet<ObjectName>, Error> {
    let named = Fingerprints::of(releases.records.iter().filter_map(|record| options.view(record)));
    let of_removed = if options.sweep { None } else { records.objects(layout, |name| !named.has(name))? };
    match of_removed {
        Some(objects) => Ok(objects),
        None => store.all(|name| !named.has(name)),
    }
}

/// Drops the candidates that another manifest names. Reads a few manifests at a time, because each takes memory, and
/// stops when no candidate is left.
fn drop_named(
    layout: &Layout,
    others: &[Referrer<'_>],
    candidates: &mut HashSet<ObjectName>,
) -> Result<(), (ReleaseId, Error)> {
    for others in others.chunks(MANIFESTS_AT_ONCE) {
        if candidates.is_empty() {
            break;
        }
        for named in others.par_iter().map(|other| other.named(layout, candidates)).collect::<Vec<_>>() {
            named?.iter().for_each(|name| {
                candidates.remove(name);
            });
        }
    }
    Ok(())
}

/// Removes objects, or counts them without the lock. Returns whether all could be removed.
fn remove_objects(
    store: &Store,
    candidates: HashSet<ObjectName>,
    lock: Option<&Lock>,
    report: &mut CleanupReport,
) -> bool {
    let mut candidates: Vec<ObjectName> = candidates.into_iter().collect();
    candidates.sort_unstable();
    let mut is_all = true;
    for name in candidates {
        let removed = match lock {
            None => store.stat(name),
            Some(_) => store.remove(name),
        };
        match removed {
            Ok(Some(stat)) => {
                report.objects_removed += 1;
                // Before its releases are removed, an object has names in them.
                if lock.is_none() || stat.links <= 1 {
                    report.note_freed(Usage { bytes: stat.disk_bytes, inodes: 1 });
                }
            }
            Ok(None) => {}
            // The first error is reported, not thousands of equal ones. The next cleanup tries again.
            Err(error) => {
                if std::mem::replace(&mut is_all, false) {
                    report.warnings.push(error.with_cause());
                }
            }
        }
    }
    is_all
}

/// Makes the warning that no object was removed, with the reason and the remedy.
fn no_object_removed(id: &ReleaseId, reason: &str) -> String {
    format!(
        "No object was removed, because release {id} may need any of them: {reason}. If nothing serves from that release, delete `releases/{id}` on the server; the next deploy or cleanup removes the rest"
    )
}

/// A release that may name an object of a removed release.
enum Referrer<'a> {
    /// An existing release.
    Release(&'a Record),
    /// The spare in trash.
    Spare(&'a Spare),
}

impl Referrer<'_> {
    /// Returns the candidates that it names. If a spare cannot be read to its end, returns those found so far.
    fn named(&self, layout: &Layout, candidates: &HashSet<ObjectName>) -> Result<Vec<ObjectName>, (ReleaseId, Error)> {
        let mut named = Vec::new();
        let mut take = |name| named.extend(Some(name).filter(|name| candidates.contains(name)));
        match self {
            Referrer::Release(record) => read_objects(layout, &record.id, &record.root, |name, _| take(name))
                .map_err(|error| (record.id.clone(), error))?,
            Referrer::Spare(spare) => {
                spare.objects(layout, take).map_err(|error| (spare.id.clone(), error))?;
            }
        }
        Ok(named)
    }
}

/// Fingerprints of objects: eight bytes of each name, sorted. Two objects hardly ever share one. If they do, an
/// object stays until the next sweep, and that is all.
struct Fingerprints(Vec<u64>);

impl Fingerprints {
    fn of<'a>(all: impl Iterator<Item = ManifestView<'a>>) -> Fingerprints {
        let mut prints: Vec<u64> =
            all.flat_map(ManifestView::objects).map(|(name, _)| Fingerprints::print(&name)).collect();
        prints.par_sort_unstable();
        prints.dedup();
        Fingerprints(prints)
    }

    fn has(&self, name: &ObjectName) -> bool {
        self.0.binary_search(&Fingerprints::print(name)).is_ok()
    }

    fn print(name: &ObjectName) -> u64 {
        let hash = name.key.hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        hash ^ u64::from(name.key.mode) << 16 ^ u64::from(name.copy)
    }
}
