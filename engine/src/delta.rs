//! Deltas: new files in terms of old ones that the other side has.
//!
//! Many files share one container, since what one small edit costs is mostly overhead. A file is a list of copies out of
//! its old content with insertions between them. Numbers of one kind lie together, and so do all insertions: each such
//! stream is compressed on its own.
//!
//! ```text
//! container   counts · inserts · skips · lengths · literals, each: length, packing (0 as it is · 1 zstd), bytes with length
//! counts      for each file: how many copies
//! inserts     for each copy: how many literals come before it
//! skips       for each copy: where it begins, as zigzag of the distance from the end of the last one
//! lengths     for each copy: how many bytes
//! literals    what is inserted, of all files; what is left of a file after its last copy is inserted too
//! ```
//!
//! Where the old content is at hand, copies are found by hashes of [`SEED`] bytes at every place of the old content, longest first among
//! few candidates: the copy that goes on where the last one ended is always one of them, as edits mostly replace or insert.
//! Otherwise by a signature of it (`signature.rs`).
//! Nothing here proves anything: whoever decodes hashes the result.

use zstd::bulk::{Compressor, Decompressor};

use crate::bytes::{ByteReader, Malformed, put_bytes, put_number, put_signed};
use crate::signature::{Match as Copy, Signature};

/// A copy is worth it from about this length.
const SEED: usize = 16;

/// Places that are tried for each hash: bounds the time on content that repeats itself.
const CANDIDATES_MAX: usize = 16;

/// A copy of this length is taken without looking for a longer one.
const LONG_ENOUGH: usize = 256;

/// Streams are small and mostly literals: the effort is a few milliseconds a container.
const LEVEL: i32 = 12;

/// Encodes files into one container.
pub(crate) struct DeltaEncoder {
    streams: Streams,
    matcher: Matcher,
    compressor: Compressor<'static>,
}

#[derive(Default)]
struct Streams {
    counts: Vec<u8>,
    inserts: Vec<u8>,
    skips: Vec<u8>,
    lengths: Vec<u8>,
    literals: Vec<u8>,
}

impl DeltaEncoder {
    /// Makes an encoder.
    pub(crate) fn new() -> std::io::Result<DeltaEncoder> {
        Ok(DeltaEncoder {
            streams: Streams::default(),
            matcher: Matcher::default(),
            compressor: Compressor::new(LEVEL)?,
        })
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, old: &[u8], new: &[u8]) {
        let mut adding = Adding::begin(&mut self.streams, new);
        self.matcher.run(old, new, |copy| adding.copy(copy));
        adding.finish();
    }

    /// Adds a file of whose old content there is only a signature.
    pub(crate) fn add_signed(&mut self, signature: &Signature, new: &[u8]) {
        let mut adding = Adding::begin(&mut self.streams, new);
        signature.search(new, |copy| adding.copy(copy));
        adding.finish();
    }

    /// Returns the container of all files that were added, and begins another.
    pub(crate) fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        let Streams { counts, inserts, skips, lengths, literals } = std::mem::take(&mut self.streams);
        let mut out = Vec::new();
        for stream in [counts, inserts, skips, lengths, literals] {
            let packed = self.compressor.compress(&stream)?;
            put_number(&mut out, stream.len() as u64);
            let is_smaller = packed.len() < stream.len();
            out.push(u8::from(is_smaller));
            put_bytes(&mut out, if is_smaller { &packed } else { &stream });
        }
        Ok(out)
    }
}

/// A file on its way into the streams.
struct Adding<'a> {
    streams: &'a mut Streams,
    new: &'a [u8],
    copies: u64,
    /// How far the new content is described.
    inserted: usize,
    /// Where the last copy ended in the old content.
    ended: usize,
}

impl<'a> Adding<'a> {
    fn begin(streams: &'a mut Streams, new: &'a [u8]) -> Adding<'a> {
        Adding { streams, new, copies: 0, inserted: 0, ended: 0 }
    }

    fn copy(&mut self, copy: Copy) {
        put_number(&mut self.streams.inserts, (copy.new - self.inserted) as u64);
        put_signed(&mut self.streams.skips, copy.old as i64 - self.ended as i64);
        put_number(&mut self.streams.lengths, copy.len as u64);
        self.streams.literals.extend_from_slice(&self.new[self.inserted..copy.new]);
        self.inserted = copy.new + copy.len;
        self.ended = copy.old + copy.len;
        self.copies += 1;
    }

    fn finish(self) {
        self.streams.literals.extend_from_slice(&self.new[self.inserted..]);
        put_number(&mut self.streams.counts, self.copies);
    }
}

/// A file that is to be decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delta<'a> {
    /// The old content.
    pub(crate) old: &'a [u8],
    /// How long the new content is, in bytes.
    pub(crate) len: usize,
}

