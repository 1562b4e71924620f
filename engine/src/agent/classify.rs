//! Decides for each file of a new release whether the store has its content, and which copy of the object to use.
//!
//! A file that comes from the base at the same path keeps its object. For the others there are two questions: is the
//! content there, and would its mtime deceive a browser? Web servers make ETags of mtime and size. If an earlier
//! release had other content of equal size and mtime at the same path (two files were swapped, or a directory moved
//! over another), a further copy of the object is made, with the second of this release.
//!
//! Releases may disagree about an object's second: an object that was damaged and replaced has the second of the
//! release that replaced it. So a copy counts only if its inode agrees with some release, the newest first. An object
//! that no release names was left by a run that published it and then died or failed. Before use, the filesystem is
//! synced and the object is hashed from the disk.
//!
//! The manifests of other releases are read one at a time, entry by entry, and only the parts about the files in
//! question are kept.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::disk::{Stat, forget_cached};
use crate::error::Error;
use crate::manifest::decode::{StreamEntry, StreamEntryKind};
use crate::manifest::encode::INTRODUCED;
use crate::manifest::placement::Placement;
use crate::manifest::{File as ManifestFile, Manifest, Node, ObjectKey};

use super::site::layout::Layout;
use super::site::records::{Releases, StoredManifest, read_entries};
use super::store::{ObjectName, ObjectState, Store, has_hash};

/// A file whose object exists, but needs a copy with another mtime.
pub(crate) struct FurtherCopy {
    /// The entry.
    pub(crate) entry: u32,
    /// The object to copy.
    pub(crate) from: ObjectName,
}

/// The classification of all files of a new release.
pub(crate) struct Classification {
    /// The placement of each file in the store, by entry; second 0 if it has none.
    pub(crate) expected: Vec<Placement>,
    /// The entries whose content the store lacks.
    pub(crate) lacking: Vec<u32>,
    /// The entries that need a further copy of their object.
    pub(crate) further_copies: Vec<FurtherCopy>,
    /// The number of lacking entries whose content a release has, changed or removed by hand.
    pub(crate) unfit: u64,
}

/// The copies that were chosen for some files.
#[derive(Default)]
pub(crate) struct CopyChoice {
    /// The entries with a suitable copy in the store, and that copy.
    pub(crate) placed: Vec<(u32, Placement)>,
    /// The entries that need a further copy of their object.
    pub(crate) further_copies: Vec<FurtherCopy>,
    /// The entries whose content the store lacks.
    pub(crate) lacking: Vec<u32>,
    /// The number of lacking entries whose content a release has, changed or removed by hand.
    pub(crate) unfit: u64,
}

/// Finds copies for the files of a new release.
#[derive(Clone, Copy)]
pub(crate) struct Classifier<'a> {
    /// The deploy path.
    pub(crate) layout: &'a Layout,
    /// The existing releases.
    pub(crate) releases: &'a Releases,
    /// The store.
    pub(crate) store: &'a Store,
    /// The new release.
    pub(crate) manifest: &'a Manifest,
    /// The second of the new release.
    pub(crate) second: u32,
    /// Whether nothing may be changed.
    pub(crate) is_dry_run: bool,
}

/// The copies of one object.
struct Copies {
    size: u64,
    placements: Vec<Placement>,
    /// Whether a release names one.
    is_named: bool,
}

