//! The index of a pack: the place of each file's content, whole or as a patch of whole content.
//!
//! ```text
//! index    magic · count, for each block: its begin, its length, its length unpacked, packing (0 raw · 1 zstd)
//!          · count, for each whole file: the first 8 bytes of its hash, block, its begin in the block, its length
//!          · count, for each patch: the same of the patch, the length of the content that it makes, hash and length of the
//!          whole content that it is a patch of
//!          · blake3 of everything before; numbers of fixed width, little endian
//! ```

use crate::bytes::{ByteReader, Malformed};
use crate::hash::{Hash, MARK_BYTES};

const MAGIC: [u8; 8] = *b"cutcont2";

/// The most files of one mark that are compared.
const ALIKE_MAX: usize = 16;

type Key = [u8; 8];

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) blocks: Vec<BlockPlace>,
    /// Sorted by key.
    pub(super) wholes: Vec<FilePlace>,
    /// Sorted by key.
    pub(super) patches: Vec<PatchPlace>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct BlockPlace {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) unpacked_len: u32,
    pub(super) packing: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FilePlace {
    pub(super) key: Key,
    pub(super) block: u32,
    pub(super) offset: u32,
    pub(super) len: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PatchPlace {
    /// The patch itself.
    pub(super) file: FilePlace,
    /// The length of the content that it makes, in bytes.
    pub(super) size: u32,
    pub(super) of: WholeContent,
}

/// Content that is kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WholeContent {
    pub(crate) hash: Hash,
    pub(crate) size: u32,
}

impl Index {
    /// Finds whole content of this size by its hash, or by its mark.
    pub(super) fn whole(&self, hash: &Hash, size: u32) -> Option<FilePlace> {
        alike(&self.wholes, |file| file.key, hash).map(|(_, file)| *file).find(|file| file.len == size)
    }

    /// Finds a patch that makes this content, out of whole content that `find` finds. Returns its number.
    pub(super) fn patch<T>(
        &self,
        hash: &Hash,
        size: u32,
        find: impl Fn(&WholeContent) -> Option<T>,
    ) -> Option<(u32, T)> {
        let mut patches = alike(&self.patches, |patch| patch.file.key, hash).filter(|(_, patch)| patch.size == size);
        patches.find_map(|(number, patch)| Some((number as u32, find(&patch.of)?)))
    }

    /// Adds the entries of another index, whose pack begins at `begin` in this one's.
    pub(super) fn extend(&mut self, other: Index, begin: u64) {
        let first = self.blocks.len() as u32;
        let moved = |file: FilePlace| FilePlace { block: file.block + first, ..file };
        self.blocks.extend(other.blocks.into_iter().map(|block| BlockPlace { offset: block.offset + begin, ..block }));
        self.wholes.extend(other.wholes.into_iter().map(moved));
        let patches = other.patches.into_iter();
        self.patches.extend(patches.map(|patch| PatchPlace { file: moved(patch.file), ..patch }));
    }

    pub(super) fn sort(&mut self) {
        self.wholes.sort_unstable();
        self.patches.sort_unstable();
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put(&mut out, &[self.blocks.len() as u32]);
        for block in &self.blocks {
            out.extend_from_slice(&block.offset.to_le_bytes());
            put(&mut out, &[block.len, block.unpacked_len]);
            out.push(block.packing);
        }
        put(&mut out, &[self.wholes.len() as u32]);
        self.wholes.iter().for_each(|file| put_file(&mut out, file));
        put(&mut out, &[self.patches.len() as u32]);
        for patch in &self.patches {
            put_file(&mut out, &patch.file);
            put(&mut out, &[patch.size]);
            out.extend_from_slice(patch.of.hash.as_bytes());
            put(&mut out, &[patch.of.size]);
        }
        let hash = Hash::of(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Index, Malformed> {
        let (bytes, hash) = bytes.split_last_chunk::<32>().ok_or(Malformed)?;
        if Hash::of(bytes) != Hash::from_bytes(*hash) {
            return Err(Malformed);
        }
        let mut reader = ByteReader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(Malformed);
        }
        let mut index = Index::default();
        for _ in 0..number(&mut reader)? {
            index.blocks.push(BlockPlace {
                offset: u64::from_le_bytes(reader.array()?),
                len: number(&mut reader)?,
                unpacked_len: number(&mut reader)?,
                packing: reader.byte()?,
            });
        }
        for _ in 0..number(&mut reader)? {
            index.wholes.push(file(&mut reader)?);
        }
        for _ in 0..number(&mut reader)? {
            let (file, size) = (file(&mut reader)?, number(&mut reader)?);
            let of = WholeContent { hash: Hash::from_bytes(reader.array()?), size: number(&mut reader)? };
            index.patches.push(PatchPlace { file, size, of });
        }
        Ok(index)
    }
}

/// Returns the entries of a sorted list that may have a hash, with their numbers.
fn alike<'i, T>(list: &'i [T], key: impl Fn(&T) -> Key, hash: &Hash) -> impl Iterator<Item = (usize, &'i T)> {
    let sought = key_of(hash);
    let told = if hash.is_mark() { MARK_BYTES } else { sought.len() };
    // The unknown bytes of a mark's key are zeros: no key with the same mark is less.
    let at = list.partition_point(|item| key(item) < sought);
    let from = list.iter().enumerate().skip(at);
    from.take_while(move |(_, item)| key(item)[..told] == sought[..told]).take(ALIKE_MAX)
}

pub(super) fn key_of(hash: &Hash) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&hash.as_bytes()[..8]);
    key
}

fn put(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn put_file(out: &mut Vec<u8>, file: &FilePlace) {
    out.extend_from_slice(&file.key);
    put(out, &[file.block, file.offset, file.len]);
}

fn number(reader: &mut ByteReader<'_>) -> Result<u32, Malformed> {
    reader.array().map(u32::from_le_bytes)
}

fn file(reader: &mut ByteReader<'_>) -> Result<FilePlace, Malformed> {
    Ok(FilePlace { key: reader.array()?, block: number(reader)?, offset: number(reader)?, len: number(reader)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_reads_back_and_nothing_else_does() {
        let file = |number: u8| FilePlace { key: [number; 8], block: 1, offset: 2, len: 3 };
        let of = WholeContent { hash: Hash::of(b"whole"), size: 5 };
        let index = Index {
            blocks: vec![BlockPlace { offset: 1 << 40, len: 7, unpacked_len: 8, packing: 1 }; 2],
            wholes: vec![file(1), file(2)],
            patches: vec![PatchPlace { file: file(3), size: 4, of }],
        };
        let bytes = index.to_bytes();
        assert_eq!(Index::from_bytes(&bytes), Ok(index));
        for end in 0..bytes.len() {
            assert_eq!(Index::from_bytes(&bytes[..end]), Err(Malformed));
        }
        // The mark of an earlier version.
        let earlier = [&b"cutcont1"[..], &[0; 8]].concat();
        let earlier = [&earlier[..], Hash::of(&earlier).as_bytes()].concat();
        assert_eq!(Index::from_bytes(&earlier), Err(Malformed));
    }
}
