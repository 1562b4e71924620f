//! Blocks: file content on the wire.
//!
//! A block holds one of three things:
//!
//! - Many small files in one zstd frame, so that they share what they have in common. At low levels the block has
//!   several short frames, each of which ends with a file: the content cache then unpacks only one frame for a file.
//! - A part of a large file. Parts follow each other. Ranges that the server has in an old file are named and not
//!   sent.
//! - A container of deltas: small files of which the base has an earlier version (`delta.rs`).
//!
//! ```text
//! head, length, packing (0 as it is · 1 zstd, one frame after the other), then the content to the frame's end
//! ```

mod head;

use std::io;

use zstd::zstd_safe::{CParameter, find_frame_compressed_size, get_frame_content_size};

use crate::bytes::{ByteReader, Malformed, put_number};

pub(crate) use head::{BLOCK_ITEMS_MAX, BlockHead, FileDelta, Range, part_of};
use head::{put_head, read_head};

/// The most content in one block, in bytes. It bounds the memory of a decoder. A larger block compresses kernel
/// sources by less than one percent better.
pub(crate) const BLOCK_BYTES_MAX: usize = 1 << BLOCK_BYTES_LOG;

/// A block is one zstd window, so zstd finds matches between any two of its files.
const BLOCK_BYTES_LOG: u32 = 24;

/// The most packed content in one block, in bytes. It bounds the queues; content that packs to more goes in several
/// blocks.
pub(crate) const PACKED_BYTES_MAX: usize = 8 << 20;

/// The most old content of one container of deltas, and the most new content, in bytes each. It bounds the decoder's
/// memory beside the block.
pub(crate) const DELTAS_BYTES_MAX: u64 = 8 << 20;

/// Up to this level a block of files is packed in short frames. Such a level is for connections that are faster than
/// the processor, and the next deploy's deltas need only a few files of each block.
const SHORT_FRAMES_LEVEL: i32 = 3;

/// A short frame ends with the file that brings it to this size (docs/decisions/0013-zstd-level.md).
const SHORT_FRAME_BYTES: usize = 256 << 10;

/// The level at which this module makes zstd's tables smaller than the default.
const SMALL_TABLES_LEVEL: i32 = 3;

/// Entries in zstd's tables at that level. They fit the cache of a core: a quarter faster on kernel sources than
/// twice as many (244 MB/s and 197 MB/s), for one percent more bytes.
const SMALL_TABLE_LOG: u32 = 16;

/// From this level on, zstd's default tables take up to 100 MiB for each packer thread.
const LARGE_TABLES_LEVEL: i32 = 10;

/// Entries in zstd's tables from that level on: 16 MiB together.
const LARGE_TABLE_LOG: u32 = 21;

/// The payload of a block frame.
pub(crate) struct Block {
    /// The whole payload.
    pub(crate) payload: Vec<u8>,
    head_len: usize,
    packing: u8,
    unpacked_len: usize,
}

/// Packed content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    /// 0 as it is · 1 zstd.
    pub(crate) packing: u8,
    /// The length of the unpacked content, in bytes.
    pub(crate) unpacked_len: usize,
    /// The packed bytes.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Body<'a> {
    fn raw(content: &'a [u8]) -> Body<'a> {
        Body { packing: 0, unpacked_len: content.len(), bytes: content }
    }

    /// Splits the content into its zstd frames, each of which can be unpacked alone.
    pub(crate) fn frames(self) -> Result<Vec<Body<'a>>, Malformed> {
        if self.packing == 0 {
            return Ok(vec![self]);
        }
        let (mut frames, mut packed) = (Vec::new(), self.bytes);
        while !packed.is_empty() {
            let packed_len = find_frame_compressed_size(packed).map_err(|_| Malformed)?;
            let len = get_frame_content_size(packed).map_err(|_| Malformed)?.ok_or(Malformed)?;
            let (frame, rest) = packed.split_at_checked(packed_len).ok_or(Malformed)?;
            let unpacked_len = usize::try_from(len).map_err(|_| Malformed)?;
            frames.push(Body { packing: self.packing, unpacked_len, bytes: frame });
            packed = rest;
        }
        Ok(frames)
    }
}

impl Block {
    /// Returns the packed content.
    pub(crate) fn body(&self) -> Body<'_> {
        Body { packing: self.packing, unpacked_len: self.unpacked_len, bytes: &self.payload[self.head_len..] }
    }
}

