//! Deltas: new files in terms of old ones that the other side has.
//!
//! Many files share one container, since a small edit costs mostly overhead. A file is a list of copies out of its old
//! content, with insertions between them. Numbers of one kind form a stream, and so do all insertions. Each stream is
//! compressed on its own.
//!
//! ```text
//! container   counts · inserts · skips · lengths · literals, each: length, packing (0 raw · 1 zstd), bytes with length
//! counts      for each file: the number of copies, times two, plus one if its old content is prefix to the literals
//! inserts     for each copy: the number of literals before it
//! skips       for each copy: its begin, as zigzag of the distance from the end of the last copy
//! lengths     for each copy: the number of bytes; 0 if it reaches the end of the new file
//! literals    the insertions of all files, with the rest of each file after its last copy
//! ```
//!
//! An insertion resembles the old content around it. So the literals are compressed with the old content near each
//! insertion as prefix (`ZSTD_CCtx_refPrefix`). The other side can gather the same prefix from the other streams.
//!
//! If the old content is at hand, [`match_finder`] finds the copies in it. If only a signature of the old content is at
//! hand (`signature.rs`), the signature finds the copies, and nothing is prefix. A delta proves nothing: the side that
//! decodes it hashes the result.

mod match_finder;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, compress_bound, get_error_name};

use crate::bytes::{ByteReader, Malformed, put_bytes, put_number, put_signed};
use crate::signature::{Match, Signature};

use match_finder::MatchFinder;

/// The bytes of the old content on each side of an insertion that are prefix to the literals. On kernel sources they
/// save a sixth of the literals, and four times as many save another hundredth.
const PREFIX_BYTES: usize = 256;

/// The most bytes that an insertion adds to the prefix, if much of the old content was removed.
const PREFIX_BYTES_MAX: usize = 4 * PREFIX_BYTES;

/// The zstd level. Streams are small and mostly literals: this takes a few milliseconds a container.
const LEVEL: i32 = 9;

/// The zstd window. Literals and their prefix lie within one window: the limits of a container bound both.
const WINDOW_LOG: u32 = 24;

/// An encoder of files into one container.
pub(crate) struct DeltaEncoder {
    streams: Streams,
    prefix: LiteralPrefix,
    finder: MatchFinder,
    /// The copies of the file that was added last.
    copies: Vec<Match>,
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
    pub(crate) fn new() -> DeltaEncoder {
        DeltaEncoder {
            streams: Streams::default(),
            prefix: LiteralPrefix::default(),
            finder: MatchFinder::default(),
            copies: Vec::new(),
        }
    }

    /// Adds a file. Returns the copies that were found, in the order of the new content.
    pub(crate) fn add(&mut self, old: &[u8], new: &[u8]) -> &[Match] {
        let DeltaEncoder { streams, prefix, finder, copies } = self;
        prefix.begin();
        copies.clear();
        let mut encoder = FileEncoder::begin(streams, new, Some((prefix, old)));
        finder.find(old, new, |copy| {
            encoder.copy(copy);
            copies.push(copy);
        });
        encoder.finish();
        copies
    }

    /// Adds a file whose old content is known by a signature only.
    pub(crate) fn add_signed(&mut self, signature: &Signature, new: &[u8]) {
        let mut encoder = FileEncoder::begin(&mut self.streams, new, None);
        signature.search(new, |copy| encoder.copy(copy));
        encoder.finish();
    }

    /// Returns the container of all added files and begins another.
    pub(crate) fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        let Streams { counts, inserts, skips, lengths, literals } = std::mem::take(&mut self.streams);
        let prefix = std::mem::take(&mut self.prefix.bytes);
        let mut out = Vec::new();
        for stream in [counts, inserts, skips, lengths] {
            pack(&stream, &[], &mut out)?;
        }
        pack(&literals, &prefix, &mut out)?;
        Ok(out)
    }
}

fn pack(stream: &[u8], prefix: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    let packed = compress(stream, prefix).map_err(|code| std::io::Error::other(get_error_name(code)))?;
    put_number(out, stream.len() as u64);
    let is_smaller = packed.len() < stream.len();
    out.push(u8::from(is_smaller));
    put_bytes(out, if is_smaller { &packed } else { stream });
    Ok(())
}

