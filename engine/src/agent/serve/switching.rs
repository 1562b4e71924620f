//! `switch` and `rollback`: finds the release, compares it with its manifest, and makes it live.
//!
//! A release that somebody changed is refused, unless the user insists. If the live release was changed, a warning
//! says so, because the change is not in the release that follows.

use std::path::Path;

use crate::error::{Error, ReleaseError};
use crate::event::GoingBack;
use crate::news::News;
use crate::release::{NOTED_BYTES_MAX, Record, ReleaseId};
use crate::report::{ReleaseSummary, SwitchReport};
use crate::rollback::{Rollback, RollbackTo};
use crate::wire::bounds::cut_off;
use crate::wire::message::{Reply, Request};

use super::Service;
use crate::agent::clock::now;
use crate::agent::compare::{Depth, Stop, compare_releases};
use crate::agent::deploy::rebuild;
use crate::agent::go_live::{go_live, run_on_failure};
use crate::agent::removed;
use crate::agent::reporter::Reporter;
use crate::agent::run::{GoLive, end_overdue_trial};
use crate::agent::shared;
use crate::agent::site::Site;
use crate::agent::site::records::{Releases, check_manifest};
use crate::agent::site::switch::SwitchOutcome;

/// The reason of a release that a rollback left, unless the caller gives one.
const ROLLED_BACK: &str = "it was rolled back";

impl Service<'_> {
    /// Makes a release live.
    pub(super) fn switch(&self, path: &Path, id: &ReleaseId, force: bool) -> Result<Reply, Error> {
        self.make_live(self.hold(path)?, None, force, |releases, _| releases.known(id))
    }

    /// Makes an earlier release live.
    pub(super) fn rollback(&self, path: &Path, rollback: &Rollback, force: bool) -> Result<Reply, Error> {
        let reason = rollback.reason.as_deref().unwrap_or(ROLLED_BACK);
        let back = (rollback.to != RollbackTo::Forward).then(|| reason.to_owned());
        let mut site = self.hold_as_left(path)?;
        let left = site.layout.current.live()?;
        end_overdue_trial(self.conversation, self.hello, &mut site)?;
        let live = site.layout.current.live()?;
        if rollback.to == RollbackTo::default() && live != left {
            // The user wanted to leave the release that has been left just now.
            return went_back(&site, left, live);
        }
        self.rebuild_removed(&mut site, rollback)?;
        self.make_live(site, back, force, |releases, live| {
            let goal = releases.goal(&rollback.to, live)?;
            refuse_migrations(rollback, releases, goal, live)?;
            Ok(goal)
        })
    }

    /// Makes the goal of a rollback again, if it was removed.
    fn rebuild_removed(&self, site: &mut Site, rollback: &Rollback) -> Result<(), Error> {
        let RollbackTo::Release(name) = &rollback.to else { return Ok(()) };
        let live = site.layout.current.live()?;
        match site.releases.goal(&rollback.to, live.as_ref()) {
            Err(Error::Release(ReleaseError::Unknown(_) | ReleaseError::UnknownCommit(_))) => {}
            _ => return Ok(()),
        }
        let Some(goal) = removed::find(&site.layout, &site.releases, name)? else { return Ok(()) };
        refuse_migrations(rollback, &site.releases, &goal.record, live.as_ref())?;
        rebuild(self.conversation, site, &goal)
    }

    fn make_live(
        &self,
        mut site: Site,
        back: Option<String>,
        force: bool,
        target: impl for<'r> FnOnce(&'r Releases, Option<&ReleaseId>) -> Result<&'r Record, Error>,
    ) -> Result<Reply, Error> {
        let Site { layout, releases, .. } = &site;
        let live = layout.current.live()?;
        let record = target(releases, live.as_ref())?;
        check_manifest(layout, &record.id, &record.root)?;
        let beside = live.as_ref().filter(|live| **live != record.id).and_then(|live| releases.find(live));
        let both: Vec<&Record> = [record].into_iter().chain(beside).collect();
        let mut compared = compare_releases(layout, &both, Depth::Stat, &Stop::default())?;
        if !force {
            compared.refuse(&record.id)?;
        }
        let is_rollback = record.was_live();
        if !is_rollback {
            // The run that made the release may have died before its names were durable.
            layout.records.sync()?;
            layout.releases.sync()?;
        }
        let from = live.as_ref().and_then(|live| releases.find(live)).map(summary);
        let (id, to) = (record.id.clone(), summary(record));
        let noted = warnings(releases, record, live.as_ref());
        if matches!(self.hello.request, Request::Rollback { .. }) {
            self.conversation.tell(News::GoingBack(Box::new(GoingBack { from: from.clone(), to: to.clone() })));
        }
        let order = GoLive { release: id.clone(), back, is_rollback };
        let went_live = go_live(self.conversation, self.hello, &mut site, order);
        let went_live = went_live.inspect_err(|error| run_on_failure(self.conversation, self.hello, &site, error))?;
        let SwitchOutcome { previous, mut warnings } = went_live.switched;
        let Site { layout, releases, .. } = &site;
        warnings.extend(noted);
        // This comes after the switch: a way back must always be open, also past a dead mount in `shared/`.
        warnings.extend(releases.find(&id).and_then(|record| shared::missing_warning(&layout.shared, record)));
        warnings.extend(releases.dropped.iter().map(dropped_warning));
        warnings.extend(compared.warnings());
        let switched = previous.as_ref() != Some(&id);
        let differences = compared.differences;
        Ok(Reply::Switch(SwitchReport { release: id, previous, switched, from, to, differences, warnings }))
    }
}