impl Classifier<'_> {
    /// Classifies every file. `expected` holds the placements of the base.
    pub(crate) fn classify(
        &self,
        origins: &[u32],
        base: Option<&StoredManifest>,
        mut expected: Vec<Placement>,
    ) -> Result<Classification, Error> {
        let mut lacking = Vec::new();
        let moved = base.map(|base| moved_files(self.manifest, origins, &base.manifest)).unwrap_or_default();
        let mut questions = self.disputed(moved, &expected);
        let is_new = |&(entry, file): &(u32, ManifestFile)| file.size > 0 && origins[entry as usize] == INTRODUCED;
        for (entry, file) in self.manifest.all_files().filter(is_new) {
            let list = if self.store.has(file.key)? { &mut questions } else { &mut lacking };
            list.push(entry);
        }
        let choice = self.choose(questions, &expected)?;
        for (entry, placement) in choice.placed {
            expected[entry as usize] = placement;
        }
        let without = choice.further_copies.iter().map(|own| own.entry).chain(choice.lacking.iter().copied());
        without.for_each(|entry| expected[entry as usize] = Placement::default());
        lacking.extend(choice.lacking);
        lacking.sort_unstable();
        Ok(Classification { expected, lacking, further_copies: choice.further_copies, unfit: choice.unfit })
    }

    /// Returns the entries whose planned copy would deceive a browser. The others keep it: whether it is sound is
    /// checked when it is linked.
    fn disputed(&self, mut entries: Vec<u32>, planned: &[Placement]) -> Vec<u32> {
        if !entries.is_empty() {
            entries.sort_unstable();
            let used = self.used_seconds(&self.files(&entries), |_, _| ());
            let is_free = |entry: u32, second| second != 0 && used.binary_search(&(entry, second)).is_err();
            entries.retain(|&entry| !is_free(entry, planned[entry as usize].second));
        }
        entries
    }

    fn files(&self, entries: &[u32]) -> Vec<(u32, ManifestFile)> {
        entries.iter().filter_map(|&entry| Some((entry, self.manifest.file(entry)?))).collect()
    }

    /// Reads the entries of all releases, the newest first, and passes them to `note`. Returns, by entry, the seconds
    /// at which the path of a file in question had other content of the same size.
    fn used_seconds(
        &self,
        files: &[(u32, ManifestFile)],
        mut note: impl FnMut(&StreamEntry<'_>, Placement),
    ) -> Vec<(u32, u32)> {
        let mut used = Vec::new();
        for record in self.releases.records.iter().rev() {
            let mut beside = PathMatcher::new(self.manifest, files);
            let note = |passing: StreamEntry<'_>, placement: Placement| {
                note(&passing, placement);
                used.extend(beside.other_than(&passing).map(|entry| (entry, placement.second)));
            };
            // A release that cannot be read tells nothing.
            drop(read_entries(self.layout, &record.id, &record.root, note));
        }
        used.sort_unstable();
        used.dedup();
        used
    }

    /// Chooses a copy for each entry: the planned one if it is sound and deceives nobody, else another such copy,
    /// else a further copy that is to be made of a sound one.
    pub(crate) fn choose(&self, mut entries: Vec<u32>, planned: &[Placement]) -> Result<CopyChoice, Error> {
        let mut choice = CopyChoice::default();
        if entries.is_empty() {
            return Ok(choice);
        }
        entries.sort_unstable();
        let files = self.files(&entries);
        let mut copies: HashMap<ObjectKey, Copies> = files
            .iter()
            .map(|(_, file)| (file.key, Copies { size: file.size, placements: Vec::new(), is_named: false }))
            .collect();
        let used = self.used_seconds(&files, |passing, placement| note_copy(passing, placement, &mut copies));
        copies.par_iter_mut().try_for_each(|(&key, copies)| self.keep_sound(key, copies))?;
        for (entry, file) in files {
            let sound = copies.get(&file.key).map_or(&[][..], |copies| &copies.placements);
            let is_free = |placement: &&Placement| used.binary_search(&(entry, placement.second)).is_err();
            let as_planned = sound.iter().filter(|&&placement| placement == planned[entry as usize]);
            match (as_planned.chain(sound).find(is_free), sound.first()) {
                (Some(&placement), _) => choice.placed.push((entry, placement)),
                (None, Some(Placement { copy, .. })) => {
                    let from = ObjectName { key: file.key, copy: *copy };
                    choice.further_copies.push(FurtherCopy { entry, from });
                }
                (None, None) => {
                    choice.unfit += u64::from(copies.get(&file.key).is_some_and(|copies| copies.is_named));
                    choice.lacking.push(entry);
                }
            }
        }
        Ok(choice)
    }

    /// Keeps the copies that agree with one of the releases that name them. If no release names any, keeps those with
    /// the right content.
    fn keep_sound(&self, key: ObjectKey, copies: &mut Copies) -> Result<(), Error> {
        if copies.placements.is_empty() {
            for (copy, stat) in self.store.copies(key)? {
                copies.placements.extend(self.orphan(ObjectName { key, copy }, copies.size, &stat));
            }
            return Ok(());
        }
        let mut sound = Vec::with_capacity(copies.placements.len());
        for &placement in &copies.placements {
            let is_sound = match self.store.state(key, copies.size, placement)? {
                ObjectState::Sound(_) => true,
                // A dry run changes nothing, and most touched objects still have their content.
                ObjectState::Touched => self.is_dry_run || self.store.restore_attributes(key, placement)?,
                ObjectState::Missing | ObjectState::Altered => false,
            };
            sound.extend(Some(placement).filter(|_| is_sound));
        }
        copies.placements = sound;
        Ok(())
    }

    /// Verifies an object that no release names. Returns nothing if it cannot be used.
    fn orphan(&self, name: ObjectName, size: u64, stat: &Stat) -> Option<Placement> {
        let second = u32::try_from(stat.mtime).ok().filter(|&own| own > 0 && own < self.second)?;
        let object = self.store.open_orphan(name, size, stat).filter(|_| self.store.is_synced())?;
        forget_cached(&object).ok()?;
        has_hash(&object, name.key.hash).then_some(Placement { second, copy: name.copy })
    }
}

