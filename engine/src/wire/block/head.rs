//! The head of a block: the entries that its content belongs to.
//!
//! ```text
//! form        0 files · 1 part of a large file · 2 deltas
//! 0: count, entries as gaps, signed                                  in the order of their content
//! 1: entry, offset, old object (present, hash, mode), count, ranges  range: length·2 + 1 and an offset in the old object · length·2 sent
//! 2: count, for each: entry as a gap, signed; how much further from it the base's entry is than that of the last one was, signed
//! ```
//!
//! An entry is an index into the new manifest, which both sides have: a block repeats no name, size or hash.

use crate::bytes::{ByteReader, Malformed, put_number, put_signed};
use crate::hash::Hash;
use crate::manifest::ObjectKey;

/// The most files or ranges in one block. Each takes at most 20 bytes of the block's head, so a full block that does
/// not compress still fits a frame.
pub(crate) const BLOCK_ITEMS_MAX: usize = 1 << 16;

/// A range of a large file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// Bytes of the old object.
    Old {
        /// The offset in the old object.
        offset: u64,
        /// The length in bytes.
        len: u64,
    },
    /// Bytes of this block's content.
    Sent {
        /// The length in bytes.
        len: u64,
    },
}

/// The head of a block: the entries that its content belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BlockHead {
    /// Whole files, one after the other.
    Files(Vec<u32>),
    /// Files as deltas against files of the base.
    Deltas(Vec<FileDelta>),
    /// A part of a large file.
    Part {
        /// The entry of the file.
        entry: u32,
        /// The offset of the part in the file.
        offset: u64,
        /// The object that old ranges come from.
        old: Option<ObjectKey>,
        /// The ranges of the part, in order.
        ranges: Vec<Range>,
    },
}

/// A file and the base's file that its delta is against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileDelta {
    /// The entry in the new manifest.
    pub(crate) entry: u32,
    /// The entry in the base's manifest.
    pub(crate) base: u32,
}

/// Encodes a head.
pub(super) fn put_head(out: &mut Vec<u8>, head: &BlockHead) {
    match head {
        BlockHead::Files(entries) => {
            out.push(0);
            put_number(out, entries.len() as u64);
            let mut last = 0;
            for &entry in entries {
                // Within a directory entries ascend, and most gaps are one.
                put_signed(out, i64::from(entry) - last);
                last = i64::from(entry);
            }
        }
        BlockHead::Deltas(deltas) => {
            out.push(2);
            put_number(out, deltas.len() as u64);
            let (mut last, mut away) = (0, 0);
            for delta in deltas {
                let (entry, base) = (i64::from(delta.entry), i64::from(delta.base));
                put_signed(out, entry - last);
                // Both manifests have mostly the same entries, so the distance mostly equals that of the entry
                // before.
                put_signed(out, base - entry - away);
                (last, away) = (entry, base - entry);
            }
        }
        BlockHead::Part { entry, offset, old, ranges } => {
            out.push(1);
            put_number(out, u64::from(*entry));
            put_number(out, *offset);
            out.push(u8::from(old.is_some()));
            if let Some(key) = old {
                out.extend_from_slice(key.hash.as_bytes());
                put_number(out, u64::from(key.mode));
            }
            put_number(out, ranges.len() as u64);
            for range in ranges {
                match range {
                    Range::Old { offset, len } => {
                        put_number(out, len * 2 + 1);
                        put_number(out, *offset);
                    }
                    Range::Sent { len } => put_number(out, len * 2),
                }
            }
        }
    }
}

/// Returns the entry of the large file that a block is a part of, without decoding it, or nothing for other blocks.
pub(crate) fn part_of(payload: &[u8]) -> Option<u32> {
    match payload.split_first() {
        Some((1, rest)) => ByteReader::new(rest).index().ok(),
        _ => None,
    }
}

/// Decodes a head.
pub(super) fn read_head(reader: &mut ByteReader<'_>) -> Result<BlockHead, Malformed> {
    match reader.byte()? {
        0 => {
            let count = read_count(reader)?;
            let mut entries = Vec::with_capacity(count as usize);
            let mut last = 0_i64;
            for _ in 0..count {
                last = last.checked_add(reader.signed()?).ok_or(Malformed)?;
                entries.push(u32::try_from(last).map_err(|_| Malformed)?);
            }
            Ok(BlockHead::Files(entries))
        }
        1 => {
            let entry = reader.index()?;
            let offset = reader.number()?;
            let old = match reader.byte()? {
                0 => None,
                _ => Some(ObjectKey {
                    hash: Hash::from_bytes(reader.array()?),
                    mode: reader.number_within(0o777)? as u16,
                }),
            };
            let count = read_count(reader)?;
            let mut ranges = Vec::with_capacity(count as usize);
            for _ in 0..count {
                let tagged = reader.number()?;
                let len = tagged / 2;
                ranges.push(if tagged % 2 == 1 {
                    Range::Old { offset: reader.number()?, len }
                } else {
                    Range::Sent { len }
                });
            }
            Ok(BlockHead::Part { entry, offset, old, ranges })
        }
        2 => {
            let count = read_count(reader)?;
            let mut deltas = Vec::with_capacity(count as usize);
            let (mut entry, mut away) = (0_i64, 0_i64);
            let index = |number: i64| u32::try_from(number).map_err(|_| Malformed);
            for _ in 0..count {
                entry = entry.checked_add(reader.signed()?).ok_or(Malformed)?;
                away = away.checked_add(reader.signed()?).ok_or(Malformed)?;
                let base = entry.checked_add(away).ok_or(Malformed)?;
                deltas.push(FileDelta { entry: index(entry)?, base: index(base)? });
            }
            Ok(BlockHead::Deltas(deltas))
        }
        _ => Err(Malformed),
    }
}

/// Reads a number of items. Each item takes at least a byte, so a number beyond the remaining bytes is a lie.
fn read_count(reader: &mut ByteReader<'_>) -> Result<u64, Malformed> {
    reader.number_within(reader.rest().len().min(BLOCK_ITEMS_MAX) as u64)
}
