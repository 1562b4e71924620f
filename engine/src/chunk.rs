//! Chunks: the pieces by which a large file is recognised in its next version.
//!
//! A file of [`LARGE_FILE_BYTES`] or more is cut by content (FastCDC, Xia et al. 2020, through the `fastcdc` crate), so
//! that an insertion moves only the cuts around it. Chunks are never stored: the server keeps whole files, and a chunk
//! that it has in an old file travels as a range of that file.

use std::io::{self, Read};

use crate::bytes::{ByteReader, Malformed, put_number};
use crate::hash::Hash;

/// Files of this size are cut into chunks. Below it, sending the whole file costs less than it takes to be clever: in
/// a Linux kernel tree 99 % of the files are smaller than an eighth of this.
pub(crate) const LARGE_FILE_BYTES: u64 = 1 << 20;

/// The usual sizes of a chunk store (casync's and desync's): 48 bytes of knowledge for 64 KiB of content.
const CHUNK_BYTES_MIN: usize = 16 << 10;
const CHUNK_BYTES_AVERAGE: usize = 64 << 10;
const CHUNK_BYTES_MAX: usize = 256 << 10;

/// The name of a chunk: the first half of its blake3 hash. Enough to recognise, as the whole file's hash is verified.
pub(crate) type ChunkId = [u8; 16];

/// One chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its name.
    pub(crate) id: ChunkId,
    /// Its length in bytes.
    pub(crate) len: u32,
}

/// The chunks of a file, in order.
pub(crate) type Chunks = Vec<Chunk>;

/// Reads `content` to its end, and returns its hash, its length and its chunks.
pub(crate) fn cut(content: impl Read) -> io::Result<(Hash, u64, Chunks)> {
    let mut whole = blake3::Hasher::new();
    let mut chunks = Chunks::new();
    let mut length = 0;
    for piece in fastcdc::v2020::StreamCDC::new(content, CHUNK_BYTES_MIN, CHUNK_BYTES_AVERAGE, CHUNK_BYTES_MAX) {
        let piece = piece.map_err(io::Error::from)?;
        whole.update(&piece.data);
        length += piece.data.len() as u64;
        chunks.push(Chunk { id: id_of(&piece.data), len: piece.data.len() as u32 });
    }
    Ok((whole.finalize().into(), length, chunks))
}

fn id_of(content: &[u8]) -> ChunkId {
    let mut id = ChunkId::default();
    id.copy_from_slice(&blake3::hash(content).as_bytes()[..16]);
    id
}

/// A range of the new file: taken from the old one, or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// `len` bytes of the old file from `offset`.
    Old { offset: u64, len: u64 },
    /// `len` bytes of the new file, which follow the last piece.
    New { len: u64 },
}

/// Describes the new file as ranges of the old one and of itself. Neighbouring ranges are one.
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

/// Returns chunks as bytes.
pub(crate) fn to_bytes(chunks: &[Chunk]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(chunks.len() * 19);
    for chunk in chunks {
        bytes.extend_from_slice(&chunk.id);
        put_number(&mut bytes, u64::from(chunk.len));
    }
    bytes
}

/// Reads what [`to_bytes`] made.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Chunks, Malformed> {
    let mut reader = ByteReader::new(bytes);
    let mut chunks = Chunks::new();
    while !reader.rest().is_empty() {
        chunks.push(Chunk { id: reader.array()?, len: reader.index()? });
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
        let (hash, length, new_chunks) = cut(&new[..]).unwrap();
        assert_eq!((hash, length), (Hash::of(&new), new.len() as u64));
        let old_chunks = cut(&old[..]).unwrap().2;

        let pieces = pieces(&old_chunks, &new_chunks);
        let sent: u64 = pieces.iter().map(|piece| if let Piece::New { len } = piece { *len } else { 0 }).sum();
        assert!(sent > 0 && sent <= 2 * CHUNK_BYTES_MAX as u64, "{sent}");
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
        let chunks = cut(&noise(1 << 20)[..]).unwrap().2;
        assert_eq!(from_bytes(&to_bytes(&chunks)), Ok(chunks));
        assert_eq!(from_bytes(&[1, 2, 3]), Err(Malformed));
    }
}
