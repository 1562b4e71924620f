//! Publishes a complete release: moves objects into the store, record and tree to their names.
//!
//! 1. Make everything durable under its staged name: with one `syncfs`, or, if little is new, with an `fsync` of each
//!    new file and directory, which does not wait for the writes of other programs.
//! 2. Rename the objects, then the record, then the tree.
//! 3. Sync the directories that the renames changed. If that fails, take the release back: its names may not be on
//!    the disk, so it must not go live.

use std::io::ErrorKind;

use crate::disk::{Dir, sync_file};
use crate::error::{DamageError, Error, ReleaseError, SiteError};
use crate::link::Link;
use crate::manifest::placement::Placement;
use crate::manifest::{File, Manifest};
use crate::release::Record;

use crate::agent::assemble::AssembledTree;
use crate::agent::receive::WantedObjects;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::site::records;
use crate::agent::staging::Staging;
use crate::agent::stamp::Moment;
use crate::agent::store::{ObjectName, Store};

/// The most new files and directories that are synced one by one. Each costs a write to the disk's journal; past a
/// few dozen of them, one `syncfs` is faster on any disk.
const SYNC_SINGLY_MAX: usize = 32;

/// A release to publish.
pub(crate) struct Publication<'a> {
    /// The deploy path.
    pub(crate) layout: &'a Layout,
    /// The store.
    pub(crate) store: &'a Store,
    /// The staging that holds the release.
    pub(crate) staging: &'a Staging,
    /// Its manifest.
    pub(crate) manifest: &'a Manifest,
    /// Its assembled tree.
    pub(crate) assembled: &'a AssembledTree,
    /// The objects that arrived.
    pub(crate) arrived: &'a [WantedObjects],
    /// Its record.
    pub(crate) record: &'a Record,
}

/// The result of publishing.
pub(crate) struct PublishedRelease {
    /// The number of new objects.
    pub(crate) objects_new: u64,
    /// The moment before the tree got its name: complete, and out of reach of any other program.
    pub(crate) moment: Moment,
}

/// Publishes a release.
pub(crate) fn publish(_lock: &Lock, publication: &Publication<'_>) -> Result<PublishedRelease, Error> {
    let Publication { layout, store, staging, manifest, assembled, arrived, record } = publication;
    check_complete(manifest, &assembled.placements)?;
    records::stage(&staging.record, record, manifest, &assembled.placements)?;
    let mut objects: Vec<ObjectName> = arrived.iter().flat_map(arrived_objects).collect();
    objects.extend(&assembled.further);
    objects.sort_unstable();
    make_durable(publication, &objects)?;

    let shards = publish_shards(&objects, staging, store)?;
    let id = record.id.as_str().as_bytes();
    let exists = || Error::from(ReleaseError::Exists(record.id.clone()));
    if !staging.dir.rename_new(b"record", &layout.records, id)? {
        return Err(exists());
    }
    let moment = Moment::now();
    if !staging.dir.rename_new(b"tree", &layout.releases, id)? {
        layout.records.rename(id, &staging.dir, b"record")?;
        return Err(exists());
    }
    if let Err(error) = sync_names(layout, store, shards) {
        // A failing filesystem may refuse this too. The first error is the one that matters.
        let taken_back = layout.releases.rename(id, &staging.dir, b"tree");
        taken_back.and_then(|()| layout.records.rename(id, &staging.dir, b"record")).ok();
        return Err(error);
    }
    Ok(PublishedRelease { objects_new: objects.len() as u64, moment })
}

/// Publishes the objects that arrived, without a release. Returns their number. Their content is durable already.
pub(crate) fn publish_objects(staging: &Staging, store: &Store, arrived: &WantedObjects) -> Result<u64, Error> {
    let mut objects: Vec<ObjectName> = arrived_objects(arrived).collect();
    objects.sort_unstable();
    publish_shards(&objects, staging, store)?;
    Ok(objects.len() as u64)
}

/// Moves sorted objects into the store. Returns the shards that changed.
fn publish_shards(objects: &[ObjectName], staging: &Staging, store: &Store) -> Result<Vec<usize>, Error> {
    let mut shards = Vec::new();
    for of_one in objects.chunk_by(|one, next| one.shard() == next.shard()) {
        publish_shard(of_one, staging, store)?;
        shards.push(of_one[0].shard());
    }
    Ok(shards)
}

