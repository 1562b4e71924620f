//! A login on a server, which runs commands there one after another, over any transport.
//!
//! A running command is two streams and the process behind them. The process must be waited for only after both
//! streams were dropped or read to their end: its thread or program moves the bytes, and needs a reader and a writer
//! at their other ends.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::path::shown_lines;
use crate::wire::ack_meter::AckMeter;
use crate::wire::connection::{Carrier, Connection};

/// The part of a command's stderr that is kept: its end, where a failing command prints the reason.
const TAIL_BYTES: usize = 4 << 10;
/// The time that a login may take until a command answers. Some logins run a lot of configuration first.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(60);
/// The time that a command may take to end after both its streams were closed.
pub(super) const LINGER: Duration = Duration::from_secs(30);

/// A login on a server.
pub(super) trait Login {
    /// Starts a command.
    fn run(&mut self, command: &str) -> Result<RemoteCommand, Error>;

    /// Returns the failure of the transport itself, if the command's exit shows one.
    fn failure(&self, _ended: &Exit) -> Option<Error> {
        None
    }

    /// Returns the server as the user wrote it, for messages.
    fn host(&self) -> &str;

    /// Returns the round trip to the server, if it was measured.
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// Returns the time in which a command must have begun to answer. A login may be a part of it.
    fn patience(&self) -> Duration {
        GREETING_TIMEOUT
    }

    /// Returns whether a further connection can log in without a question to a person.
    fn is_repeatable(&self) -> bool {
        false
    }
}

/// A command that runs on the server.
pub(super) struct RemoteCommand {
    /// Its stdout.
    pub(super) input: File,
    /// Its stdin.
    pub(super) output: File,
    /// The meter of its stdin, if the transport has one.
    pub(super) ack_meter: Option<AckMeter>,
    /// The process behind the streams.
    pub(super) process: Box<dyn Process>,
}

impl RemoteCommand {
    /// Makes a connection of the command, once the agent has greeted.
    /// `noise` is what the login printed before the greeting.
    pub(super) fn into_connection(self, noise: Vec<u8>) -> Connection {
        Connection {
            input: self.input,
            output: self.output,
            carrier: Box::new(ProcessCarrier(self.process)),
            lanes: None,
            copied_at: None,
            lent_bytes: None,
            noise,
        }
    }

    /// Closes both streams and waits for the exit.
    pub(super) fn end(self) -> Result<Exit, Error> {
        drop(self.output);
        drop(self.input);
        self.process.wait()
    }
}

/// The process or thread that runs a command.
pub(super) trait Process: Send {
    /// Waits for the exit. Both streams must have been dropped or read to their end.
    fn wait(self: Box<Self>) -> Result<Exit, Error>;
}

/// The exit of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    /// The exit status, or nothing if a signal killed the command.
    pub(super) status: Option<i32>,
    /// The end of its stderr.
    pub(super) stderr: Vec<u8>,
}

struct ProcessCarrier(Box<dyn Process>);

impl Carrier for ProcessCarrier {
    fn finish(self: Box<Self>) -> Result<(), Error> {
        let exit = self.0.wait()?;
        if exit.status == Some(0) {
            return Ok(());
        }
        let status = match exit.status {
            Some(status) => format!("with status {status}"),
            None => "by a signal".to_owned(),
        };
        Err(Error::LineLost {
            source: io::Error::other(format!("The agent ended {status}: {}", shown_lines(&exit.stderr))),
        })
    }
}

/// The end of a command's stderr. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    /// Appends bytes, and drops the oldest.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let excess = kept.len().saturating_sub(TAIL_BYTES);
        kept.drain(..excess);
    }

    /// Returns the kept bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_stderr_is_kept() {
        let tail = Tail::default();
        tail.push(&[b'a'; TAIL_BYTES]);
        tail.push(b"the end");
        assert_eq!(tail.bytes().len(), TAIL_BYTES);
        assert!(tail.bytes().ends_with(b"the end"));
    }
}
