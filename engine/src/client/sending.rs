//! What is to be sent of a file, and what it is described in terms of.

use std::collections::HashMap;

use crate::chunk::Piece;
use crate::client::cache::{Cache, Spot};
use crate::client::git::{Blob, Blobs};
use crate::manifest::{File, ObjectKey};
use crate::signature::Signatures;

/// One file to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sending {
    /// The entry of the new manifest.
    pub(crate) entry: u32,
    /// Bytes at its beginning that the server has.
    pub(crate) skip: u64,
    /// The old version that the server has.
    pub(crate) old: Option<Old>,
}

/// Where the old content of small files is read from.
#[derive(Clone, Copy)]
pub(crate) struct OldContent<'a> {
    /// What was sent before.
    pub(crate) cache: Option<&'a Cache>,
    /// What git has of the base.
    pub(crate) blobs: &'a Blobs,
    /// What the agent told of the base.
    pub(crate) signatures: &'a Signatures,
}

/// What a file is described in terms of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Old {
    /// A large file, in pieces.
    Large(Recipe),
    /// A small one, by a delta.
    Small(OldFile),
}

/// A small file of the base whose content is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldFile {
    /// The entry of the base's manifest.
    pub(crate) index: u32,
    /// What it is.
    pub(crate) file: File,
    /// Where its content is to be had.
    pub(crate) at: OldAt,
}

/// What is at hand of the old content of a small file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldAt {
    /// All of it, in the content cache.
    Cached(Spot),
    /// All of it, in git.
    Git(Blob),
    /// A signature, by its place among all of them.
    Signed(usize),
}

/// A large file in terms of an old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// The old file.
    pub(crate) old: ObjectKey,
    /// Its size in bytes.
    pub(crate) old_size: u64,
    /// What the new one consists of.
    pub(crate) pieces: Vec<Piece>,
}

impl Recipe {
    /// Returns how many bytes of the new file are not in the old one.
    pub(crate) fn sent_bytes(&self) -> u64 {
        let sent = |piece: &Piece| if let Piece::New { len } = piece { *len } else { 0 };
        self.pieces.iter().map(sent).sum()
    }
}

impl Sending {
    /// Returns how a large file is put together of an old one, if it is.
    pub(crate) fn recipe(&self) -> Option<&Recipe> {
        match &self.old {
            Some(Old::Large(recipe)) => Some(recipe),
            _ => None,
        }
    }
}

/// Turns entries that the agent lacks into what is to be sent.
pub(crate) fn sendings(entries: Vec<u32>, partial: &[(u32, u64)], olds: &HashMap<u32, Old>) -> Vec<Sending> {
    let skip: HashMap<u32, u64> = partial.iter().copied().collect();
    let sending =
        |entry| Sending { entry, skip: skip.get(&entry).copied().unwrap_or(0), old: olds.get(&entry).cloned() };
    entries.into_iter().map(sending).collect()
}
