//! `switch` and `rollback`: finds the release, compares it with its manifest, and makes it live.
//!
//! A release that somebody changed is refused, unless the user insists. If the live release was changed, a warning
//! says so, because the change is not in the release that follows.

use std::path::Path;

use crate::error::{Error, ReleaseError};
use crate::release::{Record, ReleaseId};
use crate::report::SwitchReport;
use crate::wire::message::Reply;

use super::{Service, missing};
use crate::agent::compare::{Depth, Stop, compare_releases};
use crate::agent::go_live::{Departure, go_live};
use crate::agent::run::take_back_unconfirmed;
use crate::agent::shared;
use crate::agent::site::Site;
use crate::agent::site::records::{Releases, check_manifest};
use crate::agent::site::switch::{Step, SwitchOutcome};

/// The reason of a release that a rollback left.
const ROLLED_BACK: &str = "it was rolled back";

impl Service<'_> {
    /// Makes a release live.
    pub(super) fn switch(&self, path: &Path, id: &ReleaseId, force: bool) -> Result<Reply, Error> {
        self.make_live(path, Step::Forward, force, |_, _| Ok(id.clone()))
    }

    /// Makes an earlier release live: the named one, or the one that was live before.
    pub(super) fn rollback(&self, path: &Path, to: Option<&ReleaseId>, force: bool) -> Result<Reply, Error> {
        let step = Step::Back { reason: ROLLED_BACK };
        self.make_live(path, step, force, |releases, live| rollback_target(releases, live, to))
    }

    fn make_live(
        &self,
        path: &Path,
        step: Step<'_>,
        force: bool,
        target: impl FnOnce(&Releases, Option<&ReleaseId>) -> Result<ReleaseId, Error>,
    ) -> Result<Reply, Error> {
        let mut layout = self.open(path)?;
        let lock = self.lock(&mut layout)?;
        let mut site = Site::hold(lock, layout)?;
        take_back_unconfirmed(self.conversation, self.hello, &mut site)?;
        let Site { layout, releases, .. } = &site;
        let live = layout.current.live()?;
        let id = target(releases, live.as_ref())?;
        let record = releases.find(&id).ok_or_else(|| missing(releases, &id))?;
        check_manifest(layout, &id, &record.root)?;
        let beside = live.as_ref().filter(|live| **live != id).and_then(|live| releases.find(live));
        let both: Vec<&Record> = [record].into_iter().chain(beside).collect();
        let mut compared = compare_releases(layout, &both, Depth::Stat, &Stop::default())?;
        if !force {
            compared.refuse(&id)?;
        }
        let is_rollback = record.was_live();
        if !is_rollback {
            // The run that made the release may have died before its names were durable.
            layout.records.sync()?;
            layout.releases.sync()?;
        }
        let arrival = go_live(self.conversation, self.hello, &mut site, Departure { id: &id, step, is_rollback })?;
        let SwitchOutcome { previous, mut warnings } = arrival.switched;
        let Site { layout, releases, .. } = &site;
        // This comes after the switch: a way back must always be open, also past a dead mount in `shared/`.
        warnings.extend(releases.find(&id).and_then(|record| shared::missing_warning(&layout.shared, record)));
        warnings.extend(releases.dropped.iter().map(dropped_warning));
        warnings.extend(compared.warnings());
        let switched = previous.as_ref() != Some(&id);
        let differences = compared.differences;
        Ok(Reply::Switch(SwitchReport { release: id, previous, switched, differences, warnings }))
    }
}

fn rollback_target(releases: &Releases, live: Option<&ReleaseId>, to: Option<&ReleaseId>) -> Result<ReleaseId, Error> {
    if let Some(id) = to {
        let record = releases.find(id).ok_or_else(|| missing(releases, id))?;
        return match record.was_live() {
            _ if live == Some(id) => {
                Err(ReleaseError::NotARollback { id: id.clone(), reason: "is live already" }.into())
            }
            false => Err(ReleaseError::NotARollback { id: id.clone(), reason: "was never live" }.into()),
            true => Ok(id.clone()),
        };
    }
    releases.rollback_from(live).map(|record| record.id.clone()).ok_or(Error::from(ReleaseError::NothingToRollBack))
}

fn dropped_warning(id: &ReleaseId) -> String {
    format!("The record of damaged release {id} was removed: its directory was missing")
}
