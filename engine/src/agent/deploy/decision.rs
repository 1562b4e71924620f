//! What is decided of a release before content comes: its name, its second, its links into `shared/`.

use crate::error::{Error, ReleaseError};
use crate::manifest::{Manifest, diff};
use crate::release::{BootSpan, Record, ReleaseId};

use crate::agent::clock::now;
use crate::agent::shared::{self, SharedPlan};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::{Releases, read_manifest};
use crate::agent::trash;
use crate::agent::uptime::Uptime;

use super::base::Base;
use super::order::Order;
use super::second::{self, Seconds};

/// What was decided.
pub(super) struct Decision {
    /// Its name.
    pub(super) id: ReleaseId,
    /// Its place in the order of releases.
    pub(super) sequence: u64,
    /// The mtime of what it brings.
    pub(super) second: u32,
    /// Whether the filesystem keeps whole seconds alone.
    pub(super) has_whole_seconds: bool,
    /// How it differs from what is live.
    pub(super) counts: diff::Counts,
    /// Its links into `shared/`.
    pub(super) shared: SharedPlan,
    /// What is live before.
    pub(super) live: Option<ReleaseId>,
}

impl Decision {
    /// Decides, and refuses what cannot be made.
    pub(super) fn make(
        order: &Order<'_>,
        layout: &Layout,
        releases: &Releases,
        live: Option<ReleaseId>,
        base: Option<&Base>,
        manifest: &Manifest,
    ) -> Result<Decision, Error> {
        let shared = shared::plan(&layout.shared, order.policy(), manifest)?;
        let has_whole_seconds = !order.begin.dry_run && layout.keeps_whole_seconds()?;
        let second = choose_second(order, layout, releases, has_whole_seconds)?;
        let counts = count(layout, releases, live.as_ref(), base, manifest);
        let id = choose_id(order, layout, releases)?;
        let sequence = releases.records.last().map_or(0, |record| record.sequence) + 1;
        Ok(Decision { id, sequence, second, has_whole_seconds, counts, shared, live })
    }

    /// Returns the record of the release, which is not live yet.
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
            went_live: Vec::new(),
            live_turn: 0,
            retired: None,
            previous: None,
            span: BootSpan::begin(Uptime::now()),
        }
    }

    /// Returns what a dry run says where nothing was deployed yet.
    pub(super) fn without_site(manifest: &Manifest) -> Decision {
        Decision {
            id: ReleaseId::at(0),
            sequence: 1,
            second: 0,
            has_whole_seconds: false,
            counts: diff::count(None, manifest),
            shared: SharedPlan::default(),
            live: None,
        }
    }
}

/// Chooses a second that no release had, also none that is gone.
fn choose_second(
    order: &Order<'_>,
    layout: &Layout,
    releases: &Releases,
    has_whole_seconds: bool,
) -> Result<u32, Error> {
    let given = releases.records.iter().map(|record| record.second).chain([layout.store.second]);
    let given = given.chain(trash::greatest_second(layout)?);
    let (proposed, given) = (order.begin.second, given.max().unwrap_or(0));
    Ok(second::choose(Seconds { proposed, given, now: now() as u32, has_whole_seconds }))
}

/// Counts how a manifest differs from the live release; all of it is new where that cannot be read.
fn count(
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

/// A name that was asked for is taken as it is or refused; a time is moved on until it is later than every other.
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
