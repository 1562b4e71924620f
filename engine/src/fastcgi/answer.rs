//! Reads the answer of PHP-FPM, record by record.

use crate::error::FpmFault;

use super::beginning::beginning;
use super::record::{END_REQUEST, HEAD_BYTES, Head, STDERR, STDOUT};

/// The length of the output, and of the messages, that is kept. Our scripts print one line.
const KEPT_BYTES_MAX: usize = 16 << 10;

/// The length of an answer that is read. A pool can have a script of its own that prints before ours.
const READ_BYTES_MAX: usize = 4 << 20;

/// The request was carried out.
const COMPLETE: u8 = 0;
/// The server has no room for it.
const OVERLOADED: u8 = 2;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FpmAnswer {
    /// The status, as over HTTP.
    pub(crate) status: u16,
    /// The beginning of the body.
    pub(crate) body: Vec<u8>,
    /// The beginning of the messages of PHP.
    pub(crate) messages: Vec<u8>,
}

/// An answer of which a part has come.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Bytes of a record that is not complete.
    waiting: Vec<u8>,
    output: Vec<u8>,
    messages: Vec<u8>,
    read: usize,
    /// The end of the request: its protocol status.
    end: Option<u8>,
}

impl Reading {
    /// Takes bytes. Returns whether the answer is complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, FpmFault> {
        self.read += bytes.len();
        if self.read > READ_BYTES_MAX {
            return Err(FpmFault::TooLong { most: READ_BYTES_MAX as u64 });
        }
        self.waiting.extend_from_slice(bytes);
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = &waiting[..];
        while let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
            let head = Head::read(*head).ok_or(FpmFault::NotFastCgi)?;
            let Some((content, after)) = behind.split_at_checked(head.content) else { break };
            let Some((_, after)) = after.split_at_checked(head.padding) else { break };
            self.take_record(head.kind, content)?;
            rest = after;
        }
        self.waiting = rest.to_vec();
        Ok(self.end.is_some())
    }

    fn take_record(&mut self, kind: u8, content: &[u8]) -> Result<(), FpmFault> {
        let keep = |kept: &mut Vec<u8>| {
            let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(&content[..content.len().min(room)]);
        };
        match kind {
            STDOUT => keep(&mut self.output),
            STDERR => keep(&mut self.messages),
            // The status of the application, in four bytes, and that of the protocol.
            END_REQUEST => self.end = Some(*content.get(4).ok_or(FpmFault::NotFastCgi)?),
            _ => return Err(FpmFault::NotFastCgi),
        }
        Ok(())
    }

    /// Returns the fault of a connection that ended before the answer did.
    pub(super) fn ended_early(&self) -> FpmFault {
        match beginning(&self.messages) {
            text if text.is_empty() => FpmFault::Closed { reason: "the connection ended".into() },
            text => FpmFault::Closed { reason: text },
        }
    }

    /// Returns the complete answer.
    pub(super) fn answer(self) -> Result<FpmAnswer, FpmFault> {
        match self.end {
            Some(COMPLETE) => {}
            Some(OVERLOADED) => return Err(FpmFault::Overloaded),
            _ => return Err(FpmFault::NotFastCgi),
        }
        let (head, body) = split_head(&self.output);
        Ok(FpmAnswer { status: status(head)?, body: body.to_vec(), messages: self.messages })
    }
}

/// Splits an output into its headers and its body.
fn split_head(output: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::find(output, b"\r\n\r\n") {
        Some(at) => (&output[..at], &output[at + 4..]),
        None => (output, &[]),
    }
}

/// Returns the status among the headers, which is 200 where none names it.
fn status(head: &[u8]) -> Result<u16, FpmFault> {
    let text = String::from_utf8_lossy(head);
    let value = text.lines().find_map(|line| line.strip_prefix("Status:"));
    let Some(value) = value else { return Ok(200) };
    value.split_whitespace().next().and_then(|code| code.parse().ok()).ok_or(FpmFault::NotFastCgi)
}
