//! The step *tree*: the manifest, as its difference from the base that the agent takes, with the questions that belong
//! to it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::chunk::{self, Chunks};
use crate::client::outgoing_file::OldSource;
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::encode::{encode, encode_with};
use crate::report::DeployFailure;
use crate::wire::bounds::CHUNKED_MAX;
use crate::wire::message::{FromAgent, Lacks, ToAgent, TreeBase};

use super::base::Base;
use super::comparison::Comparison;
use super::gaps::{self, Gap};
use super::old_versions::{OldEntry, OldVersions, Pair};
use super::recipes::add_recipes;
use super::state::{Exchange, unexpected};

/// The tree that was sent, and the old versions of its files.
#[derive(Default)]
pub(super) struct SentTree {
    /// The entries whose hashes were not sent, ascending.
    pub(super) promised: Vec<u32>,
    /// The old versions of files, until their content was sent once.
    pub(super) old_versions: OldVersions,
    /// The files that have an old version on the server that a dry run does not ask for.
    pub(super) differing: HashSet<u32>,
    /// The files for whose old versions the client asked for signatures.
    pub(super) to_sign: Vec<(u32, OldEntry)>,
    /// The ranges of large files that the agent was asked to sign.
    pub(super) gaps: Vec<Gap>,
    /// The outline of the base, if the base is known by an outline.
    pub(super) outline: Option<Outline>,
}

/// The facts about a base beside its outline.
pub(super) struct Outline {
    /// The commit of its source.
    pub(super) commit: Option<String>,
}

impl Exchange<'_> {
    /// Sends the tree, with the questions that belong to it.
    pub(super) fn send_tree(&mut self, base: Option<&Base>) -> Result<SentTree, DeployFailure> {
        let manifest = self.source.manifest();
        let (tree, encoded) = match base {
            Some(base) => {
                let comparison = Comparison::new(self.source, base);
                (
                    self.find_old_versions(&comparison)?,
                    encode_with(manifest, Some(&base.manifest), &comparison.hash_sources),
                )
            }
            None => (SentTree::default(), encode(manifest, None)),
        };
        if !tree.to_sign.is_empty() {
            let entries = tree.to_sign.iter().map(|&(entry, _)| entry);
            self.conversation.send(&ToAgent::WantSignatures(Lacks::pack(entries)))?;
        }
        self.want_gaps(&tree.gaps, &tree.old_versions)?;
        let against = if base.is_some() { TreeBase::Chosen } else { TreeBase::Nothing };
        self.send_manifest(against, &encoded.to_bytes())?;
        self.source.keep();
        Ok(tree)
    }

    /// Sends the encoded manifest.
    pub(super) fn send_manifest(&self, against: TreeBase, bytes: &[u8]) -> Result<(), Error> {
        self.conversation.send(&ToAgent::Tree { against, length: bytes.len() as u64 })?;
        self.conversation.send_parts(bytes)
    }

    /// Sends the hashes that were promised.
    pub(super) fn send_hashes(&self, tree: &SentTree) -> Result<(), Error> {
        let manifest = self.source.manifest();
        let hash = |&entry: &u32| -> Option<Hash> { manifest.file(entry).map(|file| file.key.hash) };
        self.conversation.send(&ToAgent::Hashes(tree.promised.iter().filter_map(hash).collect()))
    }

    /// Finds the old versions of changed files. Asks the agent for chunks if necessary.
    fn find_old_versions(&mut self, comparison: &Comparison<'_>) -> Result<SentTree, DeployFailure> {
        let memory = self.source.memory();
        let pairs = comparison.pairs();
        let is_unknown = |pair: &&Pair| pair.is_large() && memory.chunks(&pair.old.file.key.hash).is_none();
        let unknown: Vec<OldEntry> = pairs.iter().filter(is_unknown).map(|pair| pair.old).collect();
        let asked = self.ask_chunks(&unknown)?;
        let mut old_versions = comparison.cached_versions(&pairs);
        let (mut to_sign, mut differing) = (Vec::new(), HashSet::new());
        if self.host.request.dry_run {
            differing = pairs.iter().filter(|pair| pair.is_signable()).map(|pair| pair.entry).collect();
        } else {
            let mut lost: Vec<Pair> = pairs.iter().filter(|pair| pair.is_signable()).copied().collect();
            lost.retain(|pair| !old_versions.contains_key(&pair.entry));
            self.add_blobs(comparison.base, &lost, &mut old_versions);
            lost.retain(|pair| !old_versions.contains_key(&pair.entry));
            to_sign = lost.iter().map(|pair| (pair.entry, pair.old)).collect();
        }
        add_recipes(self.source, &pairs, &asked, &mut old_versions, &self.host.context.cancel)?;
        let gaps = gaps::gaps(&old_versions);
        let outline = comparison.base.is_outlined.then(|| Outline { commit: comparison.base.commit.clone() });
        Ok(SentTree { promised: Vec::new(), old_versions, differing, to_sign, gaps, outline })
    }

    /// Adds the small files whose old content git has.
    fn add_blobs(&mut self, base: &Base, pairs: &[Pair], old_versions: &mut OldVersions) {
        let is_checkout = self.source.commit().is_some();
        let Some(commit) = base.commit.as_ref().filter(|_| is_checkout && !pairs.is_empty()) else { return };
        let manifest = self.source.manifest();
        let files: Vec<(Vec<u8>, u64)> =
            pairs.iter().map(|pair| (manifest.path(pair.entry), pair.old.file.size)).collect();
        let (blobs, found) = self.source.find_blobs(commit, &files);
        for (pair, blob) in pairs.iter().zip(found) {
            if let Some(blob) = blob {
                old_versions.insert(pair.entry, pair.old.small(OldSource::Git(blob)));
            }
        }
        self.blobs = blobs;
    }

    /// Asks for the chunks of files of the base. Files beyond [`CHUNKED_MAX`] have none: they are sent whole.
    fn ask_chunks(&self, old_versions: &[OldEntry]) -> Result<Vec<Option<Arc<Chunks>>>, DeployFailure> {
        if old_versions.is_empty() {
            return Ok(Vec::new());
        }
        let old_versions = &old_versions[..old_versions.len().min(CHUNKED_MAX)];
        self.conversation.send(&ToAgent::WantChunks(old_versions.iter().map(|old| old.index).collect()))?;
        let read =
            |(list, old): (Option<Vec<u8>>, &OldEntry)| chunk::from_bytes_of(&list?, old.file.size).ok().map(Arc::new);
        match self.conversation.wait()? {
            FromAgent::Chunks(lists) if lists.len() == old_versions.len() => {
                Ok(lists.into_iter().zip(old_versions).map(read).collect())
            }
            _ => Err(unexpected()),
        }
    }
}
