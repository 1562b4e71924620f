//! What changed files can be described in terms of: the base's at their paths, and where the content of those is to be had.

use std::collections::{HashMap, HashSet};

use crate::chunk::LARGE_FILE_BYTES;
use crate::client::cache::Cache;
use crate::client::git::Blobs;
use crate::client::sending::{Old, OldAt, OldFile};
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::encode::{Given, Givens};
use crate::manifest::{File, Node, ObjectKey};
use crate::report::DeployFailure;

use crate::wire::bounds::PROMISED_MAX;

use super::large::{self, Gap};
use super::{Base, Exchange, Outlook, UNASKED_BYTES_MAX};

/// A delta is taken for this part of its file, and some bytes: edits of kernel sources come to a third of that.
const DELTA_SHARE: u64 = 128;
const DELTA_BYTES: u64 = 16;

/// Of smaller files the agent is not asked for signatures: compressed with others they take little more than those.
const SIGNED_BYTES_MIN: u64 = 512;

/// By entry of the new manifest: what it is described in terms of.
pub(super) type Olds = HashMap<u32, Old>;

/// A changed file, and the base's at its path.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) entry: u32,
    pub(super) file: File,
    pub(super) old: OldEntry,
}

impl Pair {
    pub(super) fn is_large(&self) -> bool {
        self.file.size.min(self.old.file.size) >= LARGE_FILE_BYTES
    }

    fn is_small(&self) -> bool {
        self.file.size.max(self.old.file.size) < LARGE_FILE_BYTES
    }

    /// Tells whether to know of the old content saves more than it costs.
    fn is_signable(&self) -> bool {
        self.is_small() && self.file.size.min(self.old.file.size) >= SIGNED_BYTES_MIN
    }
}

/// A file of the base.
#[derive(Clone, Copy)]
pub(super) struct OldEntry {
    pub(super) index: u32,
    pub(super) file: File,
}

/// Files that stand at a path where the base has another, or none.
pub(super) struct Introduced {
    /// Those whose content the base has.
    pub(super) givens: Givens,
    /// Those whose content it does not have, the first of each.
    pub(super) fresh: Vec<u32>,
}

impl OldEntry {
    pub(super) fn small(self, at: OldAt) -> Old {
        Old::Small(OldFile { index: self.index, file: self.file, at })
    }
}

/// What a tree that was sent is followed by.
#[derive(Default)]
pub(super) struct Described {
    pub(super) olds: Olds,
    /// Files of whose old versions signatures were asked for.
    pub(super) to_sign: Vec<(u32, OldEntry)>,
    /// What the agent was asked to sign of large files.
    pub(super) gaps: Vec<Gap>,
}

