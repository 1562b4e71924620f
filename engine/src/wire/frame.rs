//! Frames: the unit of what crosses the wire.
//!
//! ```text
//! length   u32, little endian: of kind and payload
//! kind     u8
//! payload  length - 1 bytes
//! ```
//!
//! A length is checked against [`FRAME_MAX`] before anything is allocated for it.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// The longest frame, in bytes: a block of 8 MiB that does not compress, and its table.
pub(crate) const FRAME_MAX: usize = 10 << 20;

/// What a frame carries. The numbers are part of the protocol and are never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A message of [`crate::wire::message`].
    Message = 1,
    /// Content of many files: [`crate::wire::block`].
    Block = 2,
    /// A part of a manifest that a message announced.
    Part = 3,
}

/// Counts bytes that passed.
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
}

impl<W: Write> FrameWriter<W> {
    /// Writes to `out`.
    pub(crate) fn new(out: W) -> FrameWriter<W> {
        FrameWriter { out, counter: Counter::default() }
    }

    /// Returns what counts the bytes written.
    pub(crate) fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// Writes one frame.
    pub(crate) fn write(&mut self, kind: FrameKind, payload: &[u8]) -> Result<(), Error> {
        let length = payload.len() + 1;
        if length > FRAME_MAX {
            return Err(Error::Bug(format!("a frame of {length} bytes")));
        }
        let mut header = [0; 5];
        header[..4].copy_from_slice(&(length as u32).to_le_bytes());
        header[4] = kind as u8;
        let mut slices = [IoSlice::new(&header), IoSlice::new(payload)];
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match self.out.write_vectored(left) {
                Ok(0) => return Err(lost(ErrorKind::WriteZero.into())),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(error)),
            }
        }
        self.counter.add(header.len() + payload.len());
        self.out.flush().map_err(lost)
    }
}

/// Reads frames.
pub(crate) struct FrameReader<R> {
    input: R,
    counter: Counter,
}

impl<R: Read> FrameReader<R> {
    /// Reads from `input`.
    pub(crate) fn new(input: R) -> FrameReader<R> {
        FrameReader { input, counter: Counter::default() }
    }

    /// Returns what counts the bytes read.
    pub(crate) fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// Reads one frame; nothing when the other side has closed between two frames.
    pub(crate) fn read(&mut self) -> Result<Option<(FrameKind, Vec<u8>)>, Error> {
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
        let kind = match kind {
            1 => FrameKind::Message,
            2 => FrameKind::Block,
            3 => FrameKind::Part,
            other => return Err(Error::Protocol(format!("a frame of kind {other}"))),
        };
        // Grows as the bytes come: a peer that only declares a length makes nobody allocate it.
        let mut payload = Vec::new();
        let wanted = length - 1;
        let read = (&mut self.input).take(wanted as u64).read_to_end(&mut payload).map_err(lost)?;
        if read < wanted {
            return Err(lost(ErrorKind::UnexpectedEof.into()));
        }
        self.counter.add(header.len() + wanted);
        Ok(Some((kind, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_are_counted() {
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::new(&mut bytes);
        writer.write(FrameKind::Block, b"content").unwrap();
        writer.write(FrameKind::Message, b"").unwrap();
        assert_eq!(writer.counter().bytes(), 17);
        let mut reader = FrameReader::new(&bytes[..]);
        assert_eq!(reader.read().unwrap(), Some((FrameKind::Block, b"content".to_vec())));
        assert_eq!(reader.read().unwrap(), Some((FrameKind::Message, Vec::new())));
        assert_eq!(reader.read().unwrap(), None);
        assert_eq!(reader.counter().bytes(), 17);
    }

    #[test]
    fn nonsense_and_cut_off_frames_are_errors() {
        let read = |bytes: &[u8]| FrameReader::new(bytes).read();
        assert!(matches!(read(&[0, 0, 0, 0, 1]), Err(Error::Protocol(_))));
        assert!(matches!(read(&[255, 255, 255, 255, 1]), Err(Error::Protocol(_))));
        assert!(matches!(read(&[1, 0, 0, 0, 9]), Err(Error::Protocol(_))));
        assert!(matches!(read(&[9, 0, 0, 0, 1, 1]), Err(Error::LineLost { .. })));
        assert!(matches!(read(&[9, 0]), Err(Error::LineLost { .. })));
    }
}
