//! Hashes content piece after piece.

use crate::hash::Hash;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts with no content.
    pub(crate) fn new() -> Hasher {
        Hasher::default()
    }

    /// Adds the next piece.
    pub(crate) fn update(&mut self, content: &[u8]) {
        self.0.update(content);
    }

    /// Returns the hash of all pieces.
    pub(crate) fn finish(&self) -> Hash {
        self.0.finalize().into()
    }
}
