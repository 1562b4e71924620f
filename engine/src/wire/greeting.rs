//! The greeting: the first bytes that an agent writes, before it reads any.
//!
//! ```text
//! 4 bytes    magic, none of them ASCII, so that no shell prints them by accident
//! u16 LE     version of the protocol
//! 16 bytes   the first of blake3 of the agent's own executable
//! ```
//!
//! A login shell may print before the agent starts (`.bashrc`, a message of the day). This noise is skipped. Its end
//! is kept for the error message if no greeting follows. Nothing beyond the greeting is read.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::wire::program::{MARK_BYTES, Program, ProgramMark};

/// The version of the protocol. A version that cannot speak to its predecessor gets the next number.
pub(crate) const PROTOCOL_VERSION: u16 = 1;

/// No byte is ASCII, and the magic is not UTF-8.
const MAGIC: [u8; 4] = [0xc7, 0xf4, 0xff, 0x9e];
const GREETING_BYTES: usize = MAGIC.len() + 2 + MARK_BYTES;
/// The noise that is kept: its end, where a shell prints why the agent did not start.
const NOISE_KEPT: usize = 64 << 10;
/// More noise than any login prints. It stops a program that prints forever.
const NOISE_MAX: usize = 16 << 20;
/// The interval at which a wait checks for an interrupt.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// The greeting of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The version of the agent's protocol.
    pub(crate) version: u16,
    /// The mark of the agent's executable.
    pub(crate) program: ProgramMark,
    /// The end of the noise before the greeting.
    pub(crate) noise: Vec<u8>,
}

/// The reason that no greeting came.
#[derive(Debug)]
pub(crate) enum NoGreeting {
    /// The stream ended or ran on without a greeting. Holds the end of its content.
    Missing(Vec<u8>),
    /// The time was over. Holds the end of the stream so far.
    TimedOut(Vec<u8>),
    /// The user interrupted the wait, or the stream failed.
    Failed(Error),
}

/// Writes the greeting. `program` is the agent's own executable.
pub(crate) fn write_greeting(mut output: impl Write, program: &Path) -> Result<(), Error> {
    let program = Program::open(program)?;
    let mut greeting = Vec::with_capacity(GREETING_BYTES);
    greeting.extend_from_slice(&MAGIC);
    greeting.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    greeting.extend_from_slice(&program.mark());
    output.write_all(&greeting).and_then(|()| output.flush()).map_err(|source| Error::LineLost { source })
}

