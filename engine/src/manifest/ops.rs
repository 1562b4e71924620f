//! The ops of an encoded manifest, which [`super::encode`] describes: their numbers, and the stream of them.

use std::io::{self, Write};

// The kinds of ops.
pub(super) const END: u64 = 0;
pub(super) const COPY: u64 = 1;
pub(super) const DROP: u64 = 2;
pub(super) const FILE: u64 = 3;
pub(super) const SYMLINK: u64 = 4;
pub(super) const DIRECTORY: u64 = 5;
pub(super) const CHANGE: u64 = 6;
pub(super) const ENTER: u64 = 7;

// The sources of a file's hash.
pub(super) const HASHED: u64 = 0;
pub(super) const PROMISED: u64 = 1;
pub(super) const IN_BASE: u64 = 2;

/// The bytes of ops that wait to be compressed. A million files have twenty times as many. Up to this many are
/// compressed in one step, which makes fewer bytes of a few.
pub(super) const OPS_WAITING: usize = 1 << 20;

/// Ops, compressed as they come.
pub(super) struct Ops {
    /// The zstd level.
    level: i32,
    /// The ops that wait to be compressed. New ones are appended.
    pub(super) waiting: Vec<u8>,
    compressor: Option<zstd::stream::write::Encoder<'static, Vec<u8>>>,
    /// The bytes of ops that the compressor got.
    input_bytes: u64,
}

impl Ops {
    /// Starts with nothing. `level` is the zstd level.
    pub(super) fn new(level: i32) -> Ops {
        Ops { level, waiting: Vec::new(), compressor: None, input_bytes: 0 }
    }

    /// Compresses the waiting ops, if there are many.
    pub(super) fn flush_if_large(&mut self) -> io::Result<()> {
        if self.waiting.len() >= OPS_WAITING { self.flush().map(drop) } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<&mut zstd::stream::write::Encoder<'static, Vec<u8>>> {
        let compressor = match self.compressor.take() {
            Some(compressor) => compressor,
            None => zstd::stream::write::Encoder::new(Vec::new(), self.level)?,
        };
        let compressor = self.compressor.insert(compressor);
        compressor.write_all(&self.waiting)?;
        self.input_bytes += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(compressor)
    }

    /// Returns the length of the ops, and the compressed ops.
    pub(super) fn finish(mut self) -> io::Result<(u64, Vec<u8>)> {
        if self.compressor.is_none() {
            return Ok((self.waiting.len() as u64, zstd::bulk::compress(&self.waiting, self.level)?));
        }
        self.flush()?;
        let compressed = self.compressor.take().map_or_else(|| Ok(Vec::new()), zstd::stream::write::Encoder::finish)?;
        Ok((self.input_bytes, compressed))
    }
}
