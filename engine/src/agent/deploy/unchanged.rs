//! The answer to a deploy of the release that is already live.

use std::borrow::Cow;

use crate::error::Error;
use crate::release::ReleaseId;
use crate::report::DeployState;
use crate::threads;
use crate::wire::message::DeployDone;

use crate::agent::shared::{self, LiveRelease, SharedRoot};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::{Releases, read_manifest};

use super::order::Order;
use super::ready::holding;

/// Returns the answer if the live release already has the content and the links that were asked for.
pub(super) fn unchanged(
    order: &Order<'_>,
    layout: &Layout,
    releases: &Releases,
    live: Option<&ReleaseId>,
) -> Result<Option<DeployDone>, Error> {
    let Some(record) = live.and_then(|live| releases.find(live)) else {
        return Ok(None);
    };
    let policy = order.policy();
    if order.begin.force
        || record.root != order.begin.root
        || record.copy_paths != policy.copy_paths
        || record.writable != policy.writable
    {
        return Ok(None);
    }
    let shares_nothing =
        policy.shared_dirs.is_empty() && policy.shared_files.is_empty() && layout.shared.names()?.is_empty();
    if !(shares_nothing && record.shared.is_empty()) {
        threads::start_pool()?;
        // If the manifest cannot be read, the release is made anew.
        let Ok(stored) = read_manifest(layout, &record.id, &record.root) else {
            return Ok(None);
        };
        let live = LiveRelease { record, manifest: Cow::Borrowed(&stored.manifest) };
        let plan = shared::plan(&SharedRoot::open(&layout.shared)?, policy, &stored.manifest, Some(&live))?;
        if plan.links != record.shared || !plan.new.is_empty() {
            return Ok(None);
        }
    }
    let mut done = DeployDone::of(DeployState::Unchanged);
    done.holding = order.unless_believed(holding(layout, releases));
    done.release = Some(record.id.clone());
    done.previous = Some(record.id.clone());
    done.removed.clone_from(&releases.dropped);
    Ok(Some(done))
}
