//! The releases that will expire once another one is made.

use std::path::PathBuf;

use crate::agent::clock::now;
use crate::agent::process::find_inhabitants;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::agent::uptime::Uptime;
use crate::error::Error;
use crate::release::{Record, ReleaseId};
use crate::target::Policy;

use super::retention::retention;
use super::trees::releases_path;

/// Returns the releases that will be due once `next` is made and `live` is live. In `next` itself nothing can expire.
pub(super) fn due_after(
    releases: &Releases,
    policy: &Policy,
    next: Record,
    live: Option<&ReleaseId>,
) -> Vec<ReleaseId> {
    let records = releases.records.iter().cloned().chain([next]).collect();
    let after = Releases { records, ..Releases::default() };
    retention(&after, live, policy, now(), Uptime::now().as_ref()).due
}

/// Returns the releases that a cleanup would remove once `next` is made and `live` is live: those that are due, and in
/// which no process lives now.
pub(crate) fn would_expire(
    layout: &Layout,
    releases: &Releases,
    policy: &Policy,
    next: Record,
    live: Option<&ReleaseId>,
) -> Result<Vec<ReleaseId>, Error> {
    let due = due_after(releases, policy, next, live);
    let root = releases_path(layout)?;
    let paths: Vec<PathBuf> = due.iter().map(|id| root.join(id.as_str())).collect();
    let inhabitants = find_inhabitants(&paths);
    Ok(due.into_iter().zip(inhabitants).filter(|(_, inhabitant)| inhabitant.is_none()).map(|(id, _)| id).collect())
}