fn compress(stream: &[u8], prefix: &[u8]) -> Result<Vec<u8>, usize> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(LEVEL))?;
    context.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
    // The length precedes the stream.
    context.set_parameter(CParameter::ContentSizeFlag(false))?;
    context.ref_prefix(prefix)?;
    let mut packed = Vec::with_capacity(compress_bound(stream.len()));
    context.compress2(&mut packed, stream)?;
    Ok(packed)
}

/// The prefix to the literals: the old content near insertions.
#[derive(Default)]
struct LiteralPrefix {
    bytes: Vec<u8>,
    /// The end of the gathered part of the file's old content. It never moves back, so that nothing is gathered twice.
    done: usize,
}

impl LiteralPrefix {
    /// Begins with a file.
    fn begin(&mut self) {
        self.done = 0;
    }

    /// Gathers the old content near an insertion between a copy that ended at `ended` and one that begins at `begins`.
    fn note(&mut self, old: &[u8], ended: usize, begins: usize) {
        let from = ended.saturating_sub(PREFIX_BYTES).max(self.done);
        let to = begins.max(ended).saturating_add(PREFIX_BYTES).min(old.len()).min(from + PREFIX_BYTES_MAX);
        if from < to {
            self.bytes.extend_from_slice(&old[from..to]);
            self.done = to;
        }
    }
}

/// An encoder of one file into the streams.
struct FileEncoder<'a> {
    streams: &'a mut Streams,
    /// The prefix and the old content, if that is at hand.
    prefix: Option<(&'a mut LiteralPrefix, &'a [u8])>,
    new: &'a [u8],
    copies: u64,
    /// The end of the described part of the new content.
    inserted: usize,
    /// The end of the last copy in the old content.
    ended: usize,
}

impl<'a> FileEncoder<'a> {
    fn begin(
        streams: &'a mut Streams,
        new: &'a [u8],
        prefix: Option<(&'a mut LiteralPrefix, &'a [u8])>,
    ) -> FileEncoder<'a> {
        FileEncoder { streams, prefix, new, copies: 0, inserted: 0, ended: 0 }
    }

    fn copy(&mut self, copy: Match) {
        let end = copy.new + copy.len;
        put_number(&mut self.streams.inserts, (copy.new - self.inserted) as u64);
        put_signed(&mut self.streams.skips, copy.old as i64 - self.ended as i64);
        put_number(&mut self.streams.lengths, if end == self.new.len() { 0 } else { copy.len as u64 });
        self.insert(copy.new, copy.old);
        self.inserted = end;
        self.ended = copy.old + copy.len;
        self.copies += 1;
    }

    /// Inserts the content that was not described yet up to `until`. A copy of the old content from `begins` follows.
    fn insert(&mut self, until: usize, begins: usize) {
        if let Some((prefix, old)) = &mut self.prefix
            && self.inserted < until
        {
            prefix.note(old, self.ended, begins);
        }
        self.streams.literals.extend_from_slice(&self.new[self.inserted..until]);
    }

    fn finish(mut self) {
        self.insert(self.new.len(), self.ended);
        put_number(&mut self.streams.counts, self.copies * 2 + u64::from(self.prefix.is_some()));
    }
}

/// A file to decode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delta<'a> {
    /// The old content.
    pub(crate) old: &'a [u8],
    /// The length of the new content in bytes.
    pub(crate) len: usize,
}

