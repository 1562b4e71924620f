//! Changed files beside the base's files at their paths, and what they are described in terms of.

use std::collections::HashMap;

use crate::chunk::LARGE_FILE_BYTES;
use crate::client::sending::{Old, OldAt, OldFile};
use crate::manifest::File;

/// Of smaller files the agent is not asked for signatures: compressed with others they take little more than those.
const SIGNED_BYTES_MIN: u64 = 512;

/// By entry of the new manifest: what it is described in terms of.
pub(super) type Olds = HashMap<u32, Old>;

/// A changed file, and the base's at its path.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    /// The entry of the new manifest.
    pub(super) entry: u32,
    pub(super) file: File,
    pub(super) old: OldEntry,
}

/// A file of the base.
#[derive(Clone, Copy)]
pub(super) struct OldEntry {
    /// The entry of the base's manifest.
    pub(super) index: u32,
    pub(super) file: File,
}

impl Pair {
    /// Tells whether both are cut into chunks.
    pub(super) fn is_large(&self) -> bool {
        self.file.size.min(self.old.file.size) >= LARGE_FILE_BYTES
    }

    /// Tells whether both go into a container of deltas.
    pub(super) fn is_small(&self) -> bool {
        self.file.size.max(self.old.file.size) < LARGE_FILE_BYTES
    }

    /// Tells whether to know of the old content saves more than it costs.
    pub(super) fn is_signable(&self) -> bool {
        self.is_small() && self.file.size.min(self.old.file.size) >= SIGNED_BYTES_MIN
    }
}

impl OldEntry {
    /// Describes a small file in terms of it.
    pub(super) fn small(self, at: OldAt) -> Old {
        Old::Small(OldFile { index: self.index, file: self.file, at })
    }
}
