//! Retention and garbage collection.
//!
//! Releases first: those that retention gives up are renamed into trash, tree and record. The trees are deleted there.
//! Then the objects that the records name and no remaining release does; the epoch grows before the first object goes,
//! so that no client believes in it afterwards. The records go last: whenever a run is killed, the next one finds in
//! trash what is still to be looked through. What cannot be deleted is a warning, never a failure: the deploy is live,
//! and the next one tries again.
//!
//! Nothing is written before something was deleted: on a full disk a cleanup must make room. So the second of a release
//! that went is read from its record in trash, until that goes too.

use std::collections::HashSet;
use std::path::PathBuf;

use rayon::prelude::*;

use crate::error::{DamageError, Error, ReleaseError};
use crate::release::{Record, ReleaseId};
use crate::report::{CleanupReport, KeptRelease};
use crate::target::Policy;

use super::clock::now;
use super::process::{Candidate, Ties, holding_on, living_in};
use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::records::{Placed, Releases, read_objects};
use super::staging;
use super::store::{ObjectName, Store};
use super::tell::Tell;
use super::trash::{self, Owed, Spare};
use super::uptime::Uptime;

/// How many manifests are read at once.
const MANIFESTS_AT_ONCE: usize = 2;

/// What retention says of the releases that it would remove.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// These go.
    pub(crate) due: Vec<ReleaseId>,
    /// These go as soon as their grace is over.
    pub(crate) in_grace: Vec<ReleaseId>,
}

/// Decides which releases go. Releases that were live count; the live one and the one that a rollback goes to always
/// stay. A release that was only ever ready goes when it is older than all that stay.
///
/// A grace runs by the clock of the boot, which nobody sets. Where the release was retired under another boot, the time of
/// day decides, and a time in the future is of a clock that was wrong: no grace is known to run then.
pub(crate) fn retention(
    releases: &Releases,
    live: Option<&ReleaseId>,
    policy: &Policy,
    now: u64,
    uptime: Option<&Uptime>,
) -> Retention {
    let mut retention = Retention::default();
    let Some(live) = live.and_then(|live| releases.find(live)) else {
        return retention;
    };
    let mut kept: HashSet<&ReleaseId> =
        [Some(live), releases.rollback_from(Some(&live.id))].into_iter().flatten().map(|r| &r.id).collect();
    for record in releases.records.iter().rev().filter(|record| record.was_live()) {
        if kept.len() >= policy.keep_releases as usize {
            break;
        }
        kept.insert(&record.id);
    }
    let oldest_kept =
        releases.records.iter().find(|record| kept.contains(&record.id)).map_or(0, |record| record.sequence);
    let goes = |record: &&Record| !kept.contains(&record.id) && (record.was_live() || record.sequence < oldest_kept);
    for record in releases.records.iter().filter(goes) {
        let by_uptime = record.span.as_ref().zip(uptime).and_then(|(span, now)| span.is_in_grace(policy.grace, now));
        let last_used = record.retired.unwrap_or(record.created);
        let by_time = last_used <= now && last_used.saturating_add(policy.grace.as_secs()) > now;
        let list = if by_uptime.unwrap_or(by_time) { &mut retention.in_grace } else { &mut retention.due };
        list.push(record.id.clone());
    }
    retention
}

/// How a cleanup is made.
#[derive(Clone, Copy, Default)]
pub(crate) struct How<'a> {
    /// Without the lock nothing is changed: it is a dry run.
    pub(crate) lock: Option<&'a Lock>,
    /// Look through all objects, and not only those that are owed.
    pub(crate) sweep: bool,
    /// What was read of releases already.
    pub(crate) read: &'a [(&'a ReleaseId, Placed<'a>)],
}

impl<'a> How<'a> {
    /// Returns what was read of a release already.
    fn placed(&self, record: &Record) -> Option<Placed<'a>> {
        self.read.iter().find(|(id, _)| **id == record.id).map(|&(_, placed)| placed)
    }
}