/// Decodes a container into memory that is used again, whatever it holds. Returns the new contents one after the other,
/// of the declared lengths, or an error. Memory is bounded by three times the new contents and once the old ones.
pub(crate) fn decode_into(out: &mut Vec<u8>, container: &[u8], deltas: &[Delta<'_>]) -> Result<(), Malformed> {
    let total: usize = deltas.iter().map(|delta| delta.len).sum();
    // A copy is never shorter, with the insertion before it, than all its numbers together.
    let mut left = total + 10 * deltas.len();
    let mut reader = ByteReader::new(container);
    let mut stream = || {
        let stream = unpack(&mut reader, left, &[])?;
        left -= stream.len();
        Ok(stream)
    };
    let (counts, inserts, skips, lengths) = (stream()?, stream()?, stream()?, stream()?);
    let numbers = || Numbers {
        counts: ByteReader::new(&counts),
        inserts: ByteReader::new(&inserts),
        skips: ByteReader::new(&skips),
        lengths: ByteReader::new(&lengths),
    };
    let mut prefix = LiteralPrefix::default();
    let mut to_gather = numbers();
    for delta in deltas {
        prefix.begin();
        to_gather.read(delta, |step| {
            if let Step::Insert { ended, begins, has_prefix: true, .. } = step {
                prefix.note(delta.old, ended, begins);
            }
            Ok(())
        })?;
    }
    if !to_gather.is_at_end() {
        return Err(Malformed);
    }
    let literals = unpack(&mut reader, total, &prefix.bytes)?;
    if !reader.rest().is_empty() {
        return Err(Malformed);
    }
    let mut literals = ByteReader::new(&literals);
    let mut to_join = numbers();
    out.clear();
    out.reserve(total);
    for delta in deltas {
        to_join.read(delta, |step| {
            out.extend_from_slice(match step {
                Step::Insert { len, .. } => literals.take(len)?,
                Step::Copy { begin, end } => &delta.old[begin..end],
            });
            Ok(())
        })?;
    }
    if literals.rest().is_empty() { Ok(()) } else { Err(Malformed) }
}

fn unpack(reader: &mut ByteReader<'_>, limit: usize, prefix: &[u8]) -> Result<Vec<u8>, Malformed> {
    let len = reader.number_within(limit as u64)? as usize;
    let packing = reader.byte()?;
    let bytes = reader.bytes()?;
    let mut stream = Vec::with_capacity(len);
    match packing {
        0 if bytes.len() == len => stream.extend_from_slice(bytes),
        1 => {
            let mut context = DCtx::create();
            context.ref_prefix(prefix).map_err(|_| Malformed)?;
            context.decompress(&mut stream, bytes).map_err(|_| Malformed)?;
        }
        _ => return Err(Malformed),
    }
    if stream.len() == len { Ok(stream) } else { Err(Malformed) }
}

/// A step in the new content of a file.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Literals, between a copy that ended and one that begins at these places of the old content.
    Insert { len: usize, ended: usize, begins: usize, has_prefix: bool },
    /// A range of the old content, within its bounds.
    Copy { begin: usize, end: usize },
}

/// The streams of numbers.
struct Numbers<'a> {
    counts: ByteReader<'a>,
    inserts: ByteReader<'a>,
    skips: ByteReader<'a>,
    lengths: ByteReader<'a>,
}

impl Numbers<'_> {
    /// Reads the steps of a file. Together they make exactly its length.
    fn read(
        &mut self,
        delta: &Delta<'_>,
        mut take: impl FnMut(Step) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let (mut left, mut ended) = (delta.len, 0_usize);
        let within = |left: usize, len: u64| usize::try_from(len).ok().filter(|&len| len <= left).ok_or(Malformed);
        let count = self.counts.number()?;
        let has_prefix = count % 2 == 1;
        for _ in 0..count / 2 {
            let inserted = within(left, self.inserts.number()?)?;
            left -= inserted;
            let begin = ended.checked_add_signed(self.skips.signed()? as isize).ok_or(Malformed)?;
            let copied = match within(left, self.lengths.number()?)? {
                0 => left,
                copied => copied,
            };
            left -= copied;
            let end = begin.checked_add(copied).filter(|&end| end <= delta.old.len()).ok_or(Malformed)?;
            if inserted > 0 {
                take(Step::Insert { len: inserted, ended, begins: begin, has_prefix })?;
            }
            take(Step::Copy { begin, end })?;
            ended = end;
        }
        if left > 0 {
            take(Step::Insert { len: left, ended, begins: ended, has_prefix })?;
        }
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        [&self.counts, &self.inserts, &self.skips, &self.lengths].iter().all(|stream| stream.rest().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut encoder = DeltaEncoder::new();
        for (old, new) in pairs {
            encoder.add(old, new);
        }
        encoder.finish().unwrap()
    }

    fn decode(container: &[u8], deltas: &[Delta<'_>]) -> Result<Vec<u8>, Malformed> {
        let mut out = b"what was there".to_vec();
        decode_into(&mut out, container, deltas).map(|()| out)
    }

    fn deltas(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<Delta<'_>> {
        pairs.iter().map(|(old, new)| Delta { old, len: new.len() }).collect()
    }

    /// Text of little variety, so that much of it repeats.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![&b"line of text\n"[..], b"other\n", b"\0", b"", b"ab"]), 0..200)
            .prop_map(|words| words.concat())
    }

    /// An old text, and the same text after some edits.
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