impl Outlook<'_> {
    /// Finds which files of the new manifest the base has at another path or in another mode, and which content it does not
    /// have.
    pub(super) fn introduced(&self, base: &Base, introduced: &[u32]) -> Introduced {
        let manifest = &self.scan.found.manifest;
        let files: Vec<(u32, File)> =
            introduced.iter().filter_map(|&entry| Some((entry, manifest.file(entry)?))).collect();
        let hashes: HashSet<Hash> = files.iter().map(|(_, file)| file.key.hash).collect();
        let mut there = HashMap::new();
        if !hashes.is_empty() {
            for (entry, old) in base.manifest.all_files().filter(|(_, old)| hashes.contains(&old.key.hash)) {
                there.entry(old.key.hash).or_insert(entry);
            }
        }
        let mut seen = HashSet::new();
        let in_base = |(entry, file): &(u32, File)| Some((*entry, Given::InBase(*there.get(&file.key.hash)?)));
        let givens = files.iter().filter_map(in_base).collect();
        let is_fresh =
            |(_, file): &&(u32, File)| file.size > 0 && !there.contains_key(&file.key.hash) && seen.insert(file.key);
        let fresh = files.iter().filter(is_fresh).map(|(entry, _)| *entry).collect();
        Introduced { givens, fresh }
    }

    /// Chooses the files whose hashes need not be sent, as their content is: small ones, each of which is the only one of
    /// its content.
    pub(super) fn to_promise(self, introduced: &[u32], fresh: &[u32]) -> Vec<u32> {
        let manifest = &self.scan.found.manifest;
        let mut counts: HashMap<ObjectKey, u32> = HashMap::new();
        introduced
            .iter()
            .filter_map(|&entry| manifest.file(entry))
            .for_each(|file| *counts.entry(file.key).or_default() += 1);
        let may = |&entry: &u32| {
            manifest.file(entry).is_some_and(|file| file.size < LARGE_FILE_BYTES && counts.get(&file.key) == Some(&1))
        };
        fresh.iter().copied().filter(may).take(PROMISED_MAX).collect()
    }

    /// Tells whether so little is to be sent that it is not worth asking first.
    pub(super) fn is_little(&self, introduced: &[u32], olds: &Olds) -> bool {
        let size = |&entry: &u32| {
            let size = self.scan.found.manifest.file(entry).map_or(0, |file| file.size);
            match olds.get(&entry) {
                None => size,
                Some(Old::Small(_)) => size / DELTA_SHARE + DELTA_BYTES,
                Some(Old::Large(recipe)) => recipe.sent_bytes(),
            }
        };
        introduced.iter().map(size).sum::<u64>() <= UNASKED_BYTES_MAX
    }

    /// Finds what changed files can be described in terms of without a question to the agent; nothing where one is worth
    /// it.
    pub(super) fn olds_at_hand(&self, base: &Base, introduced: &[u32]) -> Result<Option<Olds>, Error> {
        let pairs = self.pairs(base, introduced);
        let mut large = pairs.iter().filter(|pair| pair.is_large());
        if large.any(|pair| self.kept_chunks(&pair.old.file.key.hash).is_none()) {
            return Ok(None);
        }
        let mut olds = self.cached_olds(&pairs);
        let is_lost = |pair: &&Pair| pair.is_signable() && !olds.contains_key(&pair.entry);
        if pairs.iter().filter(is_lost).map(|pair| pair.file.size).sum::<u64>() > UNASKED_BYTES_MAX {
            return Ok(None);
        }
        self.add_recipes(&pairs, &[], &mut olds)?;
        Ok(Some(olds))
    }

    /// Finds the base's files at the paths of changed ones, both with content.
    fn pairs(&self, base: &Base, introduced: &[u32]) -> Vec<Pair> {
        let manifest = &self.scan.found.manifest;
        let pair = |&entry: &u32| {
            let file = manifest.file(entry).filter(|file| file.size > 0)?;
            let path = manifest.path(entry);
            let old = base.manifest.find(path.split(|&byte| byte == b'/'))?;
            match old.node {
                Node::File(old_file) if old_file.size > 0 => {
                    Some(Pair { entry, file, old: OldEntry { index: old.index, file: old_file } })
                }
                _ => None,
            }
        };
        introduced.iter().filter_map(pair).collect()
    }

    /// Finds the small files whose old content is in the content cache.
    fn cached_olds(&self, pairs: &[Pair]) -> Olds {
        let mut small = pairs.iter().filter(|pair| pair.is_small()).peekable();
        let Some(cache) = small.peek().and_then(|_| self.cache()) else {
            return Olds::default();
        };
        let old = |pair: &Pair| {
            let spot = cache.find(&pair.old.file.key.hash, pair.old.file.size)?;
            Some((pair.entry, pair.old.small(OldAt::Cached(spot))))
        };
        small.filter_map(old).collect()
    }

    /// Opens the content cache. Where that fails more is sent, and it is told once.
    pub(super) fn cache(&self) -> Option<&Cache> {
        self.memory.cache.get_or_init(|| self.deploy.told(Cache::open(&self.deploy.state_dir))).as_ref()
    }
}

impl Exchange<'_> {
    /// Finds what changed files can be described in terms of; asks the agent for chunks where need be.
    pub(super) fn find_olds(&mut self, base: &Base, introduced: &[u32]) -> Result<Described, DeployFailure> {
        let pairs = self.outlook.pairs(base, introduced);
        let is_unknown = |pair: &&Pair| pair.is_large() && self.outlook.kept_chunks(&pair.old.file.key.hash).is_none();
        let unknown: Vec<OldEntry> = pairs.iter().filter(is_unknown).map(|pair| pair.old).collect();
        let asked = self.ask_chunks(&unknown)?;
        let mut olds = self.outlook.cached_olds(&pairs);
        let mut to_sign = Vec::new();
        if !self.outlook.deploy.dry_run {
            let mut lost: Vec<Pair> = pairs.iter().filter(|pair| pair.is_signable()).copied().collect();
            lost.retain(|pair| !olds.contains_key(&pair.entry));
            self.add_blobs(base, &lost, &mut olds);
            lost.retain(|pair| !olds.contains_key(&pair.entry));
            to_sign = lost.iter().map(|pair| (pair.entry, pair.old)).collect();
        }
        self.outlook.add_recipes(&pairs, &asked, &mut olds)?;
        let gaps = large::gaps(&olds);
        Ok(Described { olds, to_sign, gaps })
    }

    /// Adds small files whose old content git has.
    fn add_blobs(&mut self, base: &Base, pairs: &[Pair], olds: &mut Olds) {
        let Some(commit) =
            base.commit.as_ref().filter(|_| self.outlook.scan.commit.known().is_some() && !pairs.is_empty())
        else {
            return;
        };
        let files: Vec<(Vec<u8>, u64)> =
            pairs.iter().map(|pair| (self.outlook.scan.found.manifest.path(pair.entry), pair.old.file.size)).collect();
        let (blobs, found) = Blobs::find(&self.outlook.deploy.source, commit, &files);
        for (pair, blob) in pairs.iter().zip(found) {
            if let Some(blob) = blob {
                olds.insert(pair.entry, pair.old.small(OldAt::Git(blob)));
            }
        }
        self.blobs = blobs;
    }
}