/// Removes what retention gives up, and the objects that only those releases named; with `sweep`, every object that no
/// release names and all leftovers. Without it the newest of what goes may stay in trash, as the policy has it, until the
/// next deploy reuses it.
pub(crate) fn cleanup(
    layout: &mut Layout,
    releases: &mut Releases,
    policy: &Policy,
    how: &How<'_>,
    tell: &dyn Tell,
) -> Result<CleanupReport, Error> {
    let &How { lock, sweep, .. } = how;
    let mut report = CleanupReport { dry_run: lock.is_none(), ..CleanupReport::default() };
    let live = layout.current.live()?;
    let retention = retention(releases, live.as_ref(), policy, now(), Uptime::now().as_ref());
    report.kept.extend(retention.in_grace.into_iter().map(|id| KeptRelease { id, reason: "grace".into() }));
    let Uninhabited { due, stay } = spare_the_inhabited(layout, retention.due, policy.spare && !sweep, &mut report)?;

    for id in due {
        if let Some(lock) = lock {
            // One that cannot be taken keeps no other from going.
            if let Err(error) = trash::take_release(lock, layout, &id) {
                report.warnings.push(error.with_cause());
                continue;
            }
            tell.removed(&id);
        }
        releases.records.retain(|record| record.id != id);
        report.removed.push(id);
    }
    let spare = if policy.spare && !sweep { Spare::find(layout)? } else { None };
    if let Some(lock) = lock {
        let failed = trash::delete_trees(lock, layout, spare.as_ref(), &stay);
        report.warnings.extend(failed.first().map(Error::with_cause));
    }
    if sweep {
        match lock.map_or_else(|| staging::staged_bytes(layout), |lock| staging::clear(lock, layout)) {
            Ok(freed) => report.freed_bytes += freed,
            Err(error) => report.warnings.push(error.with_cause()),
        }
    }
    // What is owed stays owed, and releases are gone already: that is told in any case.
    if let Err(error) = pay(layout, releases, spare.as_ref(), how, &mut report) {
        report.warnings.push(error.with_cause());
    }
    Ok(report)
}

/// Removes the objects that are owed, and what says so.
fn pay(
    layout: &mut Layout,
    releases: &Releases,
    spare: Option<&Spare>,
    how: &How<'_>,
    report: &mut CleanupReport,
) -> Result<(), Error> {
    let owed = Owed::find(layout, spare)?;
    let is_due = how.sweep || !owed.is_empty();
    if is_due
        && collect(layout, releases, spare, &owed, how, report)?
        && let Some(lock) = how.lock
    {
        // The last traces of releases go: no other content may get a second that they had.
        let standing = releases.records.iter().map(|record| record.second).max();
        let known = standing.max(Some(layout.store.second));
        if let Some(second) = trash::greatest_second(layout)?.filter(|&second| Some(second) > known) {
            layout.keep_second(lock, second)?;
        }
        owed.settle(lock, layout)?;
    }
    Ok(())
}

/// A release that goes once another one is live, and may be turned into that one before.
pub(crate) enum Due {
    /// There is none.
    Nothing,
    /// It was taken, and is in trash.
    Taken(ReleaseId),
    /// There are such releases, and none may be reused.
    Refused(Error),
}

/// Takes the newest release that retention gives up once `next` is live, unless a rollback would go to it, or a process may
/// live in it.
pub(crate) fn take_due(
    lock: &Lock,
    layout: &mut Layout,
    releases: &mut Releases,
    policy: &Policy,
    next: Record,
) -> Result<Due, Error> {
    let live = layout.current.live()?;
    let goes_back = releases.rollback_from(live.as_ref()).map(|record| record.id.clone());
    let id = next.id.clone();
    let after = Releases { records: releases.records.iter().cloned().chain([next]).collect(), ..Releases::default() };
    let mut due = retention(&after, Some(&id), policy, now(), Uptime::now().as_ref()).due;
    due.retain(|id| goes_back.as_ref() != Some(id) && live.as_ref() != Some(id));
    let root = releases_path(layout)?;
    let span = |id| releases.find(id).and_then(|record| record.span.as_ref());
    let candidates: Vec<Candidate<'_>> =
        due.iter().map(|id| Candidate { path: root.join(id.as_str()), span: span(id) }).collect();
    let reasons = holding_on(&candidates, Ties::All, policy.grace);
    let mut refused = Due::Nothing;
    for (id, reason) in due.into_iter().zip(reasons).rev() {
        match reason {
            Some(reason) if matches!(refused, Due::Nothing) => {
                refused = Due::Refused(Error::from(ReleaseError::NotReused { id, reason }));
            }
            Some(_) => {}
            None => {
                // What cannot be moved cannot be reused either, and may still be a way back if this deploy fails.
                if !trash::move_release(lock, layout, &id)? {
                    continue;
                }
                releases.records.retain(|record| record.id != id);
                return Ok(Due::Taken(id));
            }
        }
    }
    Ok(refused)
}

