//! Chunks: the pieces by which a large file is recognised in its next version.
//!
//! The client cuts a file of [`LARGE_FILE_BYTES`] or more by content (FastCDC, Xia et al. 2020, through the `fastcdc`
//! crate), so that an insertion moves only the cuts around it. Chunks are never stored: the server keeps whole files,
//! and a chunk that an old file there has travels as a range of that file.

use std::io::{self, Read};

use crate::bytes::{ByteReader, Malformed, put_number};
use crate::hash::Hash;
use crate::hasher::Hasher;

/// The least size of a file that is cut into chunks. Below it, sending the whole file costs less than looking for
/// shared chunks: in a Linux kernel tree 99 % of the files are smaller than an eighth of this.
pub(crate) const LARGE_FILE_BYTES: u64 = 1 << 20;

/// The average length of the chunks whose lists a side stores, as a power of two. It is the usual one of a chunk store
/// (casync's and desync's). A chunk is a quarter to four times as long.
pub(crate) const KEPT_AVERAGE_LOG: u8 = 16;

/// The longest average. Changes within a chunk are then found by signatures of the gaps.
const AVERAGE_LOG_MAX: u8 = 22;

/// The name of a chunk: the first bytes of its blake3 hash. Among a million chunks of each of two files, one pair of
/// files in three hundred has a wrong match. It costs that the file is sent whole, since its own hash is verified.
pub(crate) type ChunkId = [u8; 6];

/// A chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The name.
    pub(crate) id: ChunkId,
    /// The length in bytes.
    pub(crate) len: u32,
}

/// The chunks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunks {
    /// The average length, as a power of two. Only lists of the same average can be compared.
    pub(crate) average_log: u8,
    /// The chunks, in order.
    pub(crate) list: Vec<Chunk>,
}

/// Returns the average length of chunks, as a power of two, that describes a file of this length in the fewest bytes to
/// a side that knows nothing of the file. The bytes are the list and the question about the gap in one chunk.
pub(crate) fn transfer_average_log(len: u64) -> u8 {
    // Both are equal if chunks grow with the power of two thirds of the file's length.
    let log = (2 * len.max(2).ilog2() - 2) / 3;
    (log as u8).clamp(KEPT_AVERAGE_LOG, AVERAGE_LOG_MAX)
}

/// Reads `content` to its end and returns its hash and its chunks.
pub(crate) fn cut(content: impl Read, average_log: u8) -> io::Result<(Hash, Chunks)> {
    let average = 1_usize << average_log.min(AVERAGE_LOG_MAX);
    let mut whole = Hasher::new();
    let mut list = Vec::new();
    for piece in fastcdc::v2020::StreamCDC::new(content, average / 4, average, average * 4) {
        let piece = piece.map_err(io::Error::from)?;
        whole.update(&piece.data);
        list.push(Chunk { id: id_of(&piece.data), len: piece.data.len() as u32 });
    }
    Ok((whole.finish(), Chunks { average_log, list }))
}

fn id_of(content: &[u8]) -> ChunkId {
    let mut id = ChunkId::default();
    let len = id.len();
    id.copy_from_slice(&Hash::of(content).as_bytes()[..len]);
    id
}

/// A range of the new file, which is copied from the old file or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// `len` bytes of the old file from `offset`.
    Old { offset: u64, len: u64 },
    /// `len` bytes of the new file, which follow the last piece.
    New { len: u64 },
}

impl Piece {
    /// Returns the length in bytes.
    pub(crate) fn len(self) -> u64 {
        let (Piece::Old { len, .. } | Piece::New { len }) = self;
        len
    }
}

