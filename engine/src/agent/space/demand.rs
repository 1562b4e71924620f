//! The space that a release takes: its new objects, its tree, its record.
//!
//! ```text
//! staging/…/objects/ab/…   each object that the store lacks; the directory is moved into the store, or its files are
//! staging/…/tree/…         directories, symlinks, empty files, private copies, and files that share blocks
//! staging/…/record/…       record, manifest, stamps
//! bin/…                    the agent, if it is to be copied: only a dry run finds none there
//! ```
//!
//! A private copy counts in full even if it shares blocks at first: the application is going to write to it. Files that
//! are copied from the live release or into `shared/` are not known here.

use std::collections::BTreeMap;

use crate::agent::classify::FurtherCopy;
use crate::agent::receive::WantedObjects;
use crate::agent::site::layout::Layout;
use crate::agent::site::reserve::RESERVE_BYTES;
use crate::agent::store::{ObjectName, SHARDS, Store};
use crate::agent::trash::Spare;
use crate::disk::Costs;
use crate::error::Error;
use crate::link::Link;
use crate::manifest::decode::{StreamEntry, StreamEntryKind};
use crate::manifest::{EntryRef, Manifest, Node};
use crate::path::push_name;
use crate::pattern::Patterns;

/// The name of an object in its shard: the rest of a hash, and a mode.
const OBJECT_NAME_BYTES: u64 = 66;
/// The directories of staging beside the shards: that of the run, its objects and its record.
const STAGING_DIRECTORIES: u64 = 3;
/// The directories that the first deploy makes.
const SITE_DIRECTORIES: u64 = 9;
/// The name of the agent.
const AGENT_NAME_BYTES: u64 = 32;
/// The files beside a release: record, manifest and stamps.
const RECORD_FILES: u64 = 3;
/// The stamp of a directory, and the number of an inode, in the file of stamps.
const STAMP_BYTES: u64 = 20;
const INODE_NUMBER_BYTES: u64 = 3;
/// An entry in a stored manifest, beside its name.
const ENTRY_BYTES: u64 = 40;
/// A record, without lists of the configuration.
const RECORD_BYTES: u64 = 4096;
/// The inodes for the journal, the log, the link and the lock, and drafts of them.
const MARGIN_INODES: u64 = 32;

/// Bytes and inodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Inodes.
    pub(crate) inodes: u64,
}

impl Need {
    /// Returns what is left of it beside a part.
    pub(crate) fn without(self, part: Need) -> Need {
        Need { bytes: self.bytes.saturating_sub(part.bytes), inodes: self.inodes.saturating_sub(part.inodes) }
    }

    fn add(&mut self, number: u64, bytes: u64) {
        self.bytes = self.bytes.saturating_add(number.saturating_mul(bytes));
        self.inodes += number;
    }

    fn sum(self, other: Need) -> Need {
        Need { bytes: self.bytes.saturating_add(other.bytes), inodes: self.inodes + other.inodes }
    }
}

/// A release that is to be made.
#[derive(Clone, Copy)]
pub(crate) struct Demand<'a> {
    /// Its manifest.
    pub(crate) manifest: &'a Manifest,
    /// The way in which its files get their content.
    pub(crate) link: Link,
    /// The patterns of private copies.
    pub(crate) copies: &'a Patterns,
    /// The number of its links into `shared/`.
    pub(crate) shared_links: u64,
    /// The further copies of objects.
    pub(crate) further_copies: &'a [FurtherCopy],
    /// The objects that the store lacks.
    pub(crate) wanted: &'a WantedObjects,
    /// The entries of large files of which the beginning was received, with its length.
    pub(crate) begun: &'a [(u32, u64)],
    /// The store. None: it does not exist yet.
    pub(crate) store: Option<&'a Store>,
    /// The length of the agent, if it is not at its place and takes space of this filesystem there.
    pub(crate) missing_agent: Option<u64>,
}

