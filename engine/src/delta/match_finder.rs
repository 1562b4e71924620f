//! Finds copies of old content in new content.
//!
//! Hashes of [`SEED`] bytes at every [`STRIDE`]th place of the old content are in a table. At each place of the new content the
//! longest of a few candidates is chosen. The copy that continues where the last one ended is always a candidate, as edits
//! mostly replace or insert.

use crate::signature::Match;

/// The bytes that a hash covers. Shorter copies are found only if they continue where the last one ended. Other short
/// copies cost more in numbers than they save in literals: on kernel sources 16 bytes make a container two percent
/// larger.
const SEED: usize = 32;

/// The factors of the words of a hash: odd numbers whose bits follow no pattern.
const FACTORS: [u64; SEED / 8] =
    [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// The distance between two hashed places of the old content. It takes a sixth of the time of hashing every place, for
/// less than three percent of the bytes.
const STRIDE: usize = 8;

/// The cost of a copy in numbers, in bytes: of a copy that continues where the last one ended, and of any other.
const NEXT_COST: i64 = 4;

const COPY_COST: i64 = 12;

/// The most places that are tried for each hash. It bounds the time on content that repeats itself.
const CANDIDATES_MAX: usize = 16;

/// The length from which a copy is accepted without a search for a longer one.
const LONG_ENOUGH: usize = 256;

/// A search for copies. Its tables are kept from file to file.
#[derive(Default)]
pub(super) struct MatchFinder {
    /// By hash: the first place in the old content, plus one.
    heads: Vec<u32>,
    /// By every [`STRIDE`]th place: the next place of the same hash, plus one.
    next: Vec<u32>,
    bits: u32,
}

impl MatchFinder {
    /// Calls `found` for each copy, in the order of the new content.
    pub(super) fn find(&mut self, old: &[u8], new: &[u8], mut found: impl FnMut(Match)) {
        self.index(old);
        let (mut at, mut inserted, mut ended) = (0, 0, 0);
        while at < new.len() {
            let Some((place, len)) = self.best(old, new, at, [ended + (at - inserted), ended]) else {
                at += 1;
                continue;
            };
            // Bytes that were passed over may belong to the copy.
            let back = common_suffix(&old[..place], &new[inserted..at]);
            let copy = Match { new: at - back, old: place - back, len: len + back };
            at = copy.new + copy.len;
            (inserted, ended) = (at, copy.old + copy.len);
            found(copy);
        }
    }

    fn index(&mut self, old: &[u8]) {
        self.bits = (usize::BITS - (old.len() / STRIDE).leading_zeros()).clamp(8, 20);
        self.heads.clear();
        self.heads.resize(1 << self.bits, 0);
        self.next.clear();
        self.next.resize(old.len() / STRIDE + 1, 0);
        // From the end, so that the first candidate is the first place.
        for place in (0..(old.len() + 1).saturating_sub(SEED)).step_by(STRIDE).rev() {
            let head = self.slot(&old[place..]);
            self.next[place / STRIDE] = std::mem::replace(&mut self.heads[head], place as u32 + 1);
        }
    }

    fn slot(&self, bytes: &[u8]) -> usize {
        // Products that do not wait for each other; the upper bits of their sum depend on all bytes.
        let words = <[u8]>::as_chunks::<8>(&bytes[..SEED]).0.iter().zip(FACTORS);
        let sum =
            words.fold(0_u64, |sum, (word, factor)| sum.wrapping_add(u64::from_le_bytes(*word).wrapping_mul(factor)));
        (sum >> (u64::BITS - self.bits)) as usize
    }

    /// Returns the place and length of the copy that saves most. None if no copy saves anything.
    fn best(&self, old: &[u8], new: &[u8], at: usize, expected: [usize; 2]) -> Option<(usize, usize)> {
        let mut best = None;
        let mut best_saved = 0;
        let mut consider = |place: usize, cost: i64| {
            let len = common_prefix(&old[place..], &new[at..]);
            let saved = len as i64 - cost;
            if saved > best_saved {
                (best, best_saved) = (Some((place, len)), saved);
            }
            len
        };
        for place in expected.into_iter().filter(|&place| place < old.len()) {
            if consider(place, NEXT_COST) >= LONG_ENOUGH {
                return best;
            }
        }
        if new.len() - at >= SEED {
            let mut next = self.heads[self.slot(&new[at..])];
            for _ in 0..CANDIDATES_MAX {
                let Some(place) = next.checked_sub(1) else { break };
                if consider(place as usize, COPY_COST) >= LONG_ENOUGH {
                    break;
                }
                next = self.next[place as usize / STRIDE];
            }
        }
        best
    }
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    // Eight bytes at a time: this is where the time goes.
    let words = |bytes| <[u8]>::as_chunks::<8>(bytes).0;
    let mut common = 0;
    for (one, other) in words(one).iter().zip(words(other)) {
        let differing = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differing != 0 {
            return common + differing.trailing_zeros() as usize / 8;
        }
        common += 8;
    }
    common + one[common..].iter().zip(&other[common..]).take_while(|(one, other)| one == other).count()
}

fn common_suffix(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}
