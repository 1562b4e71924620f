//! Whether a release that is given up is turned into the new one, and how that goes.

use std::time::Duration;

use crate::error::{Error, ReleaseError};
use crate::release::ReleaseId;
use crate::report::ReuseReport;
use crate::target::Policy;

use crate::agent::assemble::Assembly;
use crate::agent::clock::now;
use crate::agent::prune::{self, Due, How};
use crate::agent::reuse::{Reuse, give_up, reuse};
use crate::agent::seen::{KnownObjects, Seen};
use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::store::Store;
use crate::agent::tell::Tell;
use crate::agent::trash::Spare;

use super::base::Base;
use super::task::Task;

/// Whether a release is turned into the new one.
#[derive(Default)]
pub(super) struct Choice {
    /// It is this one.
    pub(super) spare: Option<Spare>,
    /// There is one in trash, this or another, which goes where space is short.
    pub(super) waits: bool,
    /// Why the first that was looked at is not.
    pub(super) refused: Option<Error>,
    /// Releases that were given up for it.
    pub(super) given_up: Vec<ReleaseId>,
}

impl Choice {
    /// Chooses what waits for that, else what is given up once the new release is live.
    pub(super) fn make(tell: &dyn Tell, site: &mut Site, task: Task<'_>) -> Result<Choice, Error> {
        let policy = task.order.policy();
        let waiting = Spare::find(&site.layout)?;
        let mut choice = Choice { waits: waiting.is_some(), ..Choice::default() };
        if choice.takes(&site.layout, waiting, policy.grace)? || task.order.begin.no_switch {
            return Ok(choice);
        }
        match take_due(tell, site, task)? {
            Due::Taken(id) => {
                tell.removed(&id);
                let taken = Spare::find(&site.layout)?.filter(|spare| spare.id == id);
                choice.given_up.push(id);
                // A process may have entered it before it was taken.
                choice.takes(&site.layout, taken, policy.grace)?;
                choice.waits = true;
            }
            Due::Refused(error) => choice.refused = choice.refused.or(Some(error)),
            Due::Nothing => {}
        }
        Ok(choice)
    }

    /// Makes room where space is short: what waits goes, and no release is turned into the new one.
    pub(super) fn make_room(self, tell: &dyn Tell, site: &mut Site, policy: &Policy) -> Result<Choice, Error> {
        let policy = Policy { spare: false, ..policy.clone() };
        let how = How { lock: Some(&site.lock), ..How::default() };
        let made_room = prune::cleanup(&mut site.layout, &mut site.releases, &policy, &how, tell)?;
        made_room.warnings.into_iter().for_each(|warning| tell.warn(warning));
        let mut given_up = self.given_up;
        given_up.extend(made_room.removed);
        Ok(Choice { given_up, ..Choice::default() })
    }

    /// Takes a release, where it may be reused. Says whether it did.
    fn takes(&mut self, layout: &Layout, spare: Option<Spare>, grace: Duration) -> Result<bool, Error> {
        let Some(spare) = spare else { return Ok(false) };
        match spare.obstacle(layout, grace)? {
            Some(reason) => {
                let error = Error::Release(ReleaseError::NotReused { id: spare.id, reason });
                self.refused.get_or_insert(error);
            }
            None => (self.spare, self.refused) = (Some(spare), None),
        }
        Ok(self.spare.is_some())
    }
}

/// Takes the release that goes once the new one is live. What keeps it from being taken is told when it is to be removed.
fn take_due(tell: &dyn Tell, site: &mut Site, task: Task<'_>) -> Result<Due, Error> {
    let Site { lock, layout, releases } = site;
    let mut next = task.decided.record(task.order, &task.tree.manifest, 0);
    next.go_live(now(), releases.next_turn());
    next.previous.clone_from(&task.decided.live);
    match prune::take_due(lock, layout, releases, task.order.policy(), next) {
        Ok(due) => Ok(due),
        Err(error) => {
            tell.warn(error.with_cause());
            // It may be half-way to trash.
            site.read_again()?;
            Ok(Due::Nothing)
        }
    }
}

/// Makes all directories: of a release that may be reused, with what is in them, or anew. Says what came of the reuse,
/// where there was such a release.
pub(super) fn make_directories(
    layout: &Layout,
    assembly: &Assembly<'_>,
    task: Task<'_>,
    spare: Option<&Spare>,
) -> Result<Option<Result<ReuseReport, Error>>, Error> {
    let Some(spare) = spare else { return assembly.make_directories().map(|()| None) };
    let reused = try_to_reuse(layout, assembly, task, spare);
    if reused.is_err() {
        give_up(layout, assembly, spare)?;
        assembly.make_directories()?;
    }
    Ok(Some(reused))
}

fn try_to_reuse(layout: &Layout, assembly: &Assembly<'_>, task: Task<'_>, spare: &Spare) -> Result<ReuseReport, Error> {
    let known = |base| known_objects(layout, assembly.store, base, spare, &task.tree.origins);
    let objects = task.base.map(known).transpose()?;
    let (base, seen) = (task.base_manifest(), spare.seen(layout)?);
    reuse(layout, spare, Reuse { assembly, base, seen, objects: objects.flatten() })
}

/// Returns what the store is known to hold of what the base names, where that is known.
fn known_objects<'a>(
    layout: &Layout,
    store: &Store,
    base: &'a Base,
    spare: &Spare,
    origins: &'a [u32],
) -> Result<Option<KnownObjects<'a>>, Error> {
    if !layout.objects.keeps_times()? {
        return Ok(None);
    }
    // The base may be the very release that is reused: then its record is in trash.
    let seen = if base.name.release == spare.id {
        spare.seen(layout)?
    } else {
        Seen::read(&layout.records.open_dir(base.name.release.as_str().as_bytes())?)?
    };
    seen.map(|seen| KnownObjects::new(seen, store, base.kept.placed(), origins)).transpose()
}
