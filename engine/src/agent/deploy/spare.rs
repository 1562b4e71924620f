//! The choice of a spare: a removed release that is turned into the new one.

use std::time::Duration;

use crate::error::{Error, ReleaseError};
use crate::release::ReleaseId;
use crate::report::ReuseReport;
use crate::target::Policy;

use crate::agent::assemble::Assembly;
use crate::agent::clock::now;
use crate::agent::prune::{self, CleanupOptions, DueRelease};
use crate::agent::reporter::Reporter;
use crate::agent::reuse::{Reuse, abandon, reuse};
use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::stamps::{KnownObjects, Stamps};
use crate::agent::store::Store;
use crate::agent::trash::Spare;

use super::base::Base;
use super::task::Task;

/// The choice of a spare.
#[derive(Default)]
pub(super) struct SpareChoice {
    /// The spare to reuse.
    pub(super) spare: Option<Spare>,
    /// Whether trash has a spare, this or another. It is removed if space is short.
    pub(super) has_spare: bool,
    /// The reason why the first candidate is not reused.
    pub(super) refused: Option<Error>,
    /// The releases that were removed to be reused.
    pub(super) removed: Vec<ReleaseId>,
}

impl SpareChoice {
    /// Chooses the spare in trash, else a release that expires once the new one is live.
    pub(super) fn make(reporter: &dyn Reporter, site: &mut Site, task: Task<'_>) -> Result<SpareChoice, Error> {
        let policy = task.order.policy();
        let spare = Spare::find(&site.layout)?;
        let mut choice = SpareChoice { has_spare: spare.is_some(), ..SpareChoice::default() };
        if choice.try_spare(&site.layout, spare, policy.grace)? || task.order.begin.no_switch {
            return Ok(choice);
        }
        match take_due(reporter, site, task)? {
            DueRelease::Taken(id) => {
                reporter.removed(&id);
                let spare = Spare::find(&site.layout)?.filter(|spare| spare.id == id);
                choice.removed.push(id);
                // A process may have entered it just before it was moved.
                choice.try_spare(&site.layout, spare, policy.grace)?;
                choice.has_spare = true;
            }
            DueRelease::Refused(error) => choice.refused = choice.refused.or(Some(error)),
            DueRelease::Nothing => {}
        }
        Ok(choice)
    }

    /// Frees space: removes the spare, and reuses none.
    pub(super) fn make_room(
        self,
        reporter: &dyn Reporter,
        site: &mut Site,
        policy: &Policy,
    ) -> Result<SpareChoice, Error> {
        let policy = Policy { spare: false, ..policy.clone() };
        let options = CleanupOptions { lock: Some(&site.lock), ..CleanupOptions::default() };
        let report = prune::cleanup(&mut site.layout, &mut site.releases, &policy, &options, reporter)?;
        report.warnings.into_iter().for_each(|warning| reporter.warn(warning));
        let mut removed = self.removed;
        removed.extend(report.removed);
        Ok(SpareChoice { removed, ..SpareChoice::default() })
    }

    /// Chooses a release if it may be reused. Returns whether a spare is chosen.
    fn try_spare(&mut self, layout: &Layout, spare: Option<Spare>, grace: Duration) -> Result<bool, Error> {
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

/// Moves the release to trash that expires once the new one is live. An obstacle is not reported here: the cleanup
/// reports it.
fn take_due(reporter: &dyn Reporter, site: &mut Site, task: Task<'_>) -> Result<DueRelease, Error> {
    let Site { lock, layout, releases } = site;
    let mut next = task.decision.record(task.order, &task.tree.manifest, 0);
    next.go_live(now(), releases.next_turn());
    next.previous.clone_from(&task.decision.live);
    match prune::take_due(lock, layout, releases, task.order.policy(), next) {
        Ok(due) => Ok(due),
        Err(error) => {
            reporter.warn(error.with_cause());
            // The release may be half-way in trash.
            site.read_again()?;
            Ok(DueRelease::Nothing)
        }
    }
}

/// Makes all directories: by reusing the spare with its content, or anew. Returns the result of the reuse, if there
/// is a spare.
pub(super) fn make_directories(
    layout: &Layout,
    assembly: &Assembly<'_>,
    task: Task<'_>,
    spare: Option<&Spare>,
) -> Result<Option<Result<ReuseReport, Error>>, Error> {
    let Some(spare) = spare else { return assembly.make_directories().map(|()| None) };
    let reused = try_to_reuse(layout, assembly, task, spare);
    if reused.is_err() {
        abandon(layout, assembly, spare)?;
        assembly.make_directories()?;
    }
    Ok(Some(reused))
}

fn try_to_reuse(layout: &Layout, assembly: &Assembly<'_>, task: Task<'_>, spare: &Spare) -> Result<ReuseReport, Error> {
    let known = |base| known_objects(layout, assembly.store, base, spare, &task.tree.origins);
    let objects = task.base.map(known).transpose()?;
    let (base, stamps) = (task.base_manifest(), spare.stamps(layout)?);
    reuse(layout, spare, Reuse { assembly, base, stamps, objects: objects.flatten() })
}

/// Returns the known inodes of the objects that the base names, if its stamps can be trusted.
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
    // If the base is the spare itself, its record is in trash.
    let stamps = if base.name.release == spare.id {
        spare.stamps(layout)?
    } else {
        Stamps::read(&layout.records.open_dir(base.name.release.as_str().as_bytes())?)?
    };
    stamps.map(|stamps| KnownObjects::new(stamps, store, base.stored.view(), origins)).transpose()
}
