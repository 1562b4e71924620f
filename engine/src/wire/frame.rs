//! Frames: the unit of what crosses the wire.
//!
//! ```text
//! length   u32, little endian: of kind and payload
//! kind     u8
//! payload  length - 1 bytes
//! ```
//!
//! A length is checked against [`FRAME_MAX`] before anything is allocated for it. A message that is longer than a
//! frame goes in several frames; all but the last are of a kind that announces another one. The first byte of a
//! message, the number of its kind, determines its greatest length.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::wire::bounds::MessageBounds;
use crate::wire::last_byte::LastByte;

/// The longest frame, in bytes: a block of 8 MiB that does not compress, and its table.
pub(crate) const FRAME_MAX: usize = 10 << 20;

/// The most bytes of queued frames.
const HELD_BYTES_MAX: usize = 4 << 10;

/// The content of a frame. The numbers are part of the protocol and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A message of [`crate::wire::message`].
    Message = 1,
    /// Content of many files: [`crate::wire::block`].
    Block = 2,
    /// A part of a manifest, an outline or signatures, whose length a message announced.
    Part = 3,
}

/// The kind of a frame that holds a message, or the last piece of one.
const MESSAGE: u8 = FrameKind::Message as u8;

/// The kind of a frame that holds a piece of a message, and is followed by another piece.
const PIECE: u8 = 4;

/// Counts the bytes of a stream. Clones share the counter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn lost(source: io::Error) -> Error {
    Error::LineLost { source }
}

/// Writes frames.
pub(crate) struct FrameWriter<W> {
    out: W,
    counter: Counter,
    /// Short frames that go out with the next frame.
    queued: Vec<u8>,
    /// Whether short frames are queued instead of written.
    is_holding: bool,
    /// Whether a frame was written in part: nothing may follow it.
    is_broken: bool,
}

impl<W: Write> FrameWriter<W> {
    /// Makes a writer to `out`.
    pub(crate) fn new(out: W) -> FrameWriter<W> {
        FrameWriter { out, counter: Counter::default(), queued: Vec::new(), is_holding: false, is_broken: false }
    }

    /// Returns the counter of the written bytes.
    pub(crate) fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// Writes one frame, or as many as a long message needs.
    pub(crate) fn write(&mut self, kind: FrameKind, mut payload: &[u8]) -> Result<(), Error> {
        if kind == FrameKind::Message {
            while payload.len() >= FRAME_MAX {
                let (piece, rest) = payload.split_at(FRAME_MAX - 1);
                self.write_frame(PIECE, piece)?;
                payload = rest;
            }
        }
        self.write_frame(kind as u8, payload)
    }

    /// Queues a short message, to be written with the next frame: in one write, and over SSH in one packet, it costs
    /// little more than its own bytes.
    pub(crate) fn queue(&mut self, message: &[u8]) -> Result<(), Error> {
        let header = header(FrameKind::Message as u8, message.len())?;
        self.queued.extend_from_slice(&header);
        self.queued.extend_from_slice(message);
        Ok(())
    }

    /// Starts or stops queueing short frames.
    pub(crate) fn hold(&mut self, hold: bool) -> Result<(), Error> {
        self.is_holding = hold;
        if hold { Ok(()) } else { self.flush_queued() }
    }

    /// Writes the queued frames.
    pub(crate) fn flush_queued(&mut self) -> Result<(), Error> {
        if self.queued.is_empty() { Ok(()) } else { self.write_all(&[]) }
    }

    fn write_frame(&mut self, kind: u8, payload: &[u8]) -> Result<(), Error> {
        self.queued.extend_from_slice(&header(kind, payload.len())?);
        if self.is_holding && self.queued.len() + payload.len() <= HELD_BYTES_MAX {
            self.queued.extend_from_slice(payload);
            return Ok(());
        }
        self.write_all(payload)
    }

    fn write_all(&mut self, payload: &[u8]) -> Result<(), Error> {
        if self.is_broken {
            return Err(lost(ErrorKind::BrokenPipe.into()));
        }
        self.is_broken = true;
        let queued = std::mem::take(&mut self.queued);
        let mut slices = [IoSlice::new(&queued), IoSlice::new(payload)];
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.out.write_vectored(left) {
                Ok(0) => return Err(lost(ErrorKind::WriteZero.into())),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(error)),
            }
        }
        self.is_broken = false;
        self.counter.add(queued.len() + payload.len());
        self.out.flush().map_err(lost)
    }
}

