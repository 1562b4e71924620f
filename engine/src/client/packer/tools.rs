//! The tools of a packing thread: its encoder and its buffers, used again for each block.

use std::io;

use crate::client::probe::Probe;
use crate::error::Error;
use crate::wire::block::{BLOCK_BYTES_MAX, BlockEncoder};

/// The zstd level of blocks that only the content cache gets: they are read once or twice and take little space. It is
/// three times as fast as level 1.
pub(super) const CACHE_LEVEL: i32 = -3;

/// The tools of a packing thread.
pub(super) struct PackTools {
    pub(super) encoder: BlockEncoder,
    pub(super) probe: Probe,
    pub(super) content: Vec<u8>,
    /// Content that does not compress.
    pub(super) dense: Vec<u8>,
}

impl PackTools {
    /// Begins.
    pub(super) fn new() -> io::Result<PackTools> {
        let encoder = BlockEncoder::new(CACHE_LEVEL)?;
        // If it grew, it would be moved, and be twice as large meanwhile.
        let content = Vec::with_capacity(BLOCK_BYTES_MAX);
        Ok(PackTools { encoder, probe: Probe::new()?, content, dense: Vec::new() })
    }
}

/// Returns the error of a failure of zstd, which has no reason to fail.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
pub(super) fn no_zstd(error: io::Error) -> Error {
    Error::Bug(format!("zstd failed: {error}"))
}

/// Returns the error of a part that does not fit a block, though it is short enough.
pub(super) fn too_long() -> Error {
    Error::Bug("a block that is too long".into())
}
