//! A packed block, with its files for the content cache.

use crate::client::cache::CachedFile;
use crate::client::delivery::Amount;
use crate::wire::block::Block;

/// The output of a packing thread.
pub(crate) struct PackedBlock {
    /// The block on the wire.
    pub(crate) block: Block,
    /// The amount of content in it.
    pub(crate) holds: Amount,
    /// The files that are worth keeping.
    pub(crate) kept: Vec<FilesToCache>,
}

impl AsRef<[u8]> for PackedBlock {
    fn as_ref(&self) -> &[u8] {
        &self.block.payload
    }
}

/// Files for the content cache.
pub(crate) struct FilesToCache {
    /// The files.
    pub(crate) files: Vec<CachedFile>,
    /// The block that holds them, if it is not the one that is sent.
    pub(crate) own: Option<Block>,
}