/// Adds the copy of an object that a release uses.
fn note_copy(passing: &StreamEntry<'_>, placement: Placement, copies: &mut HashMap<ObjectKey, Copies>) {
    if let StreamEntryKind::File(file) = passing.kind
        && placement.second != 0
        && let Some(known) = copies.get_mut(&file.key)
        && !known.placements.contains(&placement)
    {
        known.placements.push(placement);
        known.is_named = true;
    }
}

/// Matches the entries of another manifest, one after the other, with the files in question at the same path.
struct PathMatcher<'a> {
    manifest: &'a Manifest,
    /// The files in question, by entry.
    files: &'a [(u32, ManifestFile)],
    /// By directory: whether a file in question is in it.
    holds: Vec<bool>,
    /// By directory of the other manifest: the directory of this one at the same path.
    directories: Vec<Option<u32>>,
}

impl<'a> PathMatcher<'a> {
    fn new(manifest: &'a Manifest, files: &'a [(u32, ManifestFile)]) -> PathMatcher<'a> {
        let mut holds = vec![false; manifest.directories().len()];
        files.iter().for_each(|&(entry, _)| holds[manifest.holder(entry) as usize] = true);
        PathMatcher { manifest, files, holds, directories: vec![Some(0)] }
    }

    /// Returns the file in question at the same path, if it has other content of equal size.
    fn other_than(&mut self, passing: &StreamEntry<'_>) -> Option<u32> {
        let directory = self.directories[passing.directory as usize];
        let find = |directory| self.manifest.child(directory, passing.name);
        match passing.kind {
            StreamEntryKind::Directory => {
                let beside = directory.and_then(find).and_then(|named| match named.node {
                    Node::Directory(number) => Some(number),
                    _ => None,
                });
                self.directories.push(beside);
                None
            }
            StreamEntryKind::File(file) => {
                let entry = find(directory.filter(|&number| self.holds[number as usize])?)?.index;
                let at = self.files.binary_search_by_key(&entry, |&(entry, _)| entry).ok()?;
                let own = self.files[at].1;
                (own.size == file.size && own.key.hash != file.key.hash).then_some(entry)
            }
            StreamEntryKind::Symlink => None,
        }
    }
}

/// Returns, for each directory, the directory of another manifest at the same path.
fn directories_beside(manifest: &Manifest, other: &Manifest) -> Vec<Option<u32>> {
    let mut beside: Vec<Option<u32>> = vec![None; manifest.directories().len()];
    beside[0] = Some(0);
    // Directories have greater numbers than those that name them.
    for number in 0..beside.len() {
        let Some(own) = beside[number] else { continue };
        for named in manifest.children(number as u32) {
            if let Node::Directory(child) = named.node
                && let Some(Node::Directory(there)) = other.child(own, named.name).map(|named| named.node)
            {
                beside[child as usize] = Some(there);
            }
        }
    }
    beside
}

/// Returns the files that come from the base but have another path now.
fn moved_files(manifest: &Manifest, origins: &[u32], base: &Manifest) -> Vec<u32> {
    let mut moved = Vec::new();
    for (number, own) in directories_beside(manifest, base).into_iter().enumerate() {
        let is_from_base = |index: u32| origins[index as usize] != INTRODUCED;
        let children = manifest.children(number as u32);
        // All entries that a directory has from the base come from one directory there.
        let holder = children
            .clone()
            .find(|named| is_from_base(named.index))
            .map(|named| base.holder(origins[named.index as usize]));
        if holder.is_none() || holder == own {
            continue;
        }
        moved.extend(children.filter_map(|named| match named.node {
            Node::File(file) if file.size > 0 && is_from_base(named.index) => Some(named.index),
            _ => None,
        }));
    }
    moved
}
