//! The old versions of changed files: the base's files at the same paths, in terms of which the new ones are described.

use std::collections::HashMap;

use crate::chunk::LARGE_FILE_BYTES;
use crate::client::outgoing_file::{OldFile, OldSource, OldVersion};
use crate::manifest::File;

/// The least bytes of a file for which the agent is asked for a signature. A smaller file, compressed with others,
/// takes little more than its signature.
const SIGNED_BYTES_MIN: u64 = 512;

/// By entry of the new manifest: its old version.
pub(super) type OldVersions = HashMap<u32, OldVersion>;

/// A changed file, and the base's file at the same path.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    /// The entry in the new manifest.
    pub(super) entry: u32,
    pub(super) file: File,
    pub(super) old: OldEntry,
}

/// A file of the base.
#[derive(Clone, Copy)]
pub(super) struct OldEntry {
    /// The entry in the base's manifest.
    pub(super) index: u32,
    pub(super) file: File,
}

impl Pair {
    /// Tells whether both are cut into chunks.
    pub(super) fn is_large(&self) -> bool {
        self.file.size.min(self.old.file.size) >= LARGE_FILE_BYTES
    }

    /// Tells whether both fit a container of deltas.
    pub(super) fn is_small(&self) -> bool {
        self.file.size.max(self.old.file.size) < LARGE_FILE_BYTES
    }

    /// Tells whether a signature of the old content saves more than it costs.
    pub(super) fn is_signable(&self) -> bool {
        self.is_small() && self.file.size.min(self.old.file.size) >= SIGNED_BYTES_MIN
    }
}

impl OldEntry {
    /// Makes an old version of a small file.
    pub(super) fn small(self, at: OldSource) -> OldVersion {
        OldVersion::Small(OldFile { index: self.index, file: self.file, at })
    }
}