/// Returns the report of a rollback that has happened already.
fn went_back(site: &Site, left: Option<ReleaseId>, live: Option<ReleaseId>) -> Result<Reply, Error> {
    let release = live.ok_or_else(|| Error::Bug("a way back to nothing".into()))?;
    let summary_of = |id: &ReleaseId| site.releases.find(id).map(summary);
    Ok(Reply::Switch(SwitchReport {
        from: left.as_ref().and_then(summary_of),
        to: summary(site.releases.known(&release)?),
        switched: true,
        differences: Vec::new(),
        warnings: site.releases.dropped.iter().map(dropped_warning).collect(),
        previous: left,
        release,
    }))
}

/// Refuses to leave migrations that ran since, unless the user accepts that.
fn refuse_migrations(
    rollback: &Rollback,
    releases: &Releases,
    goal: &Record,
    live: Option<&ReleaseId>,
) -> Result<(), Error> {
    match releases.migrations_since(goal, live) {
        Some(ran) if !rollback.accepts_migrations => {
            Err(ReleaseError::MigrationsRan { to: goal.id.clone(), ran }.into())
        }
        _ => Ok(()),
    }
}

/// Returns warnings about a release that is going to be live: the reason why it was bad, and migrations that are not
/// undone.
fn warnings(releases: &Releases, record: &Record, live: Option<&ReleaseId>) -> Vec<String> {
    let id = &record.id;
    // Whoever takes a rollback back knows why it was made.
    let bad = record.marks.bad.as_ref().filter(|bad| bad.reason != ROLLED_BACK || bad.left_for.as_ref() != live);
    let bad = bad.filter(|_| live != Some(id));
    let bad = bad.map(|bad| format!("Release {id} was marked bad by {}: {}. The mark is gone now", bad.by, bad.reason));
    bad.into_iter().chain(releases.migrations_warning(record, live)).collect()
}

fn summary(record: &Record) -> ReleaseSummary {
    let short = |text: String| cut_off(text, NOTED_BYTES_MAX);
    ReleaseSummary {
        id: record.id.clone(),
        commit: record.provenance.commit.clone().map(short),
        age: now().saturating_sub(record.created),
        who: short(record.provenance.person()),
    }
}

fn dropped_warning(id: &ReleaseId) -> String {
    format!("The record of damaged release {id} was removed: its directory was missing")
}
