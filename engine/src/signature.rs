//! Signatures: a short description of an old file, in terms of which a new one can be described.
//!
//! The old file is cut into blocks of equal length, of which the last ends with the file, and each block has a hash. A
//! rolling hash finds these blocks at any place of the new file (Tridgell and Mackerras, "The rsync algorithm", 1996).
//! One hash of few bits is enough: a file made from a wrong match does not have its hash, and is sent whole.
//!
//! ```text
//! signature    for each block: its hash, in as many bits as the length of the file asks for; filled up to a byte
//! signatures   for each file a bit, least significant first: whether there is a signature; then the signatures
//! ```
//!
//! Both sides know the length of the old file, and from it everything but the hashes.

use crate::bytes::{ByteReader, Malformed};

/// The least length of a block. Shorter ones would take more than they save.
const BLOCK_BYTES_MIN: usize = 64;

/// The subject of a signature, which decides the cost of a wrong match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureKind {
    /// A small file: it is sent whole then.
    File,
    /// A range of a large file: all of that file is sent then.
    Range,
}

impl SignatureKind {
    /// Returns the bits of a hash beyond those that tell the places of the new content from each other, for each block
    /// of the old. If all content is new, one file in a thousand has a wrong match, and one range in four billion.
    fn spare_bits(self) -> u32 {
        match self {
            SignatureKind::File => 10,
            SignatureKind::Range => 32,
        }
    }
}

/// The most slots of a table that are tried for a hash. It bounds the time whatever the hashes.
const PROBES_MAX: usize = 16;

/// The layout of the signature of a file of some length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BlockLayout {
    old_len: usize,
    block_len: usize,
    blocks: usize,
    bits: u32,
}

impl BlockLayout {
    fn of(old_len: usize, kind: SignatureKind) -> BlockLayout {
        // A change costs about a block, and blocks cost their hashes. The sum is least if a block's length is in
        // proportion to the root of the file's. The factor of 2.5 is measured (docs/decisions/0012-cold-client.md).
        let block_len = (old_len.saturating_mul(25) / 4).isqrt().max(BLOCK_BYTES_MIN);
        let blocks = if old_len < block_len { 0 } else { old_len.div_ceil(block_len) };
        let bits = (old_len.max(1).ilog2() + blocks.max(1).ilog2() + 1 + kind.spare_bits()).min(u64::BITS);
        BlockLayout { old_len, block_len, blocks, bits }
    }

    fn packed_len(&self) -> usize {
        (self.blocks * self.bits as usize).div_ceil(8)
    }

    /// Returns the begin of a block.
    fn begin_of(&self, block: usize) -> usize {
        (block * self.block_len).min(self.old_len - self.block_len)
    }

    /// Shortens a hash.
    fn shorten(&self, hash: u64) -> u64 {
        // The upper bits of the product depend on all of the hash.
        hash.wrapping_mul(0xd6e8_feb8_6659_fd93) >> (u64::BITS - self.bits)
    }
}

/// The hash of a window that moves on a byte at a time: the bytes are the digits of a number, modulo 2^64.
#[derive(Debug, Clone, Copy)]
struct RollingHash {
    hash: u64,
    /// The weight of the first byte of the window once the next byte is added.
    weight: u64,
}

/// The base of the number: odd, with many powers that look like noise.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

impl RollingHash {
    fn of(window: &[u8]) -> RollingHash {
        let mut rolling = RollingHash { hash: 0, weight: 1 };
        for &byte in window {
            rolling.hash = rolling.hash.wrapping_mul(BASE).wrapping_add(u64::from(byte));
            rolling.weight = rolling.weight.wrapping_mul(BASE);
        }
        rolling
    }

    fn roll(&mut self, gone: u8, come: u8) {
        let hash = self.hash.wrapping_mul(BASE).wrapping_add(u64::from(come));
        self.hash = hash.wrapping_sub(self.weight.wrapping_mul(u64::from(gone)));
    }
}

/// Returns the signature of an old file.
pub(crate) fn sign(old: &[u8], kind: SignatureKind) -> Vec<u8> {
    let layout = BlockLayout::of(old.len(), kind);
    let mut out = Vec::with_capacity(layout.packed_len());
    let (mut pending, mut pending_bits) = (0_u128, 0);
    for block in 0..layout.blocks {
        let begin = layout.begin_of(block);
        let hash = layout.shorten(RollingHash::of(&old[begin..begin + layout.block_len]).hash);
        pending |= u128::from(hash) << pending_bits;
        pending_bits += layout.bits;
        while pending_bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            pending_bits -= 8;
        }
    }
    if pending_bits > 0 {
        out.push(pending as u8);
    }
    out
}

