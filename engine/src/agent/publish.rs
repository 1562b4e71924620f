//! Publishes a complete release: objects into the store, record and tree to their places.
//!
//! Everything is durable under its staged name before it gets its own: one `syncfs`, or, where little is new, an
//! `fsync` of each new file and directory, which does not wait for what other programs have written. After the renames
//! the directories that they changed are synced.

use std::collections::BTreeSet;

use crate::disk::Dir;
use crate::error::Error;
use crate::manifest::placement::Placement;
use crate::manifest::{File, Manifest};
use crate::release::Record;

use super::assemble::Assembly;
use super::layout::Layout;
use super::records;
use super::staging::Staging;
use super::store::{ObjectName, Store};
use super::wanted::WantedObjects;

/// Up to this many new files and directories are synced one by one. Each costs a write to the disk's journal; past a
/// few dozen of them, one `syncfs` is faster on any disk.
const SYNC_SINGLY_MAX: usize = 32;

/// What is published.
pub(crate) struct Publication<'a> {
    /// Where to.
    pub(crate) layout: &'a Layout,
    /// The store.
    pub(crate) store: &'a Store,
    /// Where from.
    pub(crate) staging: &'a Staging,
    /// How it was assembled.
    pub(crate) assembly: &'a Assembly<'a>,
    /// What arrived.
    pub(crate) arrived: &'a [WantedObjects],
    /// The release's record.
    pub(crate) record: &'a Record,
}

/// Publishes. Returns how many objects are new.
pub(crate) fn publish(publication: &Publication<'_>) -> Result<u64, Error> {
    let Publication { layout, store, staging, assembly, arrived, record } = publication;
    let placements = assembly.placements();
    check_complete(assembly.manifest, &placements)?;
    records::stage(&staging.record, record, assembly.manifest, &placements)?;
    let mut objects: Vec<(usize, ObjectName)> = arrived.iter().flat_map(arrived_objects).collect();
    objects.extend(assembly.take_further().into_iter().map(|further| (further.lane, further.name)));
    make_durable(staging, assembly, &objects, record)?;

    let mut shards = BTreeSet::new();
    for &(lane, name) in &objects {
        let (from, flat) = (&staging.lanes[lane], name.flat());
        if !store.publish(from, flat.as_bytes(), name)? {
            // Something of that name that was found unfit: it makes way.
            store.set_aside(name, &staging.dir, format!("unfit-{flat}").as_bytes())?;
            if !store.publish(from, flat.as_bytes(), name)? {
                return Err(Error::Bug(format!("object {flat} cannot be published")));
            }
        }
        shards.insert(Store::shard_of(name));
    }
    let id = record.id.as_str().as_bytes();
    let exists = || Error::ReleaseExists(record.id.clone());
    if !staging.dir.rename_new(b"record", &layout.records, id)? {
        return Err(exists());
    }
    if !staging.dir.rename_new(b"tree", &layout.releases, id)? {
        layout.records.rename(id, &staging.dir, b"record")?;
        return Err(exists());
    }
    if shards.len() > SYNC_SINGLY_MAX {
        layout.private.sync_filesystem()?;
    } else {
        store.sync(shards)?;
    }
    layout.records.sync()?;
    layout.releases.sync()?;
    Ok(objects.len() as u64)
}

/// The last look before anything is published: no file of the manifest was left out.
fn check_complete(manifest: &Manifest, placements: &[Placement]) -> Result<(), Error> {
    let is_left_out = |&(entry, file): &(u32, File)| file.size > 0 && placements[entry as usize].second == 0;
    let mut left_out = manifest.all_files().filter(is_left_out);
    match left_out.next() {
        None => Ok(()),
        Some((entry, _)) => {
            let path = crate::path::Shown(&manifest.path(entry)).to_string();
            Err(Error::NotWhole { objects: 1 + left_out.count() as u64, path })
        }
    }
}

fn arrived_objects(wanted: &WantedObjects) -> impl Iterator<Item = (usize, ObjectName)> + '_ {
    (0..wanted.len()).filter_map(|at| Some((wanted.lane(at)?, ObjectName { key: wanted.key(at), copy: 0 })))
}

fn make_durable(
    staging: &Staging,
    assembly: &Assembly<'_>,
    objects: &[(usize, ObjectName)],
    record: &Record,
) -> Result<(), Error> {
    let directories = assembly.manifest.directories().len();
    // Copies, and directories that only a link into `shared/` needs, stand in no list.
    let is_plain = assembly.copied().is_empty() && record.shared.is_empty();
    if directories + objects.len() > SYNC_SINGLY_MAX || !is_plain {
        return staging.dir.sync_filesystem();
    }
    for &(lane, name) in objects {
        let (dir, flat) = (&staging.lanes[lane], name.flat());
        // A mode that forbids its owner to read leaves only the long way.
        let Ok(Some(file)) = dir.open_file(flat.as_bytes()) else {
            return staging.dir.sync_filesystem();
        };
        file.sync_all().map_err(|e| Error::io("sync", dir.path_of(flat.as_bytes()), e))?;
    }
    // A directory that its owner may not list cannot be synced alone.
    if sync_tree(&staging.tree, assembly.manifest, 0).is_err() {
        return staging.dir.sync_filesystem();
    }
    staging.dir.sync()
}

fn sync_tree(dir: &Dir, manifest: &Manifest, number: u32) -> Result<(), Error> {
    for named in manifest.children(number) {
        if let crate::manifest::Node::Directory(child) = named.node {
            // A directory that a link into `shared/` has replaced has nothing to sync.
            if let Some(stat) = dir.stat(named.name)?
                && stat.kind == crate::disk::Kind::Directory
            {
                sync_tree(&dir.open_dir(named.name)?, manifest, child)?;
            }
        }
    }
    dir.sync()
}
