//! The last step, once a release is live or ready: retention, leftovers, and what was seen of it.
//!
//! Nothing here fails a deploy, and nothing waits for a client that has gone. What goes wrong is a warning.

use std::time::Instant;

use crate::error::Error;
use crate::event::Phase;
use crate::manifest::Manifest;
use crate::release::ReleaseId;

use crate::agent::prune::{self, How};
use crate::agent::seen::{self, Looks};
use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Placed;
use crate::agent::staging;
use crate::agent::store::Store;
use crate::agent::tell::Tell;

use super::made::Made;
use super::task::Task;

/// What came of it.
#[derive(Default)]
pub(super) struct Tidied {
    /// Releases that were removed.
    pub(super) removed: Vec<ReleaseId>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
    /// How long the cleanup took.
    pub(super) seconds: f32,
}

/// Removes what retention gives up and what runs left in staging, and keeps what was seen of the new release.
pub(super) fn tidy(tell: &dyn Tell, site: &mut Site, task: Task<'_>, made: &Made) -> Tidied {
    let manifest = made.filled.manifest(task);
    tell.began(Phase::Cleanup);
    let began = Instant::now();
    let mut tidied = clean_up(tell, site, task, Placed { manifest, placements: &made.filled.assembled.placements });
    tidied.seconds = began.elapsed().as_secs_f32();
    tell.ended(Phase::Cleanup);
    let kept = keep_seen(&site.layout, &task.decided.id, manifest, made);
    tidied.warnings.extend(kept.err().map(|error| error.with_cause()));
    tidied
}

fn clean_up(tell: &dyn Tell, site: &mut Site, task: Task<'_>, new: Placed<'_>) -> Tidied {
    let Site { lock, layout, releases } = site;
    let mut tidied = Tidied::default();
    tidied.warnings.extend(staging::clear(lock, layout).err().map(|error| error.with_cause()));
    let base = task.base.map(|base| (&base.name.release, base.kept.placed()));
    let read: Vec<_> = base.into_iter().chain([(&task.decided.id, new)]).collect();
    let how = How { lock: Some(lock), read: &read, ..How::default() };
    match prune::cleanup(layout, releases, task.order.policy(), &how, tell) {
        Ok(report) => {
            tidied.removed.extend(report.removed);
            tidied.warnings.extend(report.warnings);
        }
        Err(error) => tidied.warnings.push(error.with_cause()),
    }
    for name in &releases.foreign {
        let path = layout.releases.path_of(name).display().to_string();
        tidied.warnings.push(format!("`{path}` was not made by Cutover and is left alone"));
    }
    tidied
}

/// Keeps what was seen of a release for whoever makes another one of it.
fn keep_seen(layout: &Layout, id: &ReleaseId, manifest: &Manifest, made: &Made) -> Result<(), Error> {
    let assembled = &made.filled.assembled;
    let (directories, inodes) = (&assembled.directories, &assembled.inodes);
    let looks = Looks { directories, inodes, moment: made.published.moment };
    let record = layout.records.open_dir(id.as_str().as_bytes())?;
    seen::keep(&record, &Store::new(layout.objects.duplicate()?), manifest, &looks)
}