/// A list of signatures, in order, up to a limit of bytes.
#[derive(Debug)]
pub(crate) struct SignaturesWriter {
    bytes: Vec<u8>,
    bytes_max: usize,
    at: usize,
}

impl SignaturesWriter {
    /// Begins a list for this many files and at most this many bytes.
    pub(crate) fn new(files: usize, bytes_max: usize) -> SignaturesWriter {
        SignaturesWriter { bytes: vec![0; files.div_ceil(8)], bytes_max, at: 0 }
    }

    /// Adds the signature of the next file, if it has one. Returns whether the list has room. Once it is full, no later
    /// signature fits either.
    pub(crate) fn add(&mut self, signature: Option<&[u8]>) -> bool {
        if let Some(signature) = signature {
            if self.bytes.len() + signature.len() > self.bytes_max {
                return false;
            }
            self.bytes[self.at / 8] |= 1 << (self.at % 8);
            self.bytes.extend_from_slice(signature);
        }
        self.at += 1;
        true
    }

    /// Passes over files that have no signature.
    pub(crate) fn pass(&mut self, files: usize) {
        self.at += files;
    }

    /// Returns the bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A received list of signatures.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    bytes: Vec<u8>,
    /// For each file: the begin of its signature, and its layout.
    places: Vec<Option<(usize, BlockLayout)>>,
}

impl Signatures {
    /// Reads signatures of files whose old contents have these lengths.
    pub(crate) fn read(bytes: Vec<u8>, old_lens: &[usize], kind: SignatureKind) -> Result<Signatures, Malformed> {
        let mut reader = ByteReader::new(&bytes);
        let present = reader.take(old_lens.len().div_ceil(8))?;
        let mut places = Vec::with_capacity(old_lens.len());
        for (at, &old_len) in old_lens.iter().enumerate() {
            if present[at / 8] >> (at % 8) & 1 == 0 {
                places.push(None);
                continue;
            }
            let layout = BlockLayout::of(old_len, kind);
            places.push(Some((bytes.len() - reader.rest().len(), layout)));
            reader.take(layout.packed_len())?;
        }
        if reader.rest().is_empty() { Ok(Signatures { bytes, places }) } else { Err(Malformed) }
    }

    /// Returns the signature of a file, if it has one.
    pub(crate) fn get(&self, at: usize) -> Option<Signature> {
        let (begin, layout) = (*self.places.get(at)?)?;
        Some(Signature::read(&self.bytes[begin..], layout))
    }

    /// Tells whether a file has a signature.
    pub(crate) fn has(&self, at: usize) -> bool {
        self.places.get(at).is_some_and(Option::is_some)
    }
}

/// A range of a new file that the old file seems to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    /// The begin in the new file.
    pub(crate) new: usize,
    /// The begin in the old file.
    pub(crate) old: usize,
    /// The length in bytes.
    pub(crate) len: usize,
}

/// The signature of one old file, to be searched.
#[derive(Debug)]
pub(crate) struct Signature {
    layout: BlockLayout,
    hashes: Vec<u64>,
    /// The blocks by hash, plus one. Of equal hashes, the first block.
    table: Vec<u32>,
}

impl Signature {
    fn read(bytes: &[u8], layout: BlockLayout) -> Signature {
        let mut hashes = Vec::with_capacity(layout.blocks);
        let (mut pending, mut pending_bits) = (0_u128, 0);
        let mut bytes = bytes.iter();
        for _ in 0..layout.blocks {
            while pending_bits < layout.bits {
                pending |= u128::from(bytes.next().copied().unwrap_or(0)) << pending_bits;
                pending_bits += 8;
            }
            hashes.push((pending & ((1 << layout.bits) - 1)) as u64);
            pending >>= layout.bits;
            pending_bits -= layout.bits;
        }
        let mut signature = Signature { layout, hashes, table: vec![0; (layout.blocks * 4).next_power_of_two()] };
        for block in 0..layout.blocks {
            if let Some(slot) = signature.slot(signature.hashes[block], |there| there == 0) {
                signature.table[slot] = block as u32 + 1;
            }
        }
        signature
    }

