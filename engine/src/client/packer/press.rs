//! The tools of a packing thread: its encoder and its buffers, used again for each block.

use std::io;

use crate::client::probe::Probe;
use crate::error::Error;
use crate::wire::block::{BLOCK_BYTES_MAX, BlockEncoder};

/// The zstd level of what is kept and was not sent so: it is read once or twice and takes little room. Three times as fast
/// as level 1.
pub(super) const KEPT_LEVEL: i32 = -3;

/// What a packing thread packs with.
pub(super) struct Press {
    pub(super) encoder: BlockEncoder,
    pub(super) probe: Probe,
    pub(super) content: Vec<u8>,
    /// Content that does not compress.
    pub(super) dense: Vec<u8>,
}

impl Press {
    /// Begins.
    pub(super) fn new() -> io::Result<Press> {
        let encoder = BlockEncoder::new(KEPT_LEVEL)?;
        // Growing, it would be moved about, and be twice as large.
        let content = Vec::with_capacity(BLOCK_BYTES_MAX);
        Ok(Press { encoder, probe: Probe::new()?, content, dense: Vec::new() })
    }
}

/// A failure of zstd, which has no reason to fail.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
pub(super) fn no_zstd(error: io::Error) -> Error {
    Error::Bug(format!("zstd failed: {error}"))
}

/// A part that takes more than a block, which it is too short for.
pub(super) fn too_long() -> Error {
    Error::Bug("a block that is too long".into())
}
