//! The answer to a deploy of the release that is already live, if nobody changed that release on the server.

use std::borrow::Cow;

use crate::error::Error;
use crate::release::{Record, ReleaseId};
use crate::report::{DeployState, Differences};
use crate::threads;
use crate::wire::message::DeployDone;

use crate::agent::adopt::Adoption;
use crate::agent::shared::{self, LiveRelease, SharedRoot};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::{Releases, read_manifest};

use super::look::{Look, compare_live};
use super::order::Order;
use super::ready::holding;

/// Whether the live release already is what was asked for.
pub(super) enum Unchanged {
    /// It is.
    Yes(Box<DeployDone>),
    /// It is not. These are the edits of the live release, which the next release does not have.
    No(Option<Differences>),
}

/// Tells whether the live release already has the content and the links that were asked for. Names that were added to
/// it on the server are reported, and no reason to make it anew: many applications write files beside their own.
pub(super) fn unchanged(
    order: &Order<'_>,
    layout: &Layout,
    releases: &Releases,
    live: Option<&ReleaseId>,
    look: Option<Look>,
) -> Result<Unchanged, Error> {
    let Some(record) = live.and_then(|live| releases.find(live)) else {
        return Ok(Unchanged::No(None));
    };
    let is_made_of_it = is_made_of(order, layout, record)?;
    let compared = compare_live(layout, record, look)?;
    if !compared.failed.is_empty() {
        // If the manifest cannot be read, the release is made anew.
        return Ok(Unchanged::No(None));
    }
    let mut done = DeployDone::of(DeployState::Unchanged);
    done.warnings = compared.warnings();
    let is_edited = !compared.edited.is_empty();
    done.edited = compared.differences.into_iter().next();
    if is_edited || !is_made_of_it {
        return Ok(Unchanged::No(done.edited.filter(|_| is_edited)));
    }
    done.holding = order.unless_believed(holding(layout, releases));
    done.release = Some(record.id.clone());
    done.previous = Some(record.id.clone());
    done.removed.clone_from(&releases.dropped);
    Ok(Unchanged::Yes(Box::new(done)))
}

/// Tells whether a release was made of the source and the configuration that were asked for.
fn is_made_of(order: &Order<'_>, layout: &Layout, record: &Record) -> Result<bool, Error> {
    let policy = order.policy();
    let is_like =
        record.copy_paths == policy.copy_paths && record.link == policy.link && record.writable == policy.writable;
    // A release that failed and stayed live was never made live as it should be: its hooks and checks are due.
    if order.begin.force || record.is_bad() || record.root != order.begin.root || !is_like {
        return Ok(false);
    }
    let shares_nothing =
        policy.shared_dirs.is_empty() && policy.shared_files.is_empty() && layout.shared.names()?.is_empty();
    if !(shares_nothing && record.shared.is_empty()) {
        threads::start_pool()?;
        // If the manifest cannot be read, the release is made anew.
        let Ok(stored) = read_manifest(layout, &record.id, &record.root) else {
            return Ok(false);
        };
        let live = LiveRelease { record, manifest: Cow::Borrowed(&stored.manifest) };
        let plan = shared::plan(
            &SharedRoot::open(&layout.shared)?,
            policy,
            &stored.manifest,
            Some(&live),
            &Adoption::shared_paths(layout)?,
        )?;
        if plan.links != record.shared || !plan.new.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
