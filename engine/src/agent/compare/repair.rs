//! Repairs objects that were changed in place.
//!
//! If an object still has its content, its mode, mtime and group are restored, and with it all files that link to it.
//! Otherwise a new object is made from the right content, if that is on the server: at the beginning of the changed
//! object (something was appended), in a further copy, or at another mode. The new object replaces the old one by
//! rename, and in every release the file that links to the old one is replaced by a link to the new one, also by
//! rename: a program that has the old file open keeps it.

use std::collections::{HashMap, HashSet};
use std::fs::File as DiskFile;

use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::read_manifest;
use crate::agent::staging::Staging;
use crate::agent::store::{ObjectName, ObjectState, Store};
use crate::agent::token::random_name;
use crate::disk::Dir;
use crate::error::Error;
use crate::manifest::File;
use crate::manifest::placement::Placement;
use crate::release::Record;

/// An object that was changed in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EditedObject {
    /// Its content as it should be.
    pub(super) file: File,
    /// Its placement.
    pub(super) placement: Placement,
    /// Its inode.
    pub(super) inode: u64,
}

impl EditedObject {
    fn name(&self) -> ObjectName {
        ObjectName { key: self.file.key, copy: self.placement.copy }
    }
}

/// Repairs objects, and the files of all releases that link to them. Returns whether all of them are right.
pub(super) fn repair(site: &Site, store: &Store, objects: &[EditedObject]) -> Result<bool, Error> {
    let mut altered = Vec::new();
    let mut seen = HashSet::new();
    for object in objects.iter().filter(|object| seen.insert(object.inode)) {
        let EditedObject { file, placement, .. } = *object;
        let is_right = match store.state(file.key, file.size, placement)? {
            ObjectState::Sound(_) => true,
            ObjectState::Touched => store.restore_attributes(file.key, placement)?,
            ObjectState::Missing | ObjectState::Altered => false,
        };
        if !is_right {
            altered.push(*object);
        }
    }
    if altered.is_empty() {
        return Ok(true);
    }
    let staging = Staging::create(&site.lock, &site.layout)?;
    let replaced = replace(site, store, &staging, &altered);
    staging.abandon(&site.lock, &site.layout)?;
    Ok(replaced? == altered.len())
}

/// Replaces altered objects, and the files that link to them. Returns the number of objects that are right.
fn replace(site: &Site, store: &Store, staging: &Staging, altered: &[EditedObject]) -> Result<usize, Error> {
    let mut made = Vec::new();
    for object in altered {
        if make(store, staging, object)? {
            made.push(*object);
        }
    }
    if made.is_empty() {
        return Ok(0);
    }
    staging.dir.sync_filesystem()?;
    for object in &made {
        let aside = format!("edited-{}", object.name().flat());
        store.set_aside(object.name(), &staging.dir, aside.as_bytes())?;
        if !staging.objects.hand_over(object.name(), store)? {
            return Err(Error::Bug(format!("object {} cannot be published", object.name().flat())));
        }
        staging.dir.remove_file(aside.as_bytes())?;
    }
    store.sync(made.iter().map(|object| object.name().shard()))?;
    let by_inode: HashMap<u64, ObjectName> = made.iter().map(|object| (object.inode, object.name())).collect();
    for record in &site.releases.records {
        relink(&site.layout, store, record, &by_inode)?;
    }
    site.layout.releases.sync_filesystem()?;
    Ok(made.len())
}

/// Makes an object in staging from right content, if the server has it.
fn make(store: &Store, staging: &Staging, object: &EditedObject) -> Result<bool, Error> {
    let name = object.name();
    let others = store.in_shard(name.shard())?;
    let others = others.into_iter().filter(|other| other.key.hash == name.key.hash && *other != name);
    for source in [name].into_iter().chain(others) {
        // An object that cannot be opened is no source.
        if let Ok(Some(file)) = store.open(source)
            && stage(staging, &file, object)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies the first bytes of a file into staging, as many as the object has. Returns whether they have its hash.
fn stage(staging: &Staging, from: &DiskFile, object: &EditedObject) -> Result<bool, Error> {
    let (name, mode) = (object.name(), u32::from(object.file.key.mode));
    let failed = |error| Error::io("copy", staging.objects.path_of(name), error);
    let file = staging.objects.create(name, mode)?;
    file.fill_from(from).and_then(|()| file.cut(object.file.size)).map_err(failed)?;
    let (hash, _) = file.whole().hash().map_err(failed)?;
    if hash != object.file.key.hash {
        staging.objects.remove(name)?;
        return Ok(false);
    }
    file.finish(mode, object.placement.second).map_err(failed)?;
    Ok(true)
}

/// Replaces the files of a release that are links to old objects by links to the new ones.
fn relink(layout: &Layout, store: &Store, record: &Record, by_inode: &HashMap<u64, ObjectName>) -> Result<(), Error> {
    // A release whose manifest cannot be read is damaged already, and reported as such.
    let Ok(stored) = read_manifest(layout, &record.id, &record.root) else { return Ok(()) };
    let names: HashSet<ObjectName> = by_inode.values().copied().collect();
    let root = layout.releases.open_dir(record.id.as_str().as_bytes())?;
    let manifest = &stored.manifest;
    for (entry, file) in manifest.all_files() {
        let name = ObjectName { key: file.key, copy: stored.placements[entry as usize].copy };
        if !names.contains(&name) {
            continue;
        }
        let above = manifest.directory_path(manifest.holder(entry));
        // A hook may have removed the directory.
        let dir = if above.is_empty() { root.duplicate() } else { root.open_below(&above) };
        let Ok(dir) = dir else { continue };
        replace_file(store, &dir, manifest.name(entry), name, by_inode)?;
    }
    Ok(())
}

fn replace_file(
    store: &Store,
    dir: &Dir,
    name: &[u8],
    object: ObjectName,
    by_inode: &HashMap<u64, ObjectName>,
) -> Result<(), Error> {
    let is_old = dir.stat(name)?.is_some_and(|stat| by_inode.get(&stat.inode) == Some(&object));
    if !is_old {
        return Ok(());
    }
    let mut temporary = b".cutover-".to_vec();
    temporary.extend_from_slice(random_name()?.as_bytes());
    store.link(object, dir, &temporary).map_err(|errno| Error::io("link", dir.path_of(name), errno))?;
    dir.rename(&temporary, dir, name)
}
