//! The properties of a release that are known before content arrives: its id, its second, its links into `shared/`.

use std::borrow::Cow;

use crate::error::{Error, ReleaseError};
use crate::manifest::{Manifest, diff};
use crate::release::{BootSpan, Marks, Record, ReleaseId};
use crate::target::Policy;

use crate::agent::adopt::Adoption;
use crate::agent::clock::now;
use crate::agent::shared::{self, LiveRelease, SharedPlan, SharedRoot};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::{Releases, read_manifest};
use crate::agent::uptime::Uptime;
use crate::agent::writable::WritableDirectories;

use super::base::Base;
use super::order::Order;
use super::second;

/// The properties of the new release.
pub(super) struct Decision {
    /// Its id.
    pub(super) id: ReleaseId,
    /// Its place in the order of releases.
    pub(super) sequence: u64,
    /// The mtime of its new content.
    pub(super) second: u32,
    /// Whether the filesystem keeps only whole seconds.
    pub(super) has_whole_seconds: bool,
    /// Its differences from the live release.
    pub(super) counts: diff::Counts,
    /// Its links into `shared/`.
    pub(super) shared: SharedPlan,
    /// The directories that the application writes to.
    pub(super) writable: WritableDirectories,
    /// The release that was live when the deploy began.
    pub(super) live: Option<ReleaseId>,
}

impl Decision {
    /// Decides, and refuses a release that cannot be made.
    pub(super) fn make(
        order: &Order<'_>,
        layout: &Layout,
        releases: &Releases,
        live: Option<ReleaseId>,
        base: Option<&Base>,
        manifest: &Manifest,
    ) -> Result<Decision, Error> {
        let known = live_release(order.policy(), layout, releases, live.as_ref(), base);
        let apart = Adoption::shared_paths(layout)?;
        let shared =
            shared::plan(&SharedRoot::open(&layout.shared)?, order.policy(), manifest, known.as_ref(), &apart)?;
        let writable = WritableDirectories::find(&order.policy().writable, manifest, &shared.links)?;
        let has_whole_seconds = !order.begin.dry_run && layout.keeps_whole_seconds()?;
        let second = second::choose_for(layout, releases, order.begin.second, has_whole_seconds)?;
        let counts = count(layout, releases, live.as_ref(), base, manifest);
        let id = choose_id(order, layout, releases)?;
        let sequence = releases.records.last().map_or(0, |record| record.sequence) + 1;
        Ok(Decision { id, sequence, second, has_whole_seconds, counts, shared, writable, live })
    }

    /// Returns the record of the release before it is live.
    pub(super) fn record(&self, order: &Order<'_>, manifest: &Manifest, new_bytes: u64) -> Record {
        Record {
            id: self.id.clone(),
            sequence: self.sequence,
            root: manifest.root(),
            second: self.second,
            created: now(),
            provenance: order.hello.provenance.clone(),
            files: manifest.files(),
            bytes: manifest.bytes(),
            new_bytes,
            shared: self.shared.links.clone(),
            copy_paths: order.policy().copy_paths.clone(),
            link: order.policy().link,
            writable: order.policy().writable.clone(),
            went_live: Vec::new(),
            live_turn: 0,
            retired: None,
            previous: None,
            span: BootSpan::begin(Uptime::now()),
            marks: Marks::default(),
            trial: None,
            is_taken_over: false,
        }
    }

    /// Returns the decision for a dry run on a path without any deploy.
    pub(super) fn without_site(order: &Order<'_>, manifest: &Manifest) -> Result<Decision, Error> {
        let root = SharedRoot::missing(order.path.join("shared"));
        Ok(Decision {
            id: ReleaseId::at(0),
            sequence: 1,
            second: 0,
            has_whole_seconds: false,
            counts: diff::count(None, manifest),
            shared: shared::plan(&root, order.policy(), manifest, None, &[])?,
            writable: WritableDirectories::default(),
            live: None,
        })
    }
}

/// Returns the live release with its manifest, if the configuration declares shared paths. If it cannot be read, all
/// that a link hides is new.
fn live_release<'a>(
    policy: &Policy,
    layout: &Layout,
    releases: &'a Releases,
    live: Option<&ReleaseId>,
    base: Option<&'a Base>,
) -> Option<LiveRelease<'a>> {
    if policy.shared_dirs.is_empty() && policy.shared_files.is_empty() {
        return None;
    }
    let record = live.and_then(|live| releases.find(live))?;
    if let Some(base) = base.filter(|base| base.name.release == record.id) {
        return Some(LiveRelease { record, manifest: Cow::Borrowed(&base.stored.manifest) });
    }
    let stored = read_manifest(layout, &record.id, &record.root).ok()?;
    Some(LiveRelease { record, manifest: Cow::Owned(stored.manifest) })
}

/// Counts the differences from the live release. If its manifest cannot be read, all files are new.
pub(super) fn count(
    layout: &Layout,
    releases: &Releases,
    live: Option<&ReleaseId>,
    base: Option<&Base>,
    manifest: &Manifest,
) -> diff::Counts {
    let Some(record) = live.and_then(|live| releases.find(live)) else {
        return diff::count(None, manifest);
    };
    if let Some(base) = base.filter(|base| base.name.release == record.id) {
        return diff::count(Some(&base.stored.manifest), manifest);
    }
    match read_manifest(layout, &record.id, &record.root) {
        Ok(stored) => diff::count(Some(&stored.manifest), manifest),
        Err(_) => diff::count(None, manifest),
    }
}

/// Chooses the id. A name that the user gave is used as it is, or refused. A time is moved on until it is later than
/// every other id.
fn choose_id(order: &Order<'_>, layout: &Layout, releases: &Releases) -> Result<ReleaseId, Error> {
    let wanted = &order.begin.release;
    let taken: Vec<ReleaseId> = layout
        .release_names()?
        .into_iter()
        .filter_map(|name| String::from_utf8(name).ok()?.parse().ok())
        .chain(releases.ids())
        .chain(releases.damaged.iter().map(|(id, _)| id.clone()))
        .collect();
    if order.begin.is_named {
        return if taken.contains(wanted) {
            Err(Error::Release(ReleaseError::Exists(wanted.clone())))
        } else {
            Ok(wanted.clone())
        };
    }
    let next = taken.iter().filter_map(ReleaseId::a_second_later).max();
    Ok(next.map_or_else(|| wanted.clone(), |next| next.max(wanted.clone())))
}