/// Decodes a container. Returns the new contents, one after the other: as long as they are said to be, or an error.
/// What is allocated is bounded by them.
pub(crate) fn decode(container: &[u8], deltas: &[Delta<'_>]) -> Result<Vec<u8>, Malformed> {
    let total: usize = deltas.iter().map(|delta| delta.len).sum();
    // No copy is made that is shorter than its numbers.
    let numbers = total + 10 * deltas.len();
    let mut reader = ByteReader::new(container);
    let mut decompressor = Decompressor::new().map_err(|_| Malformed)?;
    let mut stream = |limit: usize| unpack(&mut reader, &mut decompressor, limit);
    let (counts, inserts, skips, lengths) = (stream(numbers)?, stream(numbers)?, stream(numbers)?, stream(numbers)?);
    let literals = stream(total)?;
    if !reader.rest().is_empty() {
        return Err(Malformed);
    }
    let mut streams = [&counts, &inserts, &skips, &lengths, &literals].map(|stream| ByteReader::new(stream));
    let mut out = Vec::with_capacity(total);
    for delta in deltas {
        decode_one(&mut streams, delta, &mut out)?;
    }
    if streams.iter().all(|stream| stream.rest().is_empty()) { Ok(out) } else { Err(Malformed) }
}

fn unpack(
    reader: &mut ByteReader<'_>,
    decompressor: &mut Decompressor<'_>,
    limit: usize,
) -> Result<Vec<u8>, Malformed> {
    let len = reader.number_within(limit as u64)? as usize;
    let packing = reader.byte()?;
    let bytes = reader.bytes()?;
    let stream = match packing {
        0 => bytes.to_vec(),
        1 => decompressor.decompress(bytes, len).map_err(|_| Malformed)?,
        _ => return Err(Malformed),
    };
    if stream.len() == len { Ok(stream) } else { Err(Malformed) }
}

fn decode_one(streams: &mut [ByteReader<'_>; 5], delta: &Delta<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let [counts, inserts, skips, lengths, literals] = streams;
    let mut left = delta.len;
    let mut ended = 0_usize;
    let mut within = |len: u64| {
        let len = usize::try_from(len).map_err(|_| Malformed)?;
        left = left.checked_sub(len).ok_or(Malformed)?;
        Ok(len)
    };
    for _ in 0..counts.number()? {
        out.extend_from_slice(literals.take(within(inserts.number()?)?)?);
        let begin = ended.checked_add_signed(skips.signed()? as isize).ok_or(Malformed)?;
        let len = within(lengths.number()?)?;
        ended = begin.checked_add(len).ok_or(Malformed)?;
        out.extend_from_slice(delta.old.get(begin..ended).ok_or(Malformed)?);
    }
    out.extend_from_slice(literals.take(left)?);
    Ok(())
}

/// Finds copies. Its tables are kept from file to file.
#[derive(Default)]
struct Matcher {
    /// By hash: the first place in the old content, plus one.
    heads: Vec<u32>,
    /// By place: the next one of the same hash, plus one.
    next: Vec<u32>,
    bits: u32,
}

impl Matcher {
    /// Tells `found` of copies in the order of the new content.
    fn run(&mut self, old: &[u8], new: &[u8], mut found: impl FnMut(Copy)) {
        self.index(old);
        let (mut at, mut inserted, mut ended) = (0, 0, 0);
        while at < new.len() {
            let Some((place, len)) = self.best(old, new, at, [ended + (at - inserted), ended]) else {
                at += 1;
                continue;
            };
            // What was passed over before may belong to it.
            let back = common_suffix(&old[..place], &new[inserted..at]);
            let copy = Copy { new: at - back, old: place - back, len: len + back };
            at = copy.new + copy.len;
            (inserted, ended) = (at, copy.old + copy.len);
            found(copy);
        }
    }

    fn index(&mut self, old: &[u8]) {
        self.bits = (usize::BITS - old.len().leading_zeros()).clamp(8, 20);
        self.heads.clear();
        self.heads.resize(1 << self.bits, 0);
        self.next.clear();
        self.next.resize(old.len(), 0);
        // From the end, so that the first candidate is the first place.
        for place in (0..(old.len() + 1).saturating_sub(SEED)).rev() {
            let head = self.slot(&old[place..]);
            self.next[place] = std::mem::replace(&mut self.heads[head], place as u32 + 1);
        }
    }

    fn slot(&self, bytes: &[u8]) -> usize {
        let half = |at: usize| {
            let mut word = [0; SEED / 2];
            word.copy_from_slice(&bytes[at..at + SEED / 2]);
            u64::from_le_bytes(word)
        };
        // Fibonacci hashing of both halves.
        let mixed = (half(0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ half(SEED / 2)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> (u64::BITS - self.bits)) as usize
    }

    /// Returns the place and length of the copy that saves most, if any does.
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
            // A copy that goes on costs three bytes or so.
            if consider(place, 4) >= LONG_ENOUGH {
                return best;
            }
        }
        if new.len() - at >= SEED {
            let mut next = self.heads[self.slot(&new[at..])];
            for _ in 0..CANDIDATES_MAX {
                let Some(place) = next.checked_sub(1) else { break };
                if consider(place as usize, SEED as i64 - 4) >= LONG_ENOUGH {
                    break;
                }
                next = self.next[place as usize];
            }
        }
        best
    }
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    // Eight bytes at a time: this is where the time goes.
    let words = one.chunks_exact(8).zip(other.chunks_exact(8)).take_while(|(one, other)| one == other).count() * 8;
    words + one[words..].iter().zip(&other[words..]).take_while(|(one, other)| one == other).count()
}

fn common_suffix(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut encoder = DeltaEncoder::new().unwrap();
        pairs.iter().for_each(|(old, new)| encoder.add(old, new));
        encoder.finish().unwrap()
    }

    fn deltas(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<Delta<'_>> {
        pairs.iter().map(|(old, new)| Delta { old, len: new.len() }).collect()
    }

    /// Text of little variety, so that much of it repeats.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![&b"line of text\n"[..], b"other\n", b"\0", b"", b"ab"]), 0..200)
            .prop_map(|words| words.concat())
    }

    /// An old text, and what some edits make of it.
    fn edited() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let edit = (any::<prop::sample::Index>(), 0..40_usize, text());
        (text(), prop::collection::vec(edit, 0..5)).prop_map(|(old, edits)| {
            let mut new = old.clone();
            for (at, removed, inserted) in edits {
                let at = at.index(new.len() + 1);
                let end = new.len().min(at + removed);
                new.splice(at..end, inserted);
            }
            (old, new)
        })
    }

    proptest! {
        #[test]
        fn whatever_was_edited_reads_back(pairs in prop::collection::vec(edited(), 0..6)) {
            let expected: Vec<u8> = pairs.iter().flat_map(|(_, new)| new.clone()).collect();
            prop_assert_eq!(decode(&encode(&pairs), &deltas(&pairs)).unwrap(), expected);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic_or_exceed_what_was_said(
            container in prop::collection::vec(any::<u8>(), 0..60),
            pair in edited(),
        ) {
            let pairs = [pair];
            if let Ok(decoded) = decode(&container, &deltas(&pairs)) {
                prop_assert_eq!(decoded.len(), pairs[0].1.len());
            }
        }

        #[test]
        fn what_was_altered_is_an_error_or_as_long_as_it_should_be(
            pairs in prop::collection::vec(edited(), 1..4), at in any::<prop::sample::Index>(), bit in 0..8_u32,
        ) {
            let mut container = encode(&pairs);
            let at = at.index(container.len());
            container[at] ^= 1 << bit;
            if let Ok(decoded) = decode(&container, &deltas(&pairs)) {
                prop_assert_eq!(decoded.len(), pairs.iter().map(|(_, new)| new.len()).sum::<usize>());
            }
        }
    }

    #[test]
    fn one_line_in_a_file_costs_about_as_much_as_the_line() {
        let line = |number: u32| format!("{:016x} {number}\n", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let old: Vec<u8> = (0..1000).map(line).collect::<String>().into_bytes();
        let edited = |file: u32| {
            let new = (0..1000).map(|n| if n == file * 7 { format!("new line {file}\n") } else { line(n) });
            (old.clone(), new.collect::<String>().into_bytes())
        };
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = (0..100).map(edited).collect();
        let container = encode(&pairs);
        assert_eq!(
            decode(&container, &deltas(&pairs)).unwrap().len(),
            pairs.iter().map(|(_, new)| new.len()).sum::<usize>()
        );
        assert!(container.len() < 100 * 14, "{}", container.len());
    }

    #[test]
    fn content_that_repeats_itself_takes_no_longer_than_it_should() {
        // A quadratic search would take minutes.
        let zeros = vec![0; 1 << 20];
        let block: Vec<u8> = (0..1 << 20).map(|at| (at % 1000 * 7) as u8).collect();
        let mut edited = zeros.clone();
        edited.iter_mut().step_by(10_000).for_each(|byte| *byte = 1);
        let pairs =
            [(zeros.clone(), edited.clone()), (edited, zeros.clone()), (block.clone(), zeros.clone()), (zeros, block)];
        let expected: Vec<u8> = pairs.iter().flat_map(|(_, new)| new.clone()).collect();
        assert!(decode(&encode(&pairs), &deltas(&pairs)).unwrap() == expected);
    }
}
