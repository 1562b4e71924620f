//! The last step, when a release is live or ready: retention, leftovers, and the stamps of the new release.
//!
//! Nothing here fails a deploy, and nothing waits for the client. An error becomes a warning.

use std::time::Instant;

use crate::error::Error;
use crate::event::Phase;
use crate::manifest::Manifest;
use crate::release::ReleaseId;

use crate::agent::prune::{self, CleanupOptions};
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::ManifestView;
use crate::agent::staging;
use crate::agent::stamps::{self, NewStamps};
use crate::agent::store::Store;

use super::outcome::DeployOutcome;
use super::task::Task;

/// The result of the last step.
#[derive(Default)]
pub(super) struct CleanupOutcome {
    /// The releases that were removed.
    pub(super) removed: Vec<ReleaseId>,
    /// The warnings for the user.
    pub(super) warnings: Vec<String>,
    /// The duration of the cleanup.
    pub(super) seconds: f32,
}

/// Removes the expired releases and the leftovers in staging, and keeps the stamps of the new release.
pub(super) fn tidy(
    reporter: &dyn Reporter,
    site: &mut Site,
    task: Task<'_>,
    outcome: &DeployOutcome,
) -> CleanupOutcome {
    let manifest = outcome.staged.manifest(task);
    reporter.began(Phase::Cleanup);
    let began = Instant::now();
    let mut cleanup =
        clean_up(reporter, site, task, ManifestView { manifest, placements: &outcome.staged.assembled.placements });
    cleanup.seconds = began.elapsed().as_secs_f32();
    reporter.ended(Phase::Cleanup);
    let kept = keep_stamps(&site.layout, &task.decision.id, manifest, outcome);
    cleanup.warnings.extend(kept.err().map(|error| error.with_cause()));
    cleanup
}

fn clean_up(reporter: &dyn Reporter, site: &mut Site, task: Task<'_>, new: ManifestView<'_>) -> CleanupOutcome {
    let Site { lock, layout, releases } = site;
    let mut cleanup = CleanupOutcome::default();
    cleanup.warnings.extend(staging::clear(lock, layout).err().map(|error| error.with_cause()));
    let base = task.base.map(|base| (&base.name.release, base.stored.view()));
    let read: Vec<_> = base.into_iter().chain([(&task.decision.id, new)]).collect();
    let options = CleanupOptions { lock: Some(lock), read: &read, ..CleanupOptions::default() };
    match prune::cleanup(layout, releases, task.order.policy(), &options, reporter) {
        Ok(report) => {
            cleanup.removed.extend(report.removed);
            cleanup.warnings.extend(report.warnings);
        }
        Err(error) => cleanup.warnings.push(error.with_cause()),
    }
    for name in &releases.foreign {
        let path = layout.releases.path_of(name).display().to_string();
        cleanup.warnings.push(format!("`{path}` was not made by Cutover and is left alone"));
    }
    cleanup
}

/// Keeps the stamps of a release for the deploy that will reuse it.
fn keep_stamps(layout: &Layout, id: &ReleaseId, manifest: &Manifest, outcome: &DeployOutcome) -> Result<(), Error> {
    let assembled = &outcome.staged.assembled;
    let (directories, inodes) = (&assembled.directories, &assembled.inodes);
    let stamps = NewStamps { directories, inodes, moment: outcome.published.moment };
    let record = layout.records.open_dir(id.as_str().as_bytes())?;
    stamps::write(&record, &Store::new(layout.objects.duplicate()?), manifest, &stamps)
}
