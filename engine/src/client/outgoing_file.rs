//! A file to send, and its old version.

use std::collections::HashMap;

use crate::chunk::Piece;
use crate::client::cache::{Cache, CachePlace};
use crate::client::git::{Blob, Blobs};
use crate::manifest::{File, ObjectKey};
use crate::signature::Signatures;

/// A file to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutgoingFile {
    /// The entry in the new manifest.
    pub(crate) entry: u32,
    /// The bytes at its beginning that the server has.
    pub(crate) skip: u64,
    /// The old version that the server has.
    pub(crate) old: Option<OldVersion>,
}

/// The sources of the old content of small files.
#[derive(Clone, Copy)]
pub(crate) struct OldSources<'a> {
    /// The content cache.
    pub(crate) cache: Option<&'a Cache>,
    /// Git's blobs of the base.
    pub(crate) blobs: &'a Blobs,
    /// The agent's signatures of the base.
    pub(crate) signatures: &'a Signatures,
}

/// The old version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OldVersion {
    /// A large file, in pieces.
    Large(Recipe),
    /// A small file, for a delta.
    Small(OldFile),
}

/// A small file of the base whose content is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldFile {
    /// The entry in the base's manifest.
    pub(crate) index: u32,
    /// The file.
    pub(crate) file: File,
    /// The source of its content.
    pub(crate) at: OldSource,
}

/// The source of the old content of a small file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldSource {
    /// All of it, in the content cache.
    Cached(CachePlace),
    /// All of it, in git.
    Git(Blob),
    /// A signature, by its number.
    Signed(usize),
}

/// A large file in terms of an old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// The old file.
    pub(crate) old: ObjectKey,
    /// The size of the old file in bytes.
    pub(crate) old_size: u64,
    /// The pieces of the new file.
    pub(crate) pieces: Vec<Piece>,
}

impl Recipe {
    /// Returns the bytes of the new file that are not in the old one.
    pub(crate) fn sent_bytes(&self) -> u64 {
        let sent = |piece: &Piece| if let Piece::New { len } = piece { *len } else { 0 };
        self.pieces.iter().map(sent).sum()
    }
}

impl OutgoingFile {
    /// Returns the recipe of a large file, if it has one.
    pub(crate) fn recipe(&self) -> Option<&Recipe> {
        match &self.old {
            Some(OldVersion::Large(recipe)) => Some(recipe),
            _ => None,
        }
    }
}

/// Returns the entries that the agent lacks as files to send.
pub(crate) fn outgoing_files(
    entries: Vec<u32>,
    partial: &[(u32, u64)],
    old_versions: &HashMap<u32, OldVersion>,
) -> Vec<OutgoingFile> {
    let skip: HashMap<u32, u64> = partial.iter().copied().collect();
    let outgoing = |entry| OutgoingFile {
        entry,
        skip: skip.get(&entry).copied().unwrap_or(0),
        old: old_versions.get(&entry).cloned(),
    };
    entries.into_iter().map(outgoing).collect()
}