    /// Finds the slot of a hash in the table that `is_wanted` accepts. None if another block has the hash.
    fn slot(&self, hash: u64, is_wanted: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.table.len() - 1;
        for probe in 0..PROBES_MAX {
            let slot = (hash as usize).wrapping_add(probe) & mask;
            let there = self.table[slot];
            if is_wanted(there) {
                return Some(slot);
            }
            if there == 0 || self.hashes[there as usize - 1] == hash {
                return None;
            }
        }
        None
    }

    /// Finds a block by its hash: `due` if its hash is equal, else the first.
    fn find(&self, hash: u64, due: usize) -> Option<usize> {
        if self.hashes.get(due) == Some(&hash) {
            return Some(due);
        }
        let is_it = |there: u32| there > 0 && self.hashes[there as usize - 1] == hash;
        self.slot(hash, is_it).map(|slot| self.table[slot] as usize - 1)
    }

    /// Calls `found` for each match, in the order of the new content. Matches that continue in both files are joined.
    pub(crate) fn search(&self, new: &[u8], mut found: impl FnMut(Match)) {
        let BlockLayout { old_len, block_len, blocks, .. } = self.layout;
        if blocks == 0 || new.len() < block_len {
            return;
        }
        let mut last: Option<Match> = None;
        let mut tell = |next: Match| match &mut last {
            Some(last) if last.new + last.len == next.new && last.old + last.len == next.old => last.len += next.len,
            _ => last.replace(next).into_iter().for_each(&mut found),
        };
        let (mut at, mut due, mut ended) = (0, 0, 0);
        let mut window = RollingHash::of(&new[..block_len]);
        while at + block_len <= new.len() {
            if let Some(block) = self.find(self.layout.shorten(window.hash), due) {
                tell(Match { new: at, old: self.layout.begin_of(block), len: block_len });
                (at, due) = (at + block_len, block + 1);
                ended = at;
                window = RollingHash::of(new.get(at..at + block_len).unwrap_or(&[]));
            } else {
                if let Some(&come) = new.get(at + block_len) {
                    window.roll(new[at], come);
                }
                at += 1;
            }
        }
        // Both files mostly end alike, and the last block may reach back into earlier matches.
        let end = RollingHash::of(&new[new.len() - block_len..]);
        if ended < new.len() && self.hashes[blocks - 1] == self.layout.shorten(end.hash) {
            let len = block_len.min(new.len() - ended);
            tell(Match { new: new.len() - len, old: old_len - len, len });
        }
        last.into_iter().for_each(found);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(seed: &str, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn to_bytes(signatures: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut writer = SignaturesWriter::new(signatures.len(), usize::MAX);
        assert!(signatures.iter().all(|signature| writer.add(signature.as_deref())));
        writer.finish()
    }

    fn signature(old: &[u8]) -> Signature {
        let bytes = to_bytes(&[Some(sign(old, SignatureKind::File))]);
        Signatures::read(bytes, &[old.len()], SignatureKind::File).unwrap().get(0).unwrap()
    }

    fn matches(old: &[u8], new: &[u8]) -> Vec<Match> {
        let mut matches = Vec::new();
        signature(old).search(new, |found| matches.push(found));
        matches
    }

    /// Asserts that both contents are equal at each match, and returns the bytes of the new content without a match.
    #[track_caller]
    fn left(old: &[u8], new: &[u8]) -> usize {
        let (mut at, mut left) = (0, 0);
        for Match { new: begin, old: from, len } in matches(old, new) {
            assert!(begin >= at && new[begin..begin + len] == old[from..from + len]);
            left += begin - at;
            at = begin + len;
        }
        left + new.len() - at
    }

    #[test]
    fn what_was_edited_costs_about_a_block() {
        for len in [1_000, 45_678, 1 << 20] {
            let old = noise("old", len);
            let block = BlockLayout::of(len, SignatureKind::File).block_len;
            assert_eq!(matches(&old, &old), [Match { new: 0, old: 0, len }]);
            let mut new = old.clone();
            new.splice(len / 2..len / 2 + 7, *b"some other text");
            assert!(left(&old, &new) <= 2 * block, "{} of {len}", left(&old, &new));
            // Other begins and ends, and another order.
            assert!(left(&old, &[b"before", &old[..], b"behind"].concat()) <= 2 * block);
            assert!(left(&old, &[&old[len / 2..], &old[..len / 2]].concat()) <= 3 * block);
            assert_eq!(left(&old, &noise("new", len)), len);
        }
    }

    #[test]
    fn content_that_repeats_itself_takes_no_longer_than_it_should() {
        // A quadratic search would take minutes.
        let zeros = vec![0; 1 << 20];
        let block: Vec<u8> = (0..1 << 20).map(|at| (at % 1000 * 7) as u8).collect();
        let mut edited = zeros.clone();
        edited.iter_mut().step_by(10_000).for_each(|byte| *byte = 1);
        for (old, new) in [(&zeros, &edited), (&edited, &zeros), (&block, &zeros), (&zeros, &block), (&block, &block)] {
            left(old, new);
        }
        assert_eq!(left(&zeros, &zeros), 0);
    }

    #[test]
    fn signatures_that_all_say_the_same_take_no_longer_than_they_should() {
        let (old, new) = (noise("old", 1 << 20), noise("new", 1 << 20));
        for byte in [0, 0xff] {
            let lies = vec![byte; sign(&old, SignatureKind::File).len()];
            let signatures = Signatures::read(to_bytes(&[Some(lies)]), &[old.len()], SignatureKind::File).unwrap();
            signatures.get(0).unwrap().search(&new, drop);
        }
    }

    #[test]
    fn what_there_is_no_signature_of_is_left_out() {
        let olds = [noise("one", 5_000), noise("other", 70_000)];
        let lens = [olds[0].len(), 300, olds[1].len()];
        let bytes =
            to_bytes(&[Some(sign(&olds[0], SignatureKind::File)), None, Some(sign(&olds[1], SignatureKind::File))]);
        let signatures = Signatures::read(bytes.clone(), &lens, SignatureKind::File).unwrap();
        assert_eq!([0, 1, 2, 3].map(|at| signatures.has(at)), [true, false, true, false]);
        assert_eq!(signatures.get(2).unwrap().hashes, signature(&olds[1]).hashes);
        assert!(Signatures::read(bytes.clone(), &[lens[0], 300, lens[2] / 2], SignatureKind::File).is_err());
        assert!(Signatures::read(bytes[..bytes.len() - 1].to_vec(), &lens, SignatureKind::File).is_err());
    }

    #[test]
    fn where_there_is_no_room_for_one_there_is_none_of_all_that_follow() {
        let olds = [noise("one", 5_000), noise("large", 70_000), noise("other", 5_000)];
        let signatures = [0, 1, 2].map(|at| sign(&olds[at], SignatureKind::File));
        let mut writer = SignaturesWriter::new(3, 1 + signatures[0].len() + signatures[2].len());
        let added: Vec<bool> =
            signatures.iter().map(|signature| writer.add(Some(signature))).take_while(|&added| added).collect();
        assert_eq!(added, [true]);
        let lens = [0, 1, 2].map(|at| olds[at].len());
        let read = Signatures::read(writer.finish(), &lens, SignatureKind::File).unwrap();
        assert_eq!([0, 1, 2].map(|at| read.has(at)), [true, false, false]);
    }

    proptest! {
        #[test]
        fn whatever_is_said_of_an_old_file_matches_lie_in_both(
            old_len in 0..4000_usize, bytes in prop::collection::vec(any::<u8>(), 0..2000), new in prop::collection::vec(0..3_u8, 0..3000),
        ) {
            let Ok(signatures) = Signatures::read(bytes, &[old_len], SignatureKind::File) else { return Ok(()) };
            let Some(signature) = signatures.get(0) else { return Ok(()) };
            let mut at = 0;
            let mut fits = true;
            signature.search(&new, |found| {
                fits &= found.new >= at && found.len > 0 && found.old + found.len <= old_len;
                at = found.new + found.len;
            });
            prop_assert!(fits && at <= new.len());
        }

        #[test]
        fn a_window_that_rolls_has_the_hash_of_what_it_shows(bytes in prop::collection::vec(any::<u8>(), 8..200)) {
            let mut window = RollingHash::of(&bytes[..8]);
            for at in 8..bytes.len() {
                window.roll(bytes[at - 8], bytes[at]);
                prop_assert_eq!(window.hash, RollingHash::of(&bytes[at - 7..=at]).hash);
            }
        }
    }
}