/// Compresses content, or leaves it as it is if that is smaller.
pub(crate) struct BlockEncoder {
    compressor: zstd::bulk::Compressor<'static>,
    level: i32,
    /// The frame that was packed last.
    frame: Vec<u8>,
    compressed: Vec<u8>,
}

impl BlockEncoder {
    /// Makes an encoder for a zstd level.
    pub(crate) fn new(level: i32) -> io::Result<BlockEncoder> {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        compressor.set_parameter(CParameter::WindowLog(BLOCK_BYTES_LOG))?;
        set_tables(&mut compressor, level)?;
        Ok(BlockEncoder { compressor, level, frame: Vec::new(), compressed: Vec::new() })
    }

    /// Sets the zstd level from the next block on.
    pub(crate) fn set_level(&mut self, level: i32) -> io::Result<()> {
        if level != self.level {
            self.compressor.set_parameter(CParameter::CompressionLevel(level))?;
            set_tables(&mut self.compressor, level)?;
            self.level = level;
        }
        Ok(())
    }

    /// Makes a block. `files` are the lengths of the content's files, or empty if the content is no whole files.
    /// Returns nothing if the packed content is longer than a block may be; content that is short enough unpacked
    /// always fits.
    pub(crate) fn encode(&mut self, head: &BlockHead, content: &[u8], files: &[u32]) -> io::Result<Option<Block>> {
        Ok(self.pack(content, files)?.map(|body| make_block(head, body)))
    }

    /// Packs content. Returns nothing if the packed content is longer than a block may be.
    fn pack<'c>(&'c mut self, content: &'c [u8], files: &[u32]) -> io::Result<Option<Body<'c>>> {
        self.compressed.clear();
        let files = if self.level <= SHORT_FRAMES_LEVEL { files } else { &[] };
        for part in short_frames(content, files) {
            self.frame.clear();
            self.frame.reserve(zstd::zstd_safe::compress_bound(part.len()).min(PACKED_BYTES_MAX));
            match self.compressor.compress_to_buffer(part, &mut self.frame) {
                Ok(_) => self.compressed.extend_from_slice(&self.frame),
                // Compression fails only if the buffer is too small, and the buffer is smaller than the bound of
                // zstd.
                Err(_) if content.len() > PACKED_BYTES_MAX / 2 => self.compressed.resize(PACKED_BYTES_MAX, 0),
                Err(error) => return Err(error),
            }
            if self.compressed.len() >= PACKED_BYTES_MAX {
                break;
            }
        }
        if !content.is_empty() && self.compressed.len() < content.len().min(PACKED_BYTES_MAX) {
            return Ok(Some(Body { packing: 1, unpacked_len: content.len(), bytes: &self.compressed }));
        }
        Ok(Some(Body::raw(content)).filter(|_| content.len() <= PACKED_BYTES_MAX))
    }
}

/// Splits content into pieces, one a frame, each of which ends with a file.
fn short_frames<'c>(mut content: &'c [u8], files: &[u32]) -> Vec<&'c [u8]> {
    let (mut frames, mut len) = (Vec::new(), 0);
    for &file in files {
        len += file as usize;
        if len >= SHORT_FRAME_BYTES && len < content.len() {
            let (frame, rest) = content.split_at(len);
            frames.push(frame);
            (content, len) = (rest, 0);
        }
    }
    frames.push(content);
    frames
}

fn set_tables(compressor: &mut zstd::bulk::Compressor<'static>, level: i32) -> io::Result<()> {
    let (hash, chain) = match level {
        SMALL_TABLES_LEVEL => (SMALL_TABLE_LOG, SMALL_TABLE_LOG - 1),
        LARGE_TABLES_LEVEL.. => (LARGE_TABLE_LOG, LARGE_TABLE_LOG),
        // The default of zstd.
        _ => (0, 0),
    };
    compressor.set_parameter(CParameter::HashLog(hash))?;
    compressor.set_parameter(CParameter::ChainLog(chain))
}

/// Makes a block of uncompressed content, which must not be longer than [`PACKED_BYTES_MAX`].
pub(crate) fn raw_block(head: &BlockHead, content: &[u8]) -> Block {
    make_block(head, Body::raw(content))
}

