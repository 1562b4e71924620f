//! The source compared with a base: the new files, and the files that the base has at another path or in another
//! version.

use std::collections::{HashMap, HashSet};

use crate::chunk::LARGE_FILE_BYTES;
use crate::client::outgoing_file::{OldSource, OldVersion};
use crate::client::source::Source;
use crate::hash::Hash;
use crate::manifest::encode::{HashSource, HashSources, introduced};
use crate::manifest::{File, Node, ObjectKey};
use crate::wire::bounds::PROMISED_MAX;

use super::base::Base;
use super::old_versions::{OldEntry, OldVersions, Pair};

/// The most content that is sent before the server says that it lacks it. On a slow line (10 Mbit/s) a wrong guess
/// costs a second. Waiting for the answer costs one round trip each time.
pub(super) const UNASKED_BYTES_MAX: u64 = 1 << 20;

/// The estimated size of a delta: this part of its file, and some bytes. Edits of kernel sources come to a third of
/// that.
const DELTA_SHARE: u64 = 128;
const DELTA_BYTES: u64 = 16;

/// See the module's description.
pub(super) struct Comparison<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) base: &'a Base,
    /// The files that the base does not have at their path.
    introduced: Vec<u32>,
    /// Those of them whose content the base has, with its place there.
    pub(super) hash_sources: HashSources,
    /// Those whose content it does not have, the first of each.
    pub(super) fresh: Vec<u32>,
}

impl<'a> Comparison<'a> {
    /// Finds the files of the source that the base has at another path or in another mode, and the content that it does
    /// not have.
    pub(super) fn new(source: &'a Source<'a>, base: &'a Base) -> Comparison<'a> {
        let manifest = source.manifest();
        let introduced = introduced(manifest, Some(&base.manifest));
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
        let in_base = |(entry, file): &(u32, File)| Some((*entry, HashSource::InBase(*there.get(&file.key.hash)?)));
        let hash_sources = files.iter().filter_map(in_base).collect();
        let is_fresh =
            |(_, file): &&(u32, File)| file.size > 0 && !there.contains_key(&file.key.hash) && seen.insert(file.key);
        let fresh = files.iter().filter(is_fresh).map(|(entry, _)| *entry).collect();
        Comparison { source, base, introduced, hash_sources, fresh }
    }

    /// Chooses the files whose hashes need not be sent, as their content is: small files, each the only one of its
    /// content.
    pub(super) fn to_promise(&self) -> Vec<u32> {
        let manifest = self.source.manifest();
        let mut counts: HashMap<ObjectKey, u32> = HashMap::new();
        self.introduced
            .iter()
            .filter_map(|&entry| manifest.file(entry))
            .for_each(|file| *counts.entry(file.key).or_default() += 1);
        let may = |&entry: &u32| {
            manifest.file(entry).is_some_and(|file| file.size < LARGE_FILE_BYTES && counts.get(&file.key) == Some(&1))
        };
        self.fresh.iter().copied().filter(may).take(PROMISED_MAX).collect()
    }

    /// Tells whether so little is to be sent that asking first is not worth it.
    pub(super) fn is_little(&self, old_versions: &OldVersions) -> bool {
        let size = |&entry: &u32| {
            let size = self.source.manifest().file(entry).map_or(0, |file| file.size);
            match old_versions.get(&entry) {
                None => size,
                Some(OldVersion::Small(_)) => size / DELTA_SHARE + DELTA_BYTES,
                Some(OldVersion::Large(recipe)) => recipe.sent_bytes(),
            }
        };
        self.fresh.iter().map(size).sum::<u64>() <= UNASKED_BYTES_MAX
    }

    /// Pairs changed files with the base's files at their paths. Both have content.
    pub(super) fn pairs(&self) -> Vec<Pair> {
        let manifest = self.source.manifest();
        let pair = |&entry: &u32| {
            let file = manifest.file(entry).filter(|file| file.size > 0)?;
            let path = manifest.path(entry);
            let old = self.base.manifest.find(path.split(|&byte| byte == b'/'))?;
            match old.node {
                Node::File(old_file) if old_file.size > 0 => {
                    Some(Pair { entry, file, old: OldEntry { index: old.index, file: old_file } })
                }
                _ => None,
            }
        };
        self.fresh.iter().filter_map(pair).collect()
    }

    /// Finds the small files whose old content is in the content cache.
    pub(super) fn cached_versions(&self, pairs: &[Pair]) -> OldVersions {
        let mut small = pairs.iter().filter(|pair| pair.is_small()).peekable();
        let Some(cache) = small.peek().and_then(|_| self.source.memory().cache()) else {
            return OldVersions::default();
        };
        let old = |pair: &Pair| {
            let place = cache.find(&pair.old.file.key.hash, pair.old.file.size)?;
            Some((pair.entry, pair.old.small(OldSource::Cached(place))))
        };
        small.filter_map(old).collect()
    }
}