/// Reads the greeting, and not a byte more.
pub(crate) fn read_greeting(
    mut input: impl Read + AsFd,
    deadline: Instant,
    cancel: &Cancel,
) -> Result<Greeting, NoGreeting> {
    let mut seen = Vec::new();
    let mut seen_bytes = 0;
    loop {
        // Twice as much as is kept, so that the bytes are seldom moved.
        if seen.len() > 2 * NOISE_KEPT {
            seen.drain(..seen.len() - NOISE_KEPT);
        }
        let missing = match find(&seen) {
            Search::Whole(greeting) => return Ok(greeting),
            Search::Lacks(bytes) => bytes,
        };
        if seen_bytes > NOISE_MAX {
            return Err(NoGreeting::Missing(seen));
        }
        if !wait_readable(&input, deadline, cancel).map_err(NoGreeting::Failed)? {
            return Err(NoGreeting::TimedOut(seen));
        }
        let mut buffer = [0; GREETING_BYTES];
        match input.read(&mut buffer[..missing]) {
            Ok(0) => return Err(NoGreeting::Missing(seen)),
            Ok(bytes) => {
                seen.extend_from_slice(&buffer[..bytes]);
                seen_bytes += bytes;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(NoGreeting::Failed(Error::LineLost { source })),
        }
    }
}

enum Search {
    Whole(Greeting),
    /// At least this many bytes are still to come, so reading them does not read beyond the greeting.
    Lacks(usize),
}

fn find(seen: &[u8]) -> Search {
    // Only the last read, which is no longer than a greeting, was not searched yet.
    let recent = seen.len().saturating_sub(3 * GREETING_BYTES);
    let (before, seen) = seen.split_at(recent);
    if let Some(start) = seen.windows(MAGIC.len()).position(|window| window == MAGIC) {
        let body = &seen[start + MAGIC.len()..];
        let Some((version, rest)) = body.split_first_chunk::<2>() else {
            return Search::Lacks(GREETING_BYTES - MAGIC.len() - body.len());
        };
        let Ok(program) = ProgramMark::try_from(rest) else {
            return Search::Lacks(GREETING_BYTES - MAGIC.len() - body.len());
        };
        return Search::Whole(Greeting {
            version: u16::from_le_bytes(*version),
            program,
            noise: [before, &seen[..start]].concat(),
        });
    }
    let begun = (0..MAGIC.len()).rev().find(|&bytes| seen.ends_with(&MAGIC[..bytes])).unwrap_or(0);
    Search::Lacks(GREETING_BYTES - begun)
}

/// Waits until `input` can be read. Returns false at the deadline.
pub(super) fn wait_readable(input: &impl AsFd, deadline: Instant, cancel: &Cancel) -> Result<bool, Error> {
    loop {
        cancel.check()?;
        let left = deadline.saturating_duration_since(Instant::now());
        let slice = timespec(left.min(SLICE));
        match poll(&mut [PollFd::new(input, PollFlags::IN)], Some(&slice)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(Error::LineLost { source: errno.into() }),
        }
    }
}

/// Returns `duration` as a `timespec`.
pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::PipeReader;

    use super::*;
    use crate::hash::Hash;

    fn program() -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"the program").unwrap();
        file
    }

    /// Writes `before`, a greeting and `after` into a pipe, and returns its other end.
    fn greeted(before: &[u8], after: &[u8]) -> PipeReader {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let before = before.to_vec();
        let after = after.to_vec();
        std::thread::spawn(move || {
            writer.write_all(&before).ok();
            write_greeting(&mut writer, program().path()).ok();
            writer.write_all(&after).ok();
        });
        reader
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn noise_before_the_greeting_is_skipped_and_kept() {
        for noise in [&b""[..], b"Welcome!\n", &MAGIC[..3], &[0xc7; 5], &[b'x'; NOISE_KEPT - 1]] {
            let mut input = greeted(noise, b"frames");
            let greeting = read_greeting(&input, soon(), &Cancel::default()).unwrap();
            assert_eq!(greeting.noise, noise);
            assert_eq!(greeting.version, PROTOCOL_VERSION);
            assert_eq!(greeting.program, Hash::of(b"the program").as_bytes()[..MARK_BYTES]);
            let mut rest = Vec::new();
            input.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"frames", "nothing beyond the greeting is read");
        }
    }

    #[test]
    fn a_stream_without_a_greeting_returns_what_came_instead() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"no such command\n").unwrap();
        drop(writer);
        match read_greeting(&reader, soon(), &Cancel::default()) {
            Err(NoGreeting::Missing(noise)) => assert_eq!(noise, b"no such command\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_much_noise_the_end_is_kept() {
        let noise = [vec![b'x'; 5 * NOISE_KEPT], b"the end".to_vec()].concat();
        let greeting = read_greeting(greeted(&noise, b""), soon(), &Cancel::default()).unwrap();
        assert!(greeting.noise.len() <= 2 * NOISE_KEPT + GREETING_BYTES && noise.ends_with(&greeting.noise));
        assert!(greeting.noise.len() >= NOISE_KEPT - GREETING_BYTES);
    }

    #[test]
    fn endless_noise_is_cut_off() {
        let input = greeted(&vec![b'x'; NOISE_MAX + 3 * GREETING_BYTES], b"");
        match read_greeting(&input, Instant::now() + Duration::from_secs(300), &Cancel::default()) {
            Err(NoGreeting::Missing(noise)) => assert!(noise.len() <= 2 * NOISE_KEPT + GREETING_BYTES),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let result = read_greeting(&reader, Instant::now(), &Cancel::default());
        assert!(matches!(result, Err(NoGreeting::TimedOut(noise)) if noise.is_empty()));
    }

    #[test]
    fn an_interrupt_ends_the_wait() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let cancel = Cancel::default();
        cancel.cancel();
        let result = read_greeting(&reader, soon(), &cancel);
        assert!(matches!(result, Err(NoGreeting::Failed(Error::Interrupted))));
    }
}