fn header(kind: u8, payload_len: usize) -> Result<[u8; 5], Error> {
    let length = payload_len + 1;
    if length > FRAME_MAX {
        return Err(Error::Bug(format!("a frame of {length} bytes")));
    }
    let mut header = [0; 5];
    header[..4].copy_from_slice(&(length as u32).to_le_bytes());
    header[4] = kind;
    Ok(header)
}

/// A stream that counts the bytes that were read, and notes the time.
struct CountingReader<R> {
    input: R,
    counter: Counter,
    last_byte: LastByte,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if read > 0 {
            self.counter.add(read);
            self.last_byte.note();
        }
        Ok(read)
    }
}

/// Reads frames.
pub(crate) struct FrameReader<R> {
    input: CountingReader<R>,
    /// The greatest length of each kind of message, in bytes, by its number.
    bytes_max: &'static [usize],
    /// The beginning of a message whose last frame was not read yet.
    begun: Vec<u8>,
}

impl<R: Read> FrameReader<R> {
    /// Reads frames from `input`, with messages of one side.
    pub(crate) fn new<M: MessageBounds>(input: R) -> FrameReader<R> {
        FrameReader::bounded(input, M::BYTES_MAX, Counter::default())
    }

    /// Reads blocks alone, and adds their bytes to `counter`. It refuses every message as too long.
    pub(crate) fn of_blocks(input: R, counter: Counter) -> FrameReader<R> {
        FrameReader::bounded(input, &[], counter)
    }

    fn bounded(input: R, bytes_max: &'static [usize], counter: Counter) -> FrameReader<R> {
        let input = CountingReader { input, counter, last_byte: LastByte::now() };
        FrameReader { input, bytes_max, begun: Vec::new() }
    }

    /// Returns the counter of the read bytes.
    pub(crate) fn counter(&self) -> Counter {
        self.input.counter.clone()
    }

    /// Returns the time of the last bytes.
    pub(crate) fn last_byte(&self) -> LastByte {
        self.input.last_byte.clone()
    }

    /// Reads one frame, or a message with all its frames. Returns nothing if the other side closed the stream between
    /// two frames.
    pub(crate) fn read(&mut self) -> Result<Option<(FrameKind, Vec<u8>)>, Error> {
        loop {
            let Some((kind, payload)) = self.read_frame()? else {
                return if self.begun.is_empty() { Ok(None) } else { Err(lost(ErrorKind::UnexpectedEof.into())) };
            };
            if kind == MESSAGE || kind == PIECE {
                self.check_message(&payload)?;
            }
            let kind = match kind {
                MESSAGE if !self.begun.is_empty() => {
                    self.begun.extend_from_slice(&payload);
                    return Ok(Some((FrameKind::Message, std::mem::take(&mut self.begun))));
                }
                MESSAGE => FrameKind::Message,
                2 => FrameKind::Block,
                3 => FrameKind::Part,
                _ if payload.is_empty() => return Err(Error::Protocol("a piece of nothing".into())),
                _ => {
                    self.begun.extend_from_slice(&payload);
                    continue;
                }
            };
            if !self.begun.is_empty() {
                return Err(Error::Protocol("a message that breaks off".into()));
            }
            return Ok(Some((kind, payload)));
        }
    }

