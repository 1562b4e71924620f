//! Decides, for each file of a new release, whether the store has its content and which copy of the object to use.
//!
//! Files that come from the base at the same path keep their object. For the others, two questions: is the content
//! there, and would its mtime deceive a browser? Web servers make ETags of mtime and size. So where an earlier release
//! had other content of equal size and mtime at the same path (two files swapped, a directory moved over another), a
//! further copy of the object is made, with the second of this release.
//!
//! Releases may disagree about an object's second: one that was damaged and replaced carries that of the release which
//! replaced it. So a copy counts only where its inode is as some release says, the newest first. An object that no
//! standing release names was left by a run that died or failed after it published: the filesystem is synced, and the
//! object hashed from the disk, before use.
//!
//! Manifests of other releases are read one at a time, entry by entry, and only what concerns the files in question is
//! kept.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::disk::{Stat, forget_cached};
use crate::error::Error;
use crate::manifest::decode::{StreamEntry, StreamEntryKind};
use crate::manifest::encode::INTRODUCED;
use crate::manifest::placement::Placement;
use crate::manifest::{File as ManifestFile, Manifest, Node, ObjectKey};

use super::site::layout::Layout;
use super::site::records::{Kept, Releases, read_entries};
use super::store::{Look, ObjectName, Store, has_hash};

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

/// What was chosen for some files.
#[derive(Default)]
pub(crate) struct Choice {
    /// The entries that a copy in the store is right for, and which.
    pub(crate) placed: Vec<(u32, Placement)>,
    /// The entries that get a further copy of their object.
    pub(crate) own_copies: Vec<NeedsOwnCopy>,
    /// The entries whose content is not in the store.
    pub(crate) lacking: Vec<u32>,
}

/// Finds copies for the files of a new release.
#[derive(Clone, Copy)]
pub(crate) struct Classifier<'a> {
    /// Where the manifests of the releases that stand are.
    pub(crate) layout: &'a Layout,
    /// The releases that stand.
    pub(crate) releases: &'a Releases,
    /// The store.
    pub(crate) store: &'a Store,
    /// The new release.
    pub(crate) manifest: &'a Manifest,
    /// Its second.
    pub(crate) second: u32,
    /// Whether nothing may be changed.
    pub(crate) is_dry_run: bool,
}

/// The copies of one object.
struct Copies {
    size: u64,
    placements: Vec<Placement>,
}