fn make_block(head: &BlockHead, body: Body<'_>) -> Block {
    let mut payload = Vec::with_capacity(body.bytes.len() + 64);
    put_head(&mut payload, head);
    put_number(&mut payload, body.unpacked_len as u64);
    payload.push(body.packing);
    let head_len = payload.len();
    payload.extend_from_slice(body.bytes);
    Block { payload, head_len, packing: body.packing, unpacked_len: body.unpacked_len }
}

/// Decompresses content into memory that it reuses from block to block.
pub(crate) struct BlockDecoder {
    decompressor: zstd::bulk::Decompressor<'static>,
    content: Vec<u8>,
}

impl BlockDecoder {
    /// Makes a decoder.
    pub(crate) fn new() -> io::Result<BlockDecoder> {
        Ok(BlockDecoder { decompressor: zstd::bulk::Decompressor::new()?, content: Vec::new() })
    }

    /// Decodes the payload of a block frame into its head and its unpacked content.
    pub(crate) fn decode<'d>(&'d mut self, payload: &'d [u8]) -> Result<(BlockHead, &'d [u8]), Malformed> {
        let mut reader = ByteReader::new(payload);
        let head = read_head(&mut reader)?;
        let length = reader.number_within(BLOCK_BYTES_MAX as u64)? as usize;
        let packing = reader.byte()?;
        let body = reader.rest();
        let content = match packing {
            0 => body,
            1 => {
                self.content.clear();
                self.content.reserve_exact(length);
                self.decompressor.decompress_to_buffer(body, &mut self.content).map_err(|_| Malformed)?;
                &self.content
            }
            _ => return Err(Malformed),
        };
        if content.len() == length { Ok((head, content)) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::hash::Hash;
    use crate::manifest::ObjectKey;
    use crate::wire::frame::FRAME_MAX;

    use super::*;

    #[test]
    fn blocks_read_back() {
        let key = ObjectKey { hash: Hash::of(b"old"), mode: 0o444 };
        let ranges = vec![Range::Old { offset: 7, len: 9 }, Range::Sent { len: 4 }];
        let heads = [
            BlockHead::Files(vec![3, 4, 90]),
            BlockHead::Files(Vec::new()),
            BlockHead::Deltas(vec![
                FileDelta { entry: 3, base: 5 },
                FileDelta { entry: 4, base: 0 },
                FileDelta { entry: u32::MAX, base: u32::MAX },
            ]),
            BlockHead::Part { entry: 5, offset: 1 << 40, old: Some(key), ranges: ranges.clone() },
            BlockHead::Part { entry: 5, offset: 0, old: None, ranges },
        ];
        let mut encoder = BlockEncoder::new(3).unwrap();
        let mut decoder = BlockDecoder::new().unwrap();
        for head in heads {
            for content in [&b"text text text text text text text text"[..], b"x", b""] {
                let block = encoder.encode(&head, content, &[]).unwrap().unwrap();
                assert_eq!(decoder.decode(&block.payload), Ok((head.clone(), content)));
            }
        }
    }

    #[test]
    fn the_fullest_block_fits_a_frame() {
        let content = noise(PACKED_BYTES_MAX);
        let old = Some(ObjectKey { hash: Hash::of(b"old"), mode: 0o777 });
        let far = u64::MAX / 2;
        let ranges = vec![Range::Old { offset: far, len: far }; BLOCK_ITEMS_MAX];
        // Entries in no order: the widest gaps.
        let entries = (0..BLOCK_ITEMS_MAX as u32).map(|at| if at % 2 == 0 { u32::MAX } else { 0 }).collect();
        let heads = [BlockHead::Part { entry: u32::MAX, offset: far, old, ranges }, BlockHead::Files(entries)];
        let mut decoder = BlockDecoder::new().unwrap();
        for head in heads {
            let payload = BlockEncoder::new(3).unwrap().encode(&head, &content, &[]).unwrap().unwrap().payload;
            assert!(payload.len() < FRAME_MAX, "{}", payload.len());
            assert!(decoder.decode(&payload) == Ok((head, content.as_slice())));
        }
        let ranges = vec![Range::Sent { len: 0 }; BLOCK_ITEMS_MAX + 1];
        let more = BlockHead::Part { entry: 0, offset: 0, old, ranges };
        let payload = BlockEncoder::new(3).unwrap().encode(&more, b"", &[]).unwrap().unwrap().payload;
        assert_eq!(decoder.decode(&payload), Err(Malformed));
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut noise = vec![0; length];
        blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn what_would_be_too_long_makes_no_block() {
        let head = BlockHead::Files(Vec::new());
        for level in [1, 3, 7, 10] {
            let mut encoder = BlockEncoder::new(level).unwrap();
            assert!(encoder.encode(&head, &noise(PACKED_BYTES_MAX + 1), &[]).unwrap().is_none(), "{level}");
            let mut half = noise(PACKED_BYTES_MAX);
            half.resize(BLOCK_BYTES_MAX, 0);
            assert!(encoder.encode(&head, &half, &[]).unwrap().is_none(), "{level}");
            half[PACKED_BYTES_MAX - 4096..].fill(0);
            let block = encoder.encode(&head, &half, &[]).unwrap().unwrap();
            assert!(block.payload.len() < PACKED_BYTES_MAX, "{level}");
            assert!(BlockDecoder::new().unwrap().decode(&block.payload) == Ok((head.clone(), half.as_slice())));
        }
    }

    #[test]
    fn an_encoder_packs_at_the_level_that_it_was_given_last() {
        let text: Vec<u8> =
            (0..200_000_u32).flat_map(|n| (n.wrapping_mul(n) % 8191).to_string().into_bytes()).collect();
        let head = BlockHead::Files(Vec::new());
        let packed = |encoder: &mut BlockEncoder| encoder.encode(&head, &text, &[]).unwrap().unwrap().payload;
        let mut encoder = BlockEncoder::new(1).unwrap();
        for level in [9, 3, 19, 1, 12] {
            encoder.set_level(level).unwrap();
            assert!(packed(&mut encoder) == packed(&mut BlockEncoder::new(level).unwrap()), "{level}");
        }
    }

    /// Returns the frames of content of such files, as they are packed and unpacked.
    fn frames_of(level: i32, content: &[u8], files: &[u32]) -> Vec<Vec<u8>> {
        let mut encoder = BlockEncoder::new(level).unwrap();
        let block = encoder.encode(&BlockHead::Files(Vec::new()), content, files).unwrap().unwrap();
        assert!(BlockDecoder::new().unwrap().decode(&block.payload).unwrap().1 == content);
        let unpacked = |frame: &Body<'_>| zstd::bulk::decompress(frame.bytes, frame.unpacked_len).unwrap();
        block.body().frames().unwrap().iter().map(unpacked).collect()
    }

    #[test]
    fn a_block_of_files_at_a_low_level_is_packed_in_frames_that_end_with_files() {
        let files = [200_000, 200_000, 0, 1, 700_000, 100, 262_143, 1, 262_144, 9];
        let total: u32 = files.iter().sum();
        let content: Vec<u8> = (0..total).flat_map(|at| (at / 7).to_le_bytes()).take(total as usize).collect();
        for level in [-3, 1, 3] {
            let frames = frames_of(level, &content, &files);
            assert!(frames.concat() == content);
            let lens: Vec<usize> = frames.iter().map(Vec::len).collect();
            assert_eq!(lens, [400_000, 700_001, 262_243, 262_145, 9], "{level}");
        }
        assert_eq!(frames_of(SHORT_FRAMES_LEVEL + 1, &content, &files).len(), 1);
        // Of what is no files, one.
        assert_eq!(frames_of(1, &content, &[]).len(), 1);
        assert_eq!(frames_of(1, &content[..SHORT_FRAME_BYTES], &[SHORT_FRAME_BYTES as u32]).len(), 1);
    }

    #[test]
    fn what_holds_no_frames_is_malformed() {
        let content = vec![7; 1000];
        let mut encoder = BlockEncoder::new(3).unwrap();
        let body = encoder.pack(&content, &[]).unwrap().unwrap();
        assert_eq!(body.frames().map(|frames| frames.len()), Ok(1));
        assert_eq!(Body::raw(&content).frames().map(|frames| frames.len()), Ok(1));
        let cut_off = Body { bytes: &body.bytes[..body.bytes.len() - 1], ..body };
        let longer = [body.bytes, &[1]].concat();
        for body in [cut_off, Body { bytes: &longer, ..body }, Body { bytes: &content, ..body }] {
            assert_eq!(body.frames().map(|frames| frames.len()), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic_or_exceed_a_block(payload in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok((_, content)) = BlockDecoder::new().unwrap().decode(&payload) {
                prop_assert!(content.len() <= BLOCK_BYTES_MAX);
            }
        }
    }
}
