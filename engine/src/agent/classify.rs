//! Decides, for each file of a new release, whether the store has its content and which copy of the object to use.
//!
//! Files that come from the base at the same path keep their object. For the others, two questions: is the content
//! there, and would its mtime deceive a browser? Web servers make ETags of mtime and size. So where an earlier release
//! had other content of equal size and mtime at the same path (two files swapped, a directory moved over another), a
//! further copy of the object is made, with the second of this release.
//!
//! An object that no standing release names was left by a run that died after it published: it is hashed before use.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use crate::disk::Kind;
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::encode::INTRODUCED;
use crate::manifest::placement::Placement;
use crate::manifest::{File as ManifestFile, Manifest, Node, ObjectKey};

use super::records::Kept;
use super::store::{ObjectName, Store};

/// A file whose object exists, and whose mtime must not be that of any copy that exists.
pub(crate) struct NeedsOwnCopy {
    /// The entry.
    pub(crate) entry: u32,
    /// The object to copy.
    pub(crate) from: ObjectName,
}

/// What is known of the files of a new release.
pub(crate) struct Classified {
    /// Where each file is, by entry; second 0 where it is not.
    pub(crate) expected: Vec<Placement>,
    /// The entries whose content is not in the store.
    pub(crate) lacking: Vec<u32>,
    /// The entries that get a further copy of their object.
    pub(crate) own_copies: Vec<NeedsOwnCopy>,
}

/// Reads the manifests of the releases that stand, when they are needed: most deploys do not.
pub(crate) type Standing<'a> = &'a dyn Fn() -> Result<Vec<Kept>, Error>;

/// Classifies every file. `expected` holds what the base says, `second` is that of the new release.
pub(crate) fn classify(
    manifest: &Manifest,
    origins: &[u32],
    base: Option<&Kept>,
    mut expected: Vec<Placement>,
    second: u32,
    store: &Store,
    standing: Standing<'_>,
) -> Result<Classified, Error> {
    let mut lacking = Vec::new();
    let mut present: Vec<(u32, ManifestFile)> = Vec::new();
    for (entry, file) in
        manifest.all_files().filter(|&(entry, file)| file.size > 0 && origins[entry as usize] == INTRODUCED)
    {
        match store.stat(ObjectName { key: file.key, copy: 0 })? {
            Some(_) => present.push((entry, file)),
            None => lacking.push(entry),
        }
    }
    let moved = base.map(|base| moved_files(manifest, origins, &base.manifest)).unwrap_or_default();
    if present.is_empty() && moved.is_empty() {
        return Ok(Classified { expected, lacking, own_copies: Vec::new() });
    }
    let standing = standing()?;
    let copies = copies_of(&standing, &present);
    for (entry, file) in &present {
        let known = copies.get(&file.key).and_then(|copies| copies.first().copied());
        match known.map_or_else(|| orphan(store, *file, second), |known| Ok(Some(known)))? {
            Some(placement) => expected[*entry as usize] = placement,
            None => lacking.push(*entry),
        }
    }
    let mut own_copies = Vec::new();
    for entry in present.iter().map(|(entry, _)| *entry).chain(moved) {
        let (Some(file), planned) = (manifest.file(entry), expected[entry as usize]) else {
            continue;
        };
        if planned.second == 0 || !deceives(&standing, manifest, entry, file, planned) {
            continue;
        }
        let others = copies.get(&file.key).into_iter().flatten();
        match others.copied().find(|&other| !deceives(&standing, manifest, entry, file, other)) {
            Some(other) => expected[entry as usize] = other,
            None => own_copies.push(NeedsOwnCopy { entry, from: ObjectName { key: file.key, copy: planned.copy } }),
        }
    }
    lacking.sort_unstable();
    Ok(Classified { expected, lacking, own_copies })
}

/// Finds the files that come from the base and stand at another path now.
fn moved_files(manifest: &Manifest, origins: &[u32], base: &Manifest) -> Vec<u32> {
    let mut moved = Vec::new();
    // For each directory, the base's directory at the same path.
    let mut beside: Vec<Option<u32>> = vec![None; manifest.directories().len()];
    beside[0] = Some(0);
    for number in 0..manifest.directories().len() as u32 {
        let own = beside[number as usize];
        // All that a directory has from the base, it has from one directory of the base.
        let holder = manifest.children(number).find_map(|named| match origins[named.index as usize] {
            INTRODUCED => None,
            origin => Some(base.holder(origin)),
        });
        let is_moved = holder.is_some() && holder != own;
        for named in manifest.children(number) {
            match named.node {
                Node::Directory(child) => {
                    let there = own.and_then(|own| base.child(own, named.name)).map(|named| named.node);
                    beside[child as usize] = match there {
                        Some(Node::Directory(there)) => Some(there),
                        _ => None,
                    };
                }
                Node::File(file) if is_moved && file.size > 0 && origins[named.index as usize] != INTRODUCED => {
                    moved.push(named.index);
                }
                _ => {}
            }
        }
    }
    moved
}

/// Finds which copies of the given files' objects the standing releases use.
fn copies_of(standing: &[Kept], files: &[(u32, ManifestFile)]) -> HashMap<ObjectKey, Vec<Placement>> {
    let mut copies: HashMap<ObjectKey, Vec<Placement>> = files.iter().map(|(_, file)| (file.key, Vec::new())).collect();
    for kept in standing {
        for (entry, file) in kept.manifest.all_files() {
            if let Some(known) = copies.get_mut(&file.key) {
                let placement = kept.placements[entry as usize];
                if placement.second != 0 && !known.contains(&placement) {
                    known.push(placement);
                }
            }
        }
    }
    copies
}

/// Tells whether some standing release had other content of equal size and mtime at the same path.
fn deceives(standing: &[Kept], manifest: &Manifest, entry: u32, file: ManifestFile, planned: Placement) -> bool {
    let path = manifest.path(entry);
    standing.iter().any(|kept| {
        let there = kept.manifest.find(path.split(|&byte| byte == b'/'));
        there.is_some_and(|there| match there.node {
            Node::File(other) => {
                let second = kept.placements[there.index as usize].second;
                other.size == file.size && second == planned.second && other.key.hash != file.key.hash
            }
            _ => false,
        })
    })
}

/// Verifies an object that nobody names. Nothing where it cannot be used.
fn orphan(store: &Store, file: ManifestFile, second: u32) -> Result<Option<Placement>, Error> {
    let name = ObjectName { key: file.key, copy: 0 };
    let Some(stat) = store.stat(name)? else { return Ok(None) };
    let own_second = u32::try_from(stat.mtime).ok().filter(|&own| stat.mtime_nanos == 0 && own > 0 && own < second);
    let looks_sound = stat.kind == Kind::File && stat.size == file.size && stat.mode == u32::from(file.key.mode);
    match (own_second, store.open(name)) {
        (Some(own), Ok(Some(object))) if looks_sound && has_hash(&object, file.key.hash) => {
            Ok(Some(Placement { second: own, copy: 0 }))
        }
        _ => Ok(None),
    }
}

fn has_hash(object: &File, hash: Hash) -> bool {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut &*object, &mut hasher).is_ok() && Hash::from(hasher.finalize()) == hash
}