impl Demand<'_> {
    /// Returns the space that the release still needs.
    pub(crate) fn need(&self, costs: Costs) -> Result<Need, Error> {
        let margin = Need { bytes: costs.margin_bytes(), inodes: MARGIN_INODES };
        Ok(self.objects(costs)?.sum(self.tree(costs)).sum(self.record(costs)).sum(margin))
    }

    /// Returns the need of new objects and of the directories in which they arrive and stay.
    fn objects(&self, costs: Costs) -> Result<Need, Error> {
        let mut need = Need::default();
        let mut shards = [0; SHARDS];
        let mut note = |name: ObjectName| shards[name.shard()] += 1;
        for at in self.wanted.missing() {
            need.add(1, costs.file(self.wanted.size(at)));
            note(ObjectName { key: self.wanted.key(at), copy: 0 });
        }
        let begun: u64 = self.begun.iter().map(|(_, bytes)| bytes - bytes % costs.block_bytes).sum();
        need.bytes = need.bytes.saturating_sub(begun);
        let size = |own: &FurtherCopy| self.manifest.file(own.entry).map_or(0, |file| file.size);
        let further: BTreeMap<_, _> =
            self.further_copies.iter().map(|own| (own.from.key, (own.from, size(own)))).collect();
        for (name, size) in further.into_values() {
            need.add(1, costs.file(size));
            note(name);
        }
        for (number, names) in shards.into_iter().enumerate().filter(|(_, names)| *names > 0) {
            let bytes = costs.directory(names, names * OBJECT_NAME_BYTES);
            need.add(1, bytes);
            // Its files are moved into the shard of the store, which grows.
            if self.store.map_or(Ok(false), |store| store.has_shard(number))? {
                need.bytes += bytes;
            }
        }
        Ok(need)
    }

    /// Returns the need of the tree.
    fn tree(&self, costs: Costs) -> Need {
        let mut need = Need::default();
        need.add(self.shared_links, costs.symlink(u64::from(u8::MAX) / 4));
        for number in 0..self.manifest.directories().len() as u32 {
            let directory = (!self.copies.is_empty()).then(|| self.manifest.directory_path(number));
            let (mut names, mut names_bytes) = (0, 0);
            for named in self.manifest.children(number) {
                names += 1;
                names_bytes += named.name.len() as u64;
                self.add_name(&mut need, costs, named, directory.as_deref());
            }
            need.add(1, costs.directory(names, names_bytes));
        }
        need
    }

    fn add_name(&self, need: &mut Need, costs: Costs, named: EntryRef<'_>, directory: Option<&[u8]>) {
        match named.node {
            Node::Directory(_) => {}
            Node::Symlink(target) => need.add(1, costs.symlink(self.manifest.text(target).len() as u64)),
            Node::File(file) if file.size == 0 => need.add(1, costs.file(0)),
            Node::File(file) if directory.is_some_and(|directory| self.is_private(directory, named.name)) => {
                need.add(1, costs.file(file.size));
            }
            Node::File(_) if self.link == Link::Reflink => need.add(1, costs.reflink()),
            Node::File(_) => need.inodes += costs.link_inodes(),
        }
    }

    fn is_private(&self, directory: &[u8], name: &[u8]) -> bool {
        let mut path = directory.to_vec();
        push_name(&mut path, name);
        self.copies.matches_file(&path)
    }

    /// Returns the need of the record, the manifest and the stamps, and of the directories of staging.
    fn record(&self, costs: Costs) -> Need {
        let mut need = Need::default();
        let (entries, directories) = (u64::from(self.manifest.len()), self.manifest.directories().len() as u64);
        let manifest = entries * ENTRY_BYTES + self.manifest.text_bytes() as u64;
        let stamps = (directories + SHARDS as u64) * STAMP_BYTES + entries * INODE_NUMBER_BYTES;
        let bytes = costs.file(RECORD_BYTES) + costs.file(manifest) + costs.file(stamps);
        need.bytes = bytes;
        need.inodes = RECORD_FILES;
        need.add(STAGING_DIRECTORIES, costs.directory(2, 16));
        if self.store.is_none() {
            need.add(SITE_DIRECTORIES, costs.directory(2, 16));
            need.add(1, costs.file(RESERVE_BYTES));
        }
        if let Some(bytes) = self.missing_agent {
            need.add(1, costs.file(bytes));
            need.add(u64::from(self.store.is_none()), costs.directory(1, AGENT_NAME_BYTES));
        }
        need
    }

    /// Returns the part of the need that a spare has already: directories, symlinks and empty files, and the inodes of
    /// files that are not links.
    pub(crate) fn kept_of(&self, layout: &Layout, spare: &Spare, costs: Costs) -> Result<Need, Error> {
        let mut has = Kinds::default();
        if !spare.entries(layout, |entry, _| has.note_stream(&entry))? {
            return Ok(Need::default());
        }
        let mut wants = Kinds { directories: self.manifest.directories().len() as u64, ..Kinds::default() };
        (0..self.manifest.len()).for_each(|entry| wants.note(self.manifest.node(entry)));
        let mut kept = Need::default();
        // The root is made anew.
        kept.add(has.directories.min(wants.directories - 1), costs.directory(1, 1));
        kept.add(has.symlinks.min(wants.symlinks), costs.symlink(0));
        kept.add(has.empty_files.min(wants.empty_files), costs.file(0));
        let files = has.files.min(wants.files);
        match self.link {
            // A file that shares blocks is kept only if nobody wrote to it, and private copies never are.
            Link::Reflink if self.copies.is_empty() => kept.add(files, costs.reflink()),
            Link::Reflink => {}
            Link::Hardlink => kept.inodes += files * costs.link_inodes(),
        }
        Ok(kept)
    }
}

/// The numbers of entries by kind.
#[derive(Default)]
struct Kinds {
    directories: u64,
    symlinks: u64,
    empty_files: u64,
    files: u64,
}

impl Kinds {
    fn note_stream(&mut self, entry: &StreamEntry<'_>) {
        match &entry.kind {
            StreamEntryKind::Directory => self.directories += 1,
            StreamEntryKind::Symlink => self.symlinks += 1,
            StreamEntryKind::File(file) => self.note_file(file.size),
        }
    }

    fn note(&mut self, node: Node) {
        match node {
            Node::Directory(_) => {}
            Node::Symlink(_) => self.symlinks += 1,
            Node::File(file) => self.note_file(file.size),
        }
    }

    fn note_file(&mut self, size: u64) {
        let kind = if size == 0 { &mut self.empty_files } else { &mut self.files };
        *kind += 1;
    }
}
