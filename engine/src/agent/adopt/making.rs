//! Makes the first release of a site, on the way of a deploy: scan, classify, stage, assemble, publish.
//!
//! Staged content stays between the rounds. What a run left that was killed is used as after any other run.

use std::collections::HashSet;
use std::sync::Arc;

use crate::agent::assemble::{AssembledTree, Assembly};
use crate::agent::classify::{Classification, Classifier, FurtherCopy};
use crate::agent::clock::now;
use crate::agent::deploy::{
    Publication, PublishedRelease, choose_second, make_further_copies, publish, publish_objects, wait_for_end_of,
};
use crate::agent::receive::{WantedObjects, resume};
use crate::agent::reporter::Reporter;
use crate::agent::shared::{self, SharedPlan, SharedRoot};
use crate::agent::site::Site;
use crate::agent::site::own::Own;
use crate::agent::site::records;
use crate::agent::staging::{self, Staging};
use crate::agent::stamps::{self, NewStamps};
use crate::agent::store::Store;
use crate::agent::uptime::Uptime;
use crate::agent::writable::WritableDirectories;
use crate::error::{AdoptError, Error, ReleaseError};
use crate::event::Phase;
use crate::link::Link;
use crate::manifest::encode::INTRODUCED;
use crate::manifest::placement::Placement;
use crate::manifest::{Manifest, ObjectKey};
use crate::path::Shown;
use crate::pattern::Patterns;
use crate::release::{BootSpan, Marks, Provenance, Record, ReleaseId};
use crate::scan::snapshot::Snapshot;
use crate::target::Policy;
use crate::writable::Writable;

use super::adoption::Adoption;
use super::content::SiteContent;
use super::linking;

/// How often a site is scanned until all of its content is staged. A file that changes each time is named.
const ROUNDS_MAX: u32 = 6;

/// Makes releases of a site.
pub(super) struct Maker<'a> {
    /// The content of the site.
    pub(super) content: SiteContent<'a>,
    /// The configuration.
    pub(super) policy: &'a Policy,
    /// The person who adopts.
    pub(super) provenance: &'a Provenance,
    /// Receives progress and warnings.
    pub(super) reporter: &'a dyn Reporter,
}

/// The staged content of a site, at the moment of a scan.
pub(super) struct StagedContent {
    store: Store,
    staging: Staging,
    /// The objects in staging.
    staged: HashSet<ObjectKey>,
    second: u32,
    has_whole_seconds: bool,
    /// The scan.
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

/// A release that was made of a site.
pub(super) struct MadeRelease {
    /// The release.
    pub(super) id: ReleaseId,
    /// The site at that time.
    pub(super) snapshot: Arc<Snapshot>,
    /// The objects that came with it.
    pub(super) objects_new: u64,
}

/// What the record of a release says that stays where it is.
pub(super) struct Kept {
    /// Its name.
    pub(super) id: ReleaseId,
    /// The time at which it was made, in Unix seconds.
    pub(super) created: u64,
    /// The times at which it went live.
    pub(super) went_live: Vec<u64>,
    /// The number of the switch that made it live.
    pub(super) live_turn: u64,
    /// The time at which another one replaced it.
    pub(super) retired: Option<u64>,
    /// The release that was live before.
    pub(super) previous: Option<ReleaseId>,
    /// Its marks.
    pub(super) marks: Marks,
}

impl StagedContent {
    /// Begins with nothing.
    pub(super) fn begin(site: &Site) -> Result<StagedContent, Error> {
        let has_whole_seconds = site.layout.keeps_whole_seconds()?;
        let second = choose_second(&site.layout, &site.releases, now() as u32, has_whole_seconds)?;
        let store = Store::new(site.layout.objects.duplicate()?);
        let staging = Staging::create(&site.lock, &site.layout)?;
        Ok(StagedContent { store, staging, staged: HashSet::new(), second, has_whole_seconds, snapshot: None })
    }

    /// Removes what is left of it. Staged content stays for the next run.
    pub(super) fn abandon(self, site: &Site) {
        // The next run clears what cannot be removed now.
        drop(self.store);
        drop(self.staging.abandon(&site.lock, &site.layout));
    }
}

impl Maker<'_> {
    /// Scans the site and stages its content, until nothing is missing.
    pub(super) fn stage(&self, site: &Site, content: &mut StagedContent) -> Result<(), Error> {
        let mut missing = String::new();
        for _ in 0..ROUNDS_MAX {
            self.reporter.began(Phase::Scan);
            let snapshot = self.content.scan(content.snapshot.as_ref())?;
            self.reporter.ended(Phase::Scan);
            if self.content.is_linked {
                linking::keep_modes(&site.lock, &site.layout, &snapshot)?;
            }
            self.reporter.began(Phase::Copy);
            let left = self.stage_round(site, content, &snapshot)?;
            self.reporter.ended(Phase::Copy);
            content.snapshot = Some(snapshot);
            match left {
                None => return Ok(()),
                Some(path) => missing = path,
            }
        }
        Err(AdoptError::KeepsChanging(missing).into())
    }

