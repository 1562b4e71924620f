//! The forecast of a deploy, for a dry run: the sizes of what changes, the space, the releases that expire. The client
//! adds what it would send.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::disk::{Dir, Free};
use crate::error::Error;
use crate::manifest::diff;
use crate::path::Shown;
use crate::pattern::Patterns;
use crate::release::ReleaseId;
use crate::report::{Change, PreviewReport, SpaceReport};
use crate::wire::message::MissingAgent;

use crate::agent::classify::FurtherCopy;
use crate::agent::clock::now;
use crate::agent::prune;
use crate::agent::receive::WantedObjects;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::agent::space::{Demand, SpaceCheck};
use crate::agent::store::Store;
use crate::agent::trash::Spare;

use super::planned_hooks::live_manifest;
use super::task::Task;

/// A deploy path that exists.
#[derive(Clone, Copy)]
pub(super) struct OpenSite<'a> {
    /// The layout.
    pub(super) layout: &'a Layout,
    /// The releases.
    pub(super) releases: &'a Releases,
    /// The store.
    pub(super) store: &'a Store,
}

/// Returns the forecast.
pub(super) fn preview(
    task: Task<'_>,
    site: Option<OpenSite<'_>>,
    wanted: &WantedObjects,
    further_copies: &[FurtherCopy],
) -> Result<PreviewReport, Error> {
    let mut preview = sizes(task, site);
    let spare = match site {
        Some(site) if task.order.policy().spare => Spare::find(site.layout)?,
        _ => None,
    };
    preview.space = space(task, site, wanted, further_copies, spare.as_ref())?;
    Ok(preview)
}

/// Returns the need beside the free space, if no spare has a part of it.
pub(super) fn whole_need(
    task: Task<'_>,
    site: OpenSite<'_>,
    wanted: &WantedObjects,
    further_copies: &[FurtherCopy],
) -> Result<SpaceReport, Error> {
    space(task, Some(site), wanted, further_copies, None)
}

fn space(
    task: Task<'_>,
    site: Option<OpenSite<'_>>,
    wanted: &WantedObjects,
    further_copies: &[FurtherCopy],
    spare: Option<&Spare>,
) -> Result<SpaceReport, Error> {
    let policy = task.order.policy();
    let copies = Patterns::parse(policy.copy_paths.iter().map(String::as_str), "`copy_paths`")?;
    let demand = Demand {
        manifest: &task.tree.manifest,
        link: policy.link,
        copies: &copies,
        shared_links: task.decision.shared.links.len() as u64,
        further_copies,
        wanted,
        begun: &[],
        store: site.map(|site| site.store),
        missing_agent: task.order.begin.missing_agent.as_ref().and_then(|agent| bytes_beside(agent, task.order.path)),
    };
    let check = SpaceCheck { demand, spare, min_free: policy.min_free };
    check.report(site.map(|site| site.layout), &free(task, site)?)
}

/// Returns the length of an agent whose place is on the filesystem of the deploy path.
fn bytes_beside(agent: &MissingAgent, deploy_path: &Path) -> Option<u64> {
    let device = |path: &Path| path.ancestors().find_map(|path| fs::metadata(path).ok()).map(|found| found.dev());
    let is_beside = device(&agent.directory.under(deploy_path)) == device(deploy_path);
    is_beside.then_some(agent.bytes)
}

fn sizes(task: Task<'_>, site: Option<OpenSite<'_>>) -> PreviewReport {
    let mut preview = PreviewReport::default();
    let old = live_manifest(task, site.map(|site| (site.layout, site.releases)));
    diff::compare(old.as_deref(), &task.tree.manifest, |difference| {
        let (sizes, bytes) = match difference.change {
            Change::New => (&mut preview.new, difference.bytes_after),
            Change::Removed => (&mut preview.gone, difference.bytes_before),
            Change::Content | Change::Mode | Change::Kind | Change::Moved => {
                (&mut preview.changed, difference.bytes_after)
            }
        };
        sizes.add(bytes.unwrap_or(0), || Shown(&difference.path).to_string());
    });
    preview
}

/// Returns the free space of the deploy path, or of the directory in which it will be made.
fn free(task: Task<'_>, site: Option<OpenSite<'_>>) -> Result<Free, Error> {
    if let Some(site) = site {
        return site.layout.root.free();
    }
    let above = task.order.path.ancestors().find(|path| path.is_dir());
    Dir::open(above.unwrap_or(task.order.path))?.free()
}

/// Returns the releases that would expire with the deploy.
pub(super) fn would_expire(task: Task<'_>, layout: &Layout, releases: &Releases) -> Result<Vec<ReleaseId>, Error> {
    let mut next = task.decision.record(task.order, &task.tree.manifest, 0);
    let live = match task.order.begin.no_switch {
        true => task.decision.live.clone(),
        false => {
            next.go_live(now(), releases.next_turn());
            next.previous.clone_from(&task.decision.live);
            Some(next.id.clone())
        }
    };
    prune::would_expire(layout, releases, task.order.policy(), next, live.as_ref())
}