/// Makes the new names durable.
fn sync_names(layout: &Layout, store: &Store, shards: Vec<usize>) -> Result<(), Error> {
    if shards.len() > SYNC_SINGLY_MAX {
        layout.private.sync_filesystem()?;
    } else {
        store.sync(shards)?;
    }
    layout.records.sync()?;
    layout.releases.sync()
}

/// Publishes the objects of one shard. The shard is moved as a whole if the store lacks it and it holds nothing else.
fn publish_shard(objects: &[ObjectName], staging: &Staging, store: &Store) -> Result<(), Error> {
    let shard = objects[0].shard();
    let mut all = staging.objects.in_shard(shard)?;
    all.sort_unstable();
    if all == objects && staging.objects.hand_over_shard(shard, store)? {
        return Ok(());
    }
    for &name in objects {
        if !staging.objects.hand_over(name, store)? {
            // The store has an unfit object of that name, which makes way.
            let flat = name.flat();
            store.set_aside(name, &staging.dir, format!("unfit-{flat}").as_bytes())?;
            if !staging.objects.hand_over(name, store)? {
                return Err(Error::Bug(format!("object {flat} cannot be published")));
            }
        }
    }
    Ok(())
}

/// Checks that no file of the manifest was left out, before anything is published.
fn check_complete(manifest: &Manifest, placements: &[Placement]) -> Result<(), Error> {
    let is_left_out = |&(entry, file): &(u32, File)| file.size > 0 && placements[entry as usize].second == 0;
    let mut left_out = manifest.all_files().filter(is_left_out);
    match left_out.next() {
        None => Ok(()),
        Some((entry, _)) => {
            let path = crate::path::Shown(&manifest.path(entry)).to_string();
            Err(DamageError::NotWhole { objects: 1 + left_out.count() as u64, path }.into())
        }
    }
}

fn arrived_objects(wanted: &WantedObjects) -> impl Iterator<Item = ObjectName> + '_ {
    wanted.arrived().map(|at| ObjectName { key: wanted.key(at), copy: 0 })
}

fn make_durable(publication: &Publication<'_>, objects: &[ObjectName]) -> Result<(), Error> {
    let Publication { staging, manifest, assembled, record, .. } = publication;
    let touched_below = &assembled.touched_below;
    let directories = touched_below.iter().filter(|&&is_touched| is_touched).count();
    // No list has the copies, the files with an inode of their own, and the directories that only a link into `shared/` needs.
    let is_plain = assembled.copied.is_empty() && record.shared.is_empty() && record.link == Link::Hardlink;
    if directories + objects.len() > SYNC_SINGLY_MAX || !is_plain {
        return staging.dir.sync_filesystem();
    }
    for &name in objects {
        match staging.objects.open(name) {
            Ok(Some(file)) => sync_file(&file).map_err(|e| Error::io("sync", staging.objects.path_of(name), e))?,
            // If a mode forbids its owner to read the file, only `syncfs` remains.
            Err(error) if !is_refused(&error) => return Err(error),
            _ => return staging.dir.sync_filesystem(),
        }
    }
    if sync_tree(&staging.tree, manifest, 0, touched_below)? {
        staging.dir.sync()
    } else {
        staging.dir.sync_filesystem()
    }
}

/// Tells whether opening a name failed for a reason other than the disk: its mode, or a file that another user put in
/// its place.
fn is_refused(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } => matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound),
        Error::Site(SiteError::SymlinkInside(_) | SiteError::NotDirectory(_)) => true,
        _ => false,
    }
}

/// Syncs the changed directories and those above them. The others come from an earlier release and are durable since
/// then. Returns false if a directory forbids its owner to list it, and so cannot be synced alone.
fn sync_tree(dir: &Dir, manifest: &Manifest, number: u32, touched_below: &[bool]) -> Result<bool, Error> {
    for (child, name) in manifest.directories_in(number).filter(|&(child, _)| touched_below[child as usize]) {
        match dir.open_dir(name) {
            Ok(below) if sync_tree(&below, manifest, child, touched_below)? => {}
            Err(error) if !is_refused(&error) => return Err(error),
            _ => return Ok(false),
        }
    }
    dir.sync()?;
    Ok(true)
}