    /// Fails if a message with these bytes is longer than its kind may be.
    fn check_message(&self, more: &[u8]) -> Result<(), Error> {
        let kind = usize::from(self.begun.first().or(more.first()).copied().unwrap_or_default());
        let length = self.begun.len() + more.len();
        match self.bytes_max.get(kind) {
            None => Err(Error::Protocol(format!("a message of kind {kind}"))),
            Some(&bytes_max) if length > bytes_max => {
                Err(Error::Protocol(format!("a message of kind {kind} that is longer than {bytes_max} bytes")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Reads one frame of a known kind.
    fn read_frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, Error> {
        let mut header = [0; 5];
        match self.input.read_exact(&mut header[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(lost)?,
        }
        self.input.read_exact(&mut header[1..]).map_err(lost)?;
        let [a, b, c, d, kind] = header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if !(1..=FRAME_MAX).contains(&length) {
            return Err(Error::Protocol(format!("a frame of {length} bytes")));
        }
        if !(1..=PIECE).contains(&kind) {
            return Err(Error::Protocol(format!("a frame of kind {kind}")));
        }
        // Memory grows as bytes arrive: a peer that only announces a length makes nobody allocate it.
        let mut payload = Vec::new();
        let wanted = length - 1;
        let read = (&mut self.input).take(wanted as u64).read_to_end(&mut payload).map_err(lost)?;
        if read < wanted {
            return Err(lost(ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some((kind, payload)))
    }
}

/// Joins the parts of something whose length a message announced.
#[derive(Debug)]
pub(crate) struct Parts {
    bytes: Vec<u8>,
    length: usize,
}

impl Parts {
    /// Makes an empty buffer for `length` bytes, and refuses more than `most`.
    pub(crate) fn begin(length: u64, most: u64) -> Result<Parts, Error> {
        let length = usize::try_from(length).ok().filter(|_| length <= most);
        let length = length.ok_or_else(|| Error::Protocol(format!("parts of more than {most} bytes together")))?;
        Ok(Parts { bytes: Vec::new(), length })
    }

    /// Returns whether all parts were added.
    pub(crate) fn is_complete(&self) -> bool {
        self.bytes.len() == self.length
    }

    /// Adds the next part, which must not be empty and not exceed the announced length.
    pub(crate) fn add(&mut self, part: &[u8]) -> Result<(), Error> {
        if part.is_empty() || part.len() > self.length - self.bytes.len() {
            return Err(Error::Protocol("a part that does not fit what was announced".into()));
        }
        // Unused memory beyond the received bytes is reserved, not touched.
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(self.length);
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// Returns the joined bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds of messages, of which the first may be long.
    struct Any;

    impl MessageBounds for Any {
        const BYTES_MAX: &'static [usize] = &[3 * FRAME_MAX, 100];
    }

    #[test]
    fn frames_read_back_and_are_counted() {
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::new(&mut bytes);
        writer.write(FrameKind::Block, b"content").unwrap();
        writer.write(FrameKind::Message, b"").unwrap();
        assert_eq!(writer.counter().bytes(), 17);
        let mut reader = FrameReader::new::<Any>(&bytes[..]);
        assert_eq!(reader.read().unwrap(), Some((FrameKind::Block, b"content".to_vec())));
        assert_eq!(reader.read().unwrap(), Some((FrameKind::Message, Vec::new())));
        assert_eq!(reader.read().unwrap(), None);
        assert_eq!(reader.counter().bytes(), 17);
    }

    /// A stream that records the length of each write.
    struct Writes(Vec<usize>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let written = slices.iter().map(|slice| slice.len()).sum();
            self.0.push(written);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_held_goes_in_one_write_and_what_is_long_does_not_wait() {
        let mut writer = FrameWriter::new(Writes(Vec::new()));
        writer.hold(true).unwrap();
        for length in [10, 20, HELD_BYTES_MAX, 30] {
            writer.write(FrameKind::Part, &vec![7; length]).unwrap();
        }
        writer.hold(false).unwrap();
        writer.write(FrameKind::Part, &[7; 40]).unwrap();
        assert_eq!(writer.out.0, [HELD_BYTES_MAX + 45, 35, 45]);
        assert_eq!(writer.counter().bytes(), HELD_BYTES_MAX as u64 + 125);
    }

    #[test]
    fn what_is_held_can_be_written_meanwhile_and_what_follows_is_held_again() {
        let mut writer = FrameWriter::new(Writes(Vec::new()));
        writer.hold(true).unwrap();
        writer.write(FrameKind::Part, &[7; 10]).unwrap();
        writer.write(FrameKind::Message, &[7; 20]).unwrap();
        writer.flush_queued().unwrap();
        writer.write(FrameKind::Part, &[7; 30]).unwrap();
        assert_eq!(writer.out.0, [40]);
        writer.hold(false).unwrap();
        assert_eq!(writer.out.0, [40, 35]);
    }

    #[test]
    fn nonsense_and_cut_off_frames_are_errors() {
        let read = |bytes: &[u8]| FrameReader::new::<Any>(bytes).read();
        assert!(matches!(read(&[0, 0, 0, 0, 1]), Err(Error::Protocol(_))));
        assert!(matches!(read(&[255, 255, 255, 255, 1]), Err(Error::Protocol(_))));
        assert!(matches!(read(&[1, 0, 0, 0, 9]), Err(Error::Protocol(_))));
        assert!(matches!(read(&[9, 0, 0, 0, 1, 1]), Err(Error::LineLost { .. })));
        assert!(matches!(read(&[9, 0]), Err(Error::LineLost { .. })));
        assert!(matches!(read(&[2, 0, 0, 0, 4, 1, 2, 0, 0, 0, 2, b'b']), Err(Error::Protocol(_))));
        assert!(matches!(read(&[2, 0, 0, 0, 4, 1]), Err(Error::LineLost { .. })));
        assert!(matches!(read(&[1, 0, 0, 0, 4]), Err(Error::Protocol(_))));
    }

    #[test]
    fn parts_come_to_what_was_announced_and_no_more() {
        let check = |length, parts: &[&[u8]], expected: Option<&[u8]>| {
            let added = Parts::begin(length, 5).and_then(|mut begun| {
                parts.iter().try_for_each(|part| begun.add(part))?;
                Ok(begun.is_complete().then(|| begun.finish()))
            });
            assert_eq!(added.ok().flatten().as_deref(), expected, "{length} {parts:?}");
        };
        check(0, &[], Some(b""));
        check(5, &[b"ab", b"cde"], Some(b"abcde"));
        check(5, &[b"ab"], None);
        check(6, &[], None);
        check(5, &[b"ab", b"cdef"], None);
        check(5, &[b""], None);
        check(u64::MAX, &[], None);
    }

    /// Returns the length and the kind of each frame.
    fn frames(mut bytes: &[u8]) -> Vec<(usize, u8)> {
        let mut frames = Vec::new();
        while let [a, b, c, d, kind, ..] = *bytes {
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            frames.push((length, kind));
            bytes = &bytes[4 + length..];
        }
        frames
    }

    #[test]
    fn a_message_is_no_longer_than_its_kind_may_be() {
        let read = |pieces: &[&[u8]]| {
            let (last, begun) = pieces.split_last().unwrap();
            let mut bytes = Vec::new();
            for (kind, payload) in begun.iter().map(|piece| (PIECE, piece)).chain([(MESSAGE, last)]) {
                bytes.extend_from_slice(&header(kind, payload.len()).unwrap());
                bytes.extend_from_slice(payload);
            }
            FrameReader::new::<Any>(&bytes[..]).read().map(|frame| frame.unwrap().1.len())
        };
        let piece = [1; 60];
        assert_eq!(read(&[&piece]).unwrap(), 60);
        assert_eq!(read(&[&piece, &piece[..40]]).unwrap(), 100);
        for too_long in [&[&piece[..], &piece[..41]][..], &[&piece, &piece, &[]], &[&[1; 101]], &[&[2]]] {
            assert!(matches!(read(too_long), Err(Error::Protocol(_))), "{too_long:?}");
        }
    }

    #[test]
    fn a_message_of_any_length_goes_in_frames_that_are_not_too_long() {
        for (length, expected) in [
            (FRAME_MAX - 1, &[(FRAME_MAX, 1)][..]),
            (FRAME_MAX, &[(FRAME_MAX, 4), (2, 1)]),
            (2 * FRAME_MAX + 5, &[(FRAME_MAX, 4), (FRAME_MAX, 4), (8, 1)]),
        ] {
            // The first byte is the number of the kind.
            let message: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut bytes = Vec::new();
            FrameWriter::new(&mut bytes).write(FrameKind::Message, &message).unwrap();
            assert_eq!(frames(&bytes), expected);
            let mut reader = FrameReader::new::<Any>(&bytes[..]);
            assert!(reader.read().unwrap() == Some((FrameKind::Message, message)), "{length}");
            assert_eq!(reader.read().unwrap(), None);
        }
        let block = vec![0; FRAME_MAX];
        assert!(matches!(FrameWriter::new(Vec::new()).write(FrameKind::Block, &block), Err(Error::Bug(_))));
    }
}