    /// Stages the content of a scan. Returns the path of a file that changed since.
    fn stage_round(
        &self,
        site: &Site,
        content: &mut StagedContent,
        snapshot: &Snapshot,
    ) -> Result<Option<String>, Error> {
        let manifest = &snapshot.manifest;
        let StagedContent { store, staging, staged, second, .. } = content;
        let lacking = lacking(site, store, manifest, *second)?;
        let nothing = vec![Placement::default(); manifest.len() as usize];
        let (copies, writable) = (Patterns::default(), WritableDirectories::default());
        let assembly = Assembly::new(manifest, &nothing, &copies, &writable, *second, store, staging);
        let wanted = WantedObjects::gather(manifest, lacking);
        resume::adopt(&site.lock, &site.layout, &assembly, &wanted)?;
        self.content.stage(&assembly, &wanted, snapshot, staged)?;
        let missing = wanted.missing_entries();
        Ok(missing.first().map(|&entry| Shown(&manifest.path(entry)).to_string()))
    }

    /// Assembles the release and publishes it. It is ready then, and not live.
    pub(super) fn publish(&self, site: &mut Site, content: StagedContent) -> Result<MadeRelease, Error> {
        let made = self.publish_staged(site, &content);
        content.abandon(site);
        let made = made?;
        drop(staging::clear(&site.lock, &site.layout));
        Ok(made)
    }

    /// Publishes the objects and the record of a release whose tree stays where it is. Returns the number of new objects.
    pub(super) fn keep_in_place(&self, site: &mut Site, content: StagedContent, kept: Kept) -> Result<u64, Error> {
        let record = self.record_in_place(site, &content, kept);
        content.abandon(site);
        drop(staging::clear(&site.lock, &site.layout));
        let (record, objects_new) = record?;
        site.releases.records.push(record);
        Ok(objects_new)
    }

    fn record_in_place(&self, site: &Site, content: &StagedContent, kept: Kept) -> Result<(Record, u64), Error> {
        let StagedContent { store, staging, second, .. } = content;
        let snapshot = content.snapshot.clone().ok_or_else(|| Error::Bug("a site that was not scanned".into()))?;
        let manifest = &snapshot.manifest;
        let Prepared { expected, wanted, .. } = prepare(site, store, manifest, content)?;
        let placed = |placement: &Placement| match placement.second {
            0 => Placement { second: *second, copy: 0 },
            _ => *placement,
        };
        let placements: Vec<Placement> = expected.iter().map(placed).collect();
        let new = self.record(site, content, manifest, &SharedPlan::default(), &wanted)?;
        let Kept { id, created, went_live, live_turn, retired, previous, marks } = kept;
        let (copy_paths, link) = (Vec::new(), Link::default());
        let writable = Writable::default();
        let record = Record {
            id,
            created,
            went_live,
            live_turn,
            retired,
            previous,
            marks,
            copy_paths,
            link,
            writable,
            is_taken_over: true,
            span: None,
            ..new
        };
        records::stage(&staging.record, &record, manifest, &placements)?;
        staging.dir.sync_filesystem()?;
        let objects_new = publish_objects(staging, store, &wanted)?;
        let id = record.id.as_str().as_bytes();
        if !staging.dir.rename_new(b"record", &site.layout.records, id)? {
            return Err(ReleaseError::Exists(record.id.clone()).into());
        }
        site.layout.private.sync_filesystem()?;
        Ok((record, objects_new))
    }

    fn publish_staged(&self, site: &mut Site, content: &StagedContent) -> Result<MadeRelease, Error> {
        let StagedContent { store, staging, second, .. } = content;
        let snapshot = content.snapshot.clone().ok_or_else(|| Error::Bug("a site that was not scanned".into()))?;
        let manifest = &snapshot.manifest;
        let shared = shared::plan(
            &SharedRoot::open(&site.layout.shared)?,
            self.policy,
            manifest,
            None,
            &Adoption::shared_paths(&site.layout)?,
        )?;
        let writable = WritableDirectories::find(&self.policy.writable, manifest, &shared.links)?;
        let copies = Patterns::parse(self.policy.copy_paths.iter().map(String::as_str), "`copy_paths`")?;
        let Prepared { expected, further_copies, wanted } = prepare(site, store, manifest, content)?;
        let assembly = Assembly::new(manifest, &expected, &copies, &writable, *second, store, staging);
        let assembly = assembly.link_as(self.policy.link)?;
        self.reporter.began(Phase::Assemble);
        let assembled = self.assemble(site, assembly, (&wanted, &further_copies), &shared)?;
        self.reporter.ended(Phase::Assemble);
        let record = self.record(site, content, manifest, &shared, &wanted)?;
        if content.has_whole_seconds {
            wait_for_end_of(*second);
        }
        self.reporter.began(Phase::Sync);
        let arrived = [wanted];
        let layout = &site.layout;
        let publication =
            Publication { layout, store, staging, manifest, assembled: &assembled, arrived: &arrived, record: &record };
        let published = publish(&site.lock, &publication)?;
        self.reporter.ended(Phase::Sync);
        keep_stamps(site, &record.id, manifest, &assembled, &published)?;
        let id = record.id.clone();
        site.releases.records.push(record);
        Ok(MadeRelease { id, snapshot: snapshot.clone(), objects_new: published.objects_new })
    }