/// Returns the path of `releases/`, without symlinks.
fn releases_path(layout: &Layout) -> Result<PathBuf, Error> {
    std::fs::canonicalize(layout.releases.path()).map_err(|e| Error::io("resolve", layout.releases.path(), e))
}

/// What may go, as no process is known to live in it.
struct Uninhabited {
    /// These releases.
    due: Vec<ReleaseId>,
    /// Of the trees in trash, all but these.
    stay: HashSet<Vec<u8>>,
}

/// Keeps the releases that processes are known to live in, and such trees in trash: a process may have entered one after it
/// came there. With `spares` the newest tree stays there anyway, while nothing newer comes.
fn spare_the_inhabited(
    layout: &Layout,
    due: Vec<ReleaseId>,
    spares: bool,
    report: &mut CleanupReport,
) -> Result<Uninhabited, Error> {
    let spare = if spares && due.is_empty() { Spare::find(layout)? } else { None };
    let in_trash = trash::trees(layout, spare.as_ref())?;
    let root = releases_path(layout)?;
    let mut paths: Vec<PathBuf> = due.iter().map(|id| root.join(id.as_str())).collect();
    for tree in &in_trash {
        paths.push(trash::tree_path(layout, tree)?);
    }
    let reasons = living_in(&paths);
    let (of_due, of_trash) = reasons.split_at(due.len());
    let mut free = Uninhabited { due: Vec::new(), stay: HashSet::new() };
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

/// Removes the objects that no release names: of all with `sweep`, else of those that are owed. Says whether it could.
fn collect(
    layout: &mut Layout,
    releases: &Releases,
    spare: Option<&Spare>,
    owed: &Owed,
    how: &How<'_>,
    report: &mut CleanupReport,
) -> Result<bool, Error> {
    if let Some((id, reason)) = releases.damaged.first() {
        report.warnings.push(kept_for(id, reason));
        return Ok(false);
    }
    let store = Store::new(layout.objects.duplicate()?);
    let mut candidates = candidates(layout, releases, &store, owed, how)?;
    let unknown = releases.records.iter().filter(|record| how.placed(record).is_none());
    // The spare's files hold the disk anyway, and a later release may want them.
    let others: Vec<Other<'_>> = unknown.map(Other::Release).chain(spare.map(Other::Spare)).collect();
    if let Err((id, error)) = drop_named(layout, &others, &mut candidates) {
        let reason = match &error {
            Error::Damage(DamageError::Release { reason, .. }) => reason.clone(),
            other => other.with_cause(),
        };
        report.warnings.push(kept_for(&id, &reason));
        return Ok(false);
    }
    if let Some(lock) = how.lock.filter(|_| !candidates.is_empty()) {
        layout.grow_epoch(lock)?;
    }
    Ok(remove_objects(&store, candidates, how.lock, report))
}

/// Returns the objects that may go: of all with `sweep`, else of those that are owed. Those that a release is known to name
/// are left out.
fn candidates(
    layout: &Layout,
    releases: &Releases,
    store: &Store,
    owed: &Owed,
    how: &How<'_>,
) -> Result<HashSet<ObjectName>, Error> {
    let named = Prints::of(releases.records.iter().filter_map(|record| how.placed(record)));
    let of_owed = if how.sweep { None } else { owed.objects(layout, |name| !named.have(name))? };
    match of_owed {
        Some(objects) => Ok(objects),
        None => store.all(|name| !named.have(name)),
    }
}

/// Drops the candidates that others name: a few manifests at a time, as each takes memory; and no more of them than it takes.
fn drop_named(
    layout: &Layout,
    others: &[Other<'_>],
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

/// Removes objects; without the lock, counts them. Says whether all could be removed.
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
        let freed = match lock {
            None => store.stat(name).map(|stat| stat.map(|stat| stat.disk_bytes)),
            Some(_) => store.remove(name),
        };
        match freed {
            Ok(freed) => {
                report.objects_removed += u64::from(freed.is_some());
                report.freed_bytes += freed.unwrap_or(0);
            }
            // One that stays is told once, not once for each of thousands; what is owed is tried again next time.
            Err(error) => {
                if std::mem::replace(&mut is_all, false) {
                    report.warnings.push(error.with_cause());
                }
            }
        }
    }
    is_all
}

/// Says why no object goes, and what to do about it.
fn kept_for(id: &ReleaseId, reason: &str) -> String {
    format!(
        "No object was removed, as release {id} may need it: {reason}. If nothing serves from it, delete `releases/{id}` on the server: the next deploy or cleanup does the rest"
    )
}

/// What may name an object that another release named.
enum Other<'a> {
    /// A release that stands.
    Release(&'a Record),
    /// One that waits to be reused.
    Spare(&'a Spare),
}

impl Other<'_> {
    /// Returns those of the candidates that it names. Of a spare that cannot be read, those that could be.
    fn named(&self, layout: &Layout, candidates: &HashSet<ObjectName>) -> Result<Vec<ObjectName>, (ReleaseId, Error)> {
        let mut named = Vec::new();
        let mut take = |name| named.extend(Some(name).filter(|name| candidates.contains(name)));
        match self {
            Other::Release(record) => read_objects(layout, &record.id, &record.root, |name, _| take(name))
                .map_err(|error| (record.id.clone(), error))?,
            Other::Spare(spare) => {
                spare.objects(layout, take).map_err(|error| (spare.id.clone(), error))?;
            }
        }
        Ok(named)
    }
}

/// Eight bytes of each of many objects' names, sorted. That an object has those of another is not to be expected, and keeps
/// it until the next sweep, no more.
struct Prints(Vec<u64>);

impl Prints {
    fn of<'a>(all: impl Iterator<Item = Placed<'a>>) -> Prints {
        let mut prints: Vec<u64> = all.flat_map(Placed::objects).map(|(name, _)| Prints::print(&name)).collect();
        prints.par_sort_unstable();
        prints.dedup();
        Prints(prints)
    }

    fn have(&self, name: &ObjectName) -> bool {
        self.0.binary_search(&Prints::print(name)).is_ok()
    }

    fn print(name: &ObjectName) -> u64 {
        let hash = name.key.hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        hash ^ u64::from(name.key.mode) << 16 ^ u64::from(name.copy)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hash::Hash;
    use crate::release::Provenance;

    /// Releases `1`, `2`, …, each live at its number times 100 but those in `ready`.
    fn releases(count: u64, ready: &[u64]) -> Releases {
        let record = |n: u64| Record {
            id: n.to_string().parse().unwrap(),
            sequence: n,
            root: Hash::of(b""),
            second: n as u32,
            created: n * 100,
            provenance: Provenance::default(),
            files: 0,
            bytes: 0,
            new_bytes: 0,
            shared: Vec::new(),
            copy_paths: Vec::new(),
            went_live: if ready.contains(&n) { vec![] } else { vec![n * 100] },
            live_turn: if ready.contains(&n) { 0 } else { n },
            retired: (n < count && !ready.contains(&n)).then_some(n * 100 + 100),
            previous: (n > 1).then(|| (n - 1).to_string().parse().unwrap()),
            span: None,
        };
        Releases { records: (1..=count).map(record).collect(), ..Releases::default() }
    }

    fn check(releases: &Releases, live: &str, keep: u32, grace: u64, now: u64, due: &[&str], in_grace: &[&str]) {
        let policy = Policy { keep_releases: keep, grace: Duration::from_secs(grace), ..Policy::default() };
        let live = live.parse().unwrap();
        let found = retention(releases, Some(&live), &policy, now, None);
        let text = |ids: &[ReleaseId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!((text(&found.due), text(&found.in_grace)), (due.map_owned(), in_grace.map_owned()));
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }
    impl MapOwned for [&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn the_newest_that_were_live_stay() {
        check(&releases(5, &[]), "5", 3, 0, 10_000, &["1", "2"], &[]);
        check(&releases(3, &[]), "3", 3, 0, 10_000, &[], &[]);
    }

    #[test]
    fn the_live_one_and_where_a_rollback_goes_always_stay() {
        check(&releases(5, &[]), "5", 1, 0, 10_000, &["1", "2", "3"], &[]);
        check(&releases(5, &[]), "2", 2, 0, 10_000, &["3", "4", "5"], &[]);
    }

    #[test]
    fn a_release_that_was_never_live_takes_no_place() {
        check(&releases(5, &[4]), "5", 3, 0, 10_000, &["1"], &[]);
        check(&releases(5, &[1]), "5", 3, 0, 10_000, &["1", "2"], &[]);
    }

    #[test]
    fn what_was_live_a_moment_ago_stays_for_its_grace() {
        check(&releases(5, &[]), "5", 3, 60, 330, &["1"], &["2"]);
        // What was retired in the future was so by a clock that was wrong.
        check(&releases(5, &[]), "5", 3, 60, 150, &["1", "2"], &[]);
    }
}
