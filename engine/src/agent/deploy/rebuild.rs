//! Makes a removed release again, for a rollback to it.
//!
//! It goes the way of a deploy for which no content arrives: the store is asked for each object, the tree is assembled in
//! staging, and the release is published under its old name. If an object is missing or was changed, nothing is
//! published. A run that was killed leaves staging, which the next one clears.
//!
//! Files that are not of the manifest do not come back: those that hooks made, and those that were carried over.

use crate::error::{Error, ReleaseError};
use crate::manifest::Manifest;
use crate::manifest::encode::INTRODUCED;
use crate::manifest::placement::Placement;
use crate::min_free::MinFree;
use crate::pattern::Patterns;
use crate::release::{BootSpan, Record, ReleaseId};

use crate::agent::assemble::{AssembledTree, Assembly};
use crate::agent::classify::{Classification, Classifier};
use crate::agent::receive::WantedObjects;
use crate::agent::removed::{self, RemovedRelease};
use crate::agent::reporter::Reporter;
use crate::agent::shared::SharedPlan;
use crate::agent::site::Site;
use crate::agent::site::own::Own;
use crate::agent::site::records::StoredManifest;
use crate::agent::space::{Demand, SpaceCheck};
use crate::agent::staging::Staging;
use crate::agent::store::{ObjectState, Store};
use crate::agent::uptime::Uptime;
use crate::agent::writable::WritableDirectories;

use super::publish::{Publication, publish};
use super::unfit::make_further_copies;

/// Makes a removed release again. It is an earlier one then, and not live.
pub(crate) fn rebuild(reporter: &dyn Reporter, site: &mut Site, removed: &RemovedRelease) -> Result<(), Error> {
    let stored = removed.manifest()?;
    let store = Store::new(site.layout.objects.duplicate()?);
    let classification = classify(site, &store, &removed.record, &stored)?;
    refuse_lacking(&removed.record, &stored.manifest, &classification.lacking)?;
    let staging = Staging::create(&site.lock, &site.layout)?;
    let rebuilding = Rebuilding { site, store: &store, staging: &staging, record: &removed.record };
    let made = rebuilding.make(reporter, &stored.manifest, &classification);
    drop(store);
    // The next run clears what cannot be removed now.
    drop(staging.abandon(&site.lock, &site.layout));
    site.releases.records.push(made?);
    site.releases.records.sort_by_key(|record| record.sequence);
    site.releases.dropped.retain(|id| *id != removed.record.id);
    reporter.warn(rebuilt_warning(&removed.record.id, removed.own_names()?));
    removed::forget(&site.lock, &site.layout, &removed.record.id)
}

fn rebuilt_warning(id: &ReleaseId, own_names: usize) -> String {
    let mut text = format!("Release {id} had been removed, and was made again from the content on the server");
    if own_names > 0 {
        let them = if own_names == 1 {
            "1 file or directory".to_owned()
        } else {
            format!("{own_names} files and directories")
        };
        text += &format!(", without {them} that hooks made or that were carried over");
    }
    text
}

/// Finds an object for each file: the one that the release had, or else another copy of its content.
fn classify(site: &Site, store: &Store, record: &Record, stored: &StoredManifest) -> Result<Classification, Error> {
    let manifest = &stored.manifest;
    let mut expected = stored.placements.clone();
    let mut origins = vec![0; expected.len()];
    for (entry, file) in manifest.all_files().filter(|(_, file)| file.size > 0) {
        let placement = &mut expected[entry as usize];
        if !matches!(store.state(file.key, file.size, *placement)?, ObjectState::Sound(_)) {
            *placement = Placement::default();
            origins[entry as usize] = INTRODUCED;
        }
    }
    let Site { layout, releases, .. } = site;
    let classifier = Classifier { layout, releases, store, manifest, second: record.second, is_dry_run: false };
    classifier.classify(&origins, None, expected)
}

fn refuse_lacking(record: &Record, manifest: &Manifest, lacking: &[u32]) -> Result<(), Error> {
    if lacking.is_empty() {
        return Ok(());
    }
    let (id, made) = (record.id.clone(), &record.provenance);
    // A source with changes is not what its commit has.
    let commit = made.commit.clone().filter(|_| made.dirty == Some(false));
    let files = manifest.all_files().count();
    Err(ReleaseError::ContentGone { id, lacking: lacking.len(), files, commit }.into())
}

struct Rebuilding<'a> {
    site: &'a Site,
    store: &'a Store,
    staging: &'a Staging,
    record: &'a Record,
}

impl Rebuilding<'_> {
    /// Assembles the release and publishes it. Returns its record.
    fn make(
        &self,
        reporter: &dyn Reporter,
        manifest: &Manifest,
        classification: &Classification,
    ) -> Result<Record, Error> {
        let Rebuilding { site, store, staging, record } = *self;
        let assembled = self.assemble(reporter, manifest, classification)?;
        let span = BootSpan::begin(Uptime::now());
        let record = Record { span, trial: None, is_taken_over: false, ..record.clone() };
        let (layout, assembled) = (&site.layout, &assembled);
        let publication = Publication { layout, store, staging, manifest, assembled, arrived: &[], record: &record };
        publish(&site.lock, &publication)?;
        Ok(record)
    }

    fn assemble(
        &self,
        reporter: &dyn Reporter,
        manifest: &Manifest,
        classification: &Classification,
    ) -> Result<AssembledTree, Error> {
        let Rebuilding { site, store, staging, record } = *self;
        let Classification { expected, further_copies, .. } = classification;
        let (links, shared) = (&record.shared, &site.layout.shared);
        let copies = Patterns::parse(record.copy_paths.iter().map(String::as_str), "`copy_paths`")?;
        let writable = WritableDirectories::find(&record.writable, manifest, links)?;
        let assembly = Assembly::new(manifest, expected, &copies, &writable, record.second, store, staging);
        let assembly = assembly.link_as(record.link)?;
        let demand = Demand {
            manifest,
            link: record.link,
            copies: &copies,
            shared_links: links.len() as u64,
            further_copies,
            wanted: &WantedObjects::gather(manifest, []),
            begun: &[],
            store: Some(store),
            missing_agent: None,
        };
        // The configuration keeps space free from deploys. A way back must be open all the same.
        SpaceCheck { demand, spare: None, min_free: MinFree::default() }.run(&site.layout)?;
        assembly.make_directories()?;
        make_further_copies(&assembly, further_copies)?;
        assembly.link_known(|_| ())?;
        refuse_lacking(record, manifest, &assembly.take_unfit())?;
        let made = writable.make_missing(&staging.tree)?;
        if !made.is_empty() {
            let mut own = Own::default();
            own.extend(&made);
            own.write(&staging.record)?;
        }
        let plan = SharedPlan { links: links.clone(), ..SharedPlan::default() };
        plan.carry_out(&staging.tree, shared, manifest, record.second)?;
        if let Some(warning) = writable.give_shared(shared)? {
            reporter.warn(warning);
        }
        writable.missing().iter().chain(links).for_each(|path| assembly.note_link(path));
        assembly.finish_directories(links)?;
        Ok(assembly.finish())
    }
}
