//! A packed block, with what of it the content cache keeps.

use crate::client::cache::KeptFile;
use crate::client::delivery::Content;
use crate::wire::block::Block;

/// What a packing thread has made.
pub(crate) struct PackedBlock {
    /// The block as it travels.
    pub(crate) block: Block,
    /// What it holds.
    pub(crate) holds: Content,
    /// What of it is worth keeping.
    pub(crate) kept: Vec<KeptFiles>,
}

impl AsRef<[u8]> for PackedBlock {
    fn as_ref(&self) -> &[u8] {
        &self.block.payload
    }
}

/// Files to be kept in the content cache.
pub(crate) struct KeptFiles {
    /// Which they are.
    pub(crate) files: Vec<KeptFile>,
    /// The block that holds them, where it is not the one that is sent.
    pub(crate) own: Option<Block>,
}