/// Describes the new file as ranges of the old file and of itself. Neighbouring ranges are joined.
pub(crate) fn pieces(old: &[Chunk], new: &[Chunk]) -> Vec<Piece> {
    let mut places = std::collections::HashMap::with_capacity(old.len());
    let mut offset = 0;
    for chunk in old {
        places.entry((chunk.id, chunk.len)).or_insert(offset);
        offset += u64::from(chunk.len);
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for chunk in new {
        let added = u64::from(chunk.len);
        let place = places.get(&(chunk.id, chunk.len)).copied();
        match (pieces.last_mut(), place) {
            (Some(Piece::Old { offset, len }), Some(place)) if *offset + *len == place => *len += added,
            (Some(Piece::New { len }), None) => *len += added,
            (_, Some(offset)) => pieces.push(Piece::Old { offset, len: added }),
            (_, None) => pieces.push(Piece::New { len: added }),
        }
    }
    pieces
}

/// Encodes chunks as bytes.
pub(crate) fn to_bytes(chunks: &Chunks) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + chunks.list.len() * 10);
    bytes.push(chunks.average_log);
    for chunk in &chunks.list {
        bytes.extend_from_slice(&chunk.id);
        put_number(&mut bytes, u64::from(chunk.len));
    }
    bytes
}

/// Decodes the output of [`to_bytes`] for a file of this length.
pub(crate) fn from_bytes_of(bytes: &[u8], len: u64) -> Result<Chunks, Malformed> {
    let chunks = from_bytes(bytes)?;
    let sum: u64 = chunks.list.iter().map(|chunk| u64::from(chunk.len)).sum();
    if sum == len { Ok(chunks) } else { Err(Malformed) }
}

/// Decodes the output of [`to_bytes`].
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Chunks, Malformed> {
    let mut reader = ByteReader::new(bytes);
    let mut chunks = Chunks { average_log: reader.byte()?, list: Vec::new() };
    if !(KEPT_AVERAGE_LOG..=AVERAGE_LOG_MAX).contains(&chunks.average_log) {
        return Err(Malformed);
    }
    while !reader.rest().is_empty() {
        chunks.list.push(Chunk { id: reader.array()?, len: reader.index()? });
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn an_insertion_moves_only_the_chunks_around_it() {
        let old = noise(4 << 20);
        let mut new = old.clone();
        new.splice(1_000_000..1_000_000, *b"inserted");
        let (hash, new_chunks) = cut(&new[..], KEPT_AVERAGE_LOG).unwrap();
        assert_eq!(hash, Hash::of(&new));
        let old_chunks = cut(&old[..], KEPT_AVERAGE_LOG).unwrap().1;

        let pieces = pieces(&old_chunks.list, &new_chunks.list);
        let sent: u64 = pieces.iter().map(|piece| if let Piece::New { len } = piece { *len } else { 0 }).sum();
        assert!(sent > 0 && sent <= 8 << KEPT_AVERAGE_LOG, "{sent}");
        let mut rebuilt = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Old { offset, len } => rebuilt.extend_from_slice(&old[offset as usize..(offset + len) as usize]),
                Piece::New { len } => rebuilt.extend_from_slice(&new[rebuilt.len()..rebuilt.len() + len as usize]),
            }
        }
        assert_eq!(Hash::of(&rebuilt), hash);
    }

    #[test]
    fn chunks_read_back() {
        let chunks = cut(&noise(1 << 20)[..], KEPT_AVERAGE_LOG).unwrap().1;
        let bytes = to_bytes(&chunks);
        assert_eq!(from_bytes(&bytes), Ok(chunks));
        assert!(from_bytes_of(&bytes, 1 << 20).is_ok());
        assert_eq!(from_bytes_of(&bytes, (1 << 20) + 1), Err(Malformed));
        assert_eq!(from_bytes(&[]), Err(Malformed));
        assert_eq!(from_bytes(&[1, 2, 3]), Err(Malformed));
    }

    #[test]
    fn chunks_that_are_told_grow_with_the_file() {
        for (len, log) in [(1 << 20, 16), (16 << 20, 16), (256 << 20, 18), (10 << 30, 21), (1 << 50, 22)] {
            assert_eq!(transfer_average_log(len), log, "{len}");
        }
    }
}