    fn assemble(
        &self,
        site: &Site,
        assembly: Assembly<'_>,
        (wanted, further_copies): (&WantedObjects, &[FurtherCopy]),
        shared: &SharedPlan,
    ) -> Result<AssembledTree, Error> {
        let staging = assembly.staging;
        assembly.make_directories()?;
        make_further_copies(&assembly, further_copies)?;
        assembly.link_known(|_| ())?;
        assembly.link_all_arrived(wanted)?;
        if let Some(&entry) = assembly.take_unfit().first() {
            let path = Shown(&assembly.manifest.path(entry)).to_string();
            return Err(AdoptError::KeepsChanging(path).into());
        }
        let made = assembly.writable.make_missing(&staging.tree)?;
        assembly.writable.missing().iter().for_each(|path| assembly.note_link(path));
        if !made.is_empty() {
            let mut own = Own::default();
            own.extend(&made);
            own.write(&staging.record)?;
        }
        shared.carry_out(&staging.tree, &site.layout.shared, assembly.manifest, assembly.second)?;
        if let Some(warning) = assembly.writable.give_shared(&site.layout.shared)? {
            self.reporter.warn(warning);
        }
        shared.links.iter().for_each(|path| assembly.note_link(path));
        assembly.finish_directories(&shared.links)?;
        Ok(assembly.finish())
    }

    fn record(
        &self,
        site: &Site,
        content: &StagedContent,
        manifest: &Manifest,
        shared: &SharedPlan,
        wanted: &WantedObjects,
    ) -> Result<Record, Error> {
        Ok(Record {
            id: free_id(site)?,
            sequence: site.releases.records.last().map_or(0, |record| record.sequence) + 1,
            root: manifest.root(),
            second: content.second,
            created: now(),
            provenance: self.provenance.clone(),
            files: manifest.files(),
            bytes: manifest.bytes(),
            new_bytes: wanted.arrived().map(|at| wanted.size(at)).sum(),
            shared: shared.links.clone(),
            copy_paths: self.policy.copy_paths.clone(),
            link: self.policy.link,
            writable: self.policy.writable.clone(),
            went_live: Vec::new(),
            live_turn: 0,
            retired: None,
            previous: None,
            span: BootSpan::begin(Uptime::now()),
            marks: Marks::default(),
            trial: None,
            is_taken_over: false,
        })
    }
}

/// Returns the entries whose content the store lacks.
fn lacking(site: &Site, store: &Store, manifest: &Manifest, second: u32) -> Result<Vec<u32>, Error> {
    Ok(classify(site, store, manifest, second)?.lacking)
}

fn classify(site: &Site, store: &Store, manifest: &Manifest, second: u32) -> Result<Classification, Error> {
    let entries = manifest.len() as usize;
    let Site { layout, releases, .. } = site;
    let classifier = Classifier { layout, releases, store, manifest, second, is_dry_run: false };
    classifier.classify(&vec![INTRODUCED; entries], None, vec![Placement::default(); entries])
}

/// The sources of a release's files.
struct Prepared {
    /// The placements of what the store has.
    expected: Vec<Placement>,
    /// The objects of the store that need another copy.
    further_copies: Vec<FurtherCopy>,
    /// The staged objects.
    wanted: WantedObjects,
}

/// Finds each file in the store or in staging.
fn prepare(site: &Site, store: &Store, manifest: &Manifest, content: &StagedContent) -> Result<Prepared, Error> {
    let Classification { expected, lacking, further_copies, .. } = classify(site, store, manifest, content.second)?;
    let wanted = WantedObjects::gather(manifest, lacking);
    for at in 0..wanted.len() {
        if !content.staged.contains(&wanted.key(at)) {
            let path = Shown(&manifest.path(wanted.entries(at)[0])).to_string();
            return Err(AdoptError::KeepsChanging(path).into());
        }
        wanted.arrive(at);
    }
    Ok(Prepared { expected, further_copies, wanted })
}

/// Returns a name for the release: the time, or the first later second that no release has.
fn free_id(site: &Site) -> Result<ReleaseId, Error> {
    let mut taken: Vec<Vec<u8>> = site.layout.release_names()?;
    taken.extend(site.layout.records.names()?);
    let mut id = ReleaseId::at(now());
    while taken.iter().any(|name| name == id.as_str().as_bytes()) {
        id = id.a_second_later().ok_or_else(|| Error::Bug(format!("{id} is no time")))?;
    }
    Ok(id)
}

/// Keeps the stamps of the release, for comparisons.
fn keep_stamps(
    site: &Site,
    id: &ReleaseId,
    manifest: &Manifest,
    assembled: &AssembledTree,
    published: &PublishedRelease,
) -> Result<(), Error> {
    let AssembledTree { directories, inodes, .. } = assembled;
    let stamps = NewStamps { directories, inodes, moment: published.moment };
    let record = site.layout.records.open_dir(id.as_str().as_bytes())?;
    stamps::write(&record, &Store::new(site.layout.objects.duplicate()?), manifest, &stamps)
}