impl Classifier<'_> {
    /// Classifies every file. `expected` holds what the base says.
    pub(crate) fn classify(
        &self,
        origins: &[u32],
        base: Option<&Kept>,
        mut expected: Vec<Placement>,
    ) -> Result<Classified, Error> {
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
        let without = choice.own_copies.iter().map(|own| own.entry).chain(choice.lacking.iter().copied());
        without.for_each(|entry| expected[entry as usize] = Placement::default());
        lacking.extend(choice.lacking);
        lacking.sort_unstable();
        Ok(Classified { expected, lacking, own_copies: choice.own_copies })
    }

    /// Returns those of the entries whose planned copy would deceive a browser. The others keep it: whether it is sound is
    /// seen when it is linked.
    fn disputed(&self, mut entries: Vec<u32>, planned: &[Placement]) -> Vec<u32> {
        if !entries.is_empty() {
            entries.sort_unstable();
            let taken = self.taken(&self.files(&entries), |_, _| ());
            let is_free = |entry: u32, second| second != 0 && taken.binary_search(&(entry, second)).is_err();
            entries.retain(|&entry| !is_free(entry, planned[entry as usize].second));
        }
        entries
    }

    fn files(&self, entries: &[u32]) -> Vec<(u32, ManifestFile)> {
        entries.iter().filter_map(|&entry| Some((entry, self.manifest.file(entry)?))).collect()
    }

    /// Reads what the releases say of their entries, the newest first, and gives it to `note`. Returns the seconds at which
    /// the path of a file in question had other content of the same size, by entry.
    fn taken(
        &self,
        files: &[(u32, ManifestFile)],
        mut note: impl FnMut(&StreamEntry<'_>, Placement),
    ) -> Vec<(u32, u32)> {
        let mut taken = Vec::new();
        for record in self.releases.records.iter().rev() {
            let mut beside = Beside::new(self.manifest, files);
            let note = |entry: StreamEntry<'_>, placement: Placement| {
                note(&entry, placement);
                taken.extend(beside.other_than(&entry).map(|entry| (entry, placement.second)));
            };
            // Of one that cannot be read nothing is known.
            drop(read_entries(self.layout, &record.id, &record.root, note));
        }
        taken.sort_unstable();
        taken.dedup();
        taken
    }

    /// Chooses a copy for each entry: the planned one if it is sound and deceives nobody, else another such, else a
    /// further one that is to be made of one that is sound.
    pub(crate) fn choose(&self, mut entries: Vec<u32>, planned: &[Placement]) -> Result<Choice, Error> {
        let mut choice = Choice::default();
        if entries.is_empty() {
            return Ok(choice);
        }
        entries.sort_unstable();
        let files = self.files(&entries);
        let mut copies: HashMap<ObjectKey, Copies> =
            files.iter().map(|(_, file)| (file.key, Copies { size: file.size, placements: Vec::new() })).collect();
        let taken = self.taken(&files, |entry, placement| note_copy(entry, placement, &mut copies));
        copies.par_iter_mut().try_for_each(|(&key, copies)| self.keep_sound(key, copies))?;
        for (entry, file) in files {
            let sound = copies.get(&file.key).map_or(&[][..], |copies| &copies.placements);
            let is_free = |placement: &&Placement| taken.binary_search(&(entry, placement.second)).is_err();
            let as_planned = sound.iter().filter(|&&placement| placement == planned[entry as usize]);
            match (as_planned.chain(sound).find(is_free), sound.first()) {
                (Some(&placement), _) => choice.placed.push((entry, placement)),
                (None, Some(Placement { copy, .. })) => {
                    let from = ObjectName { key: file.key, copy: *copy };
                    choice.own_copies.push(NeedsOwnCopy { entry, from });
                }
                (None, None) => choice.lacking.push(entry),
            }
        }
        Ok(choice)
    }

    /// Keeps of the copies that releases name those that are as one of them says; where none names any, those that
    /// nobody names and that have the right content.
    fn keep_sound(&self, key: ObjectKey, copies: &mut Copies) -> Result<(), Error> {
        if copies.placements.is_empty() {
            for (copy, stat) in self.store.copies(key)? {
                copies.placements.extend(self.orphan(ObjectName { key, copy }, copies.size, &stat));
            }
            return Ok(());
        }
        let mut sound = Vec::with_capacity(copies.placements.len());
        for &placement in &copies.placements {
            let is_sound = match self.store.look(key, copies.size, placement)? {
                Look::Sound(_) => true,
                // A dry run changes nothing, and most that was touched has its content still.
                Look::Touched => self.is_dry_run || self.store.put_right(key, placement)?,
                Look::Missing | Look::Altered => false,
            };
            sound.extend(Some(placement).filter(|_| is_sound));
        }
        copies.placements = sound;
        Ok(())
    }

    /// Verifies an object that nobody names. Nothing where it cannot be used.
    fn orphan(&self, name: ObjectName, size: u64, stat: &Stat) -> Option<Placement> {
        let second = u32::try_from(stat.mtime).ok().filter(|&own| own > 0 && own < self.second)?;
        let object = self.store.open_orphan(name, size, stat).filter(|_| self.store.is_synced())?;
        forget_cached(&object).ok()?;
        has_hash(&object, name.key.hash).then_some(Placement { second, copy: name.copy })
    }
}

/// Notes which copy of an object a release uses.
fn note_copy(entry: &StreamEntry<'_>, placement: Placement, copies: &mut HashMap<ObjectKey, Copies>) {
    if let StreamEntryKind::File(file) = entry.kind
        && placement.second != 0
        && let Some(known) = copies.get_mut(&file.key)
        && !known.placements.contains(&placement)
    {
        known.placements.push(placement);
    }
}

/// Finds what stands beside the entries of another manifest, which pass one after the other.
struct Beside<'a> {
    manifest: &'a Manifest,
    /// The files in question, by entry.
    files: &'a [(u32, ManifestFile)],
    /// By directory: whether one of the files is in it.
    holds: Vec<bool>,
    /// By directory of the other manifest: the own one at the same path.
    directories: Vec<Option<u32>>,
}

impl<'a> Beside<'a> {
    fn new(manifest: &'a Manifest, files: &'a [(u32, ManifestFile)]) -> Beside<'a> {
        let mut holds = vec![false; manifest.directories().len()];
        files.iter().for_each(|&(entry, _)| holds[manifest.holder(entry) as usize] = true);
        Beside { manifest, files, holds, directories: vec![Some(0)] }
    }

    /// Returns the file in question at the same path, where that has other content of equal size.
    fn other_than(&mut self, entry: &StreamEntry<'_>) -> Option<u32> {
        let directory = self.directories[entry.directory as usize];
        let find = |directory| self.manifest.child(directory, entry.name);
        match entry.kind {
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

/// Finds, for each directory, the one of another manifest at the same path.
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

/// Finds the files that come from the base and stand at another path now.
fn moved_files(manifest: &Manifest, origins: &[u32], base: &Manifest) -> Vec<u32> {
    let mut moved = Vec::new();
    for (number, own) in directories_beside(manifest, base).into_iter().enumerate() {
        let is_from_base = |index: u32| origins[index as usize] != INTRODUCED;
        let children = manifest.children(number as u32);
        // All that a directory has from the base, it has from one directory of the base.
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
