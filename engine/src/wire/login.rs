//! A login at a server: commands run there, one after another, whatever speaks SSH.
//!
//! Both transports look the same from here on. A command that runs is two streams and the process behind them; the
//! process is waited for only after both streams were dropped or came to their end, because whatever moves the bytes
//! needs somebody at the other end of each.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::path::shown_lines;
use crate::wire::arrived::Arrived;
use crate::wire::connection::{Carrier, Connection};

/// How much of what a command prints on stderr is kept: the end, which is where a failing command says why.
const TAIL_BYTES: usize = 4 << 10;
/// How long a command may take to end after both its streams were closed.
pub(super) const LINGER: Duration = Duration::from_secs(30);

/// A login at a server.
pub(super) trait Login {
    /// Starts a command. Its stdin and stdout are the streams of what is returned.
    fn run(&mut self, command: &str) -> Result<Running, Error>;

    /// Returns why the transport itself failed, where the end of a command shows that.
    fn failure(&self, _ended: &Ended) -> Option<Error> {
        None
    }

    /// Returns the server as the user wrote it, for messages.
    fn host(&self) -> &str;

    /// Returns the time that a byte takes to the server and back, where it was measured.
    fn round_trip(&self) -> Option<Duration> {
        None
    }
}

/// A command that runs at the server.
pub(super) struct Running {
    /// Its stdout.
    pub(super) input: File,
    /// Its stdin.
    pub(super) output: File,
    /// How much of its stdin has arrived, where that is known.
    pub(super) arrived: Option<Arrived>,
    /// What runs it.
    pub(super) process: Box<dyn Process>,
}

impl Running {
    /// Makes a connection of it, once the agent has greeted.
    pub(super) fn into_connection(self) -> Connection {
        Connection {
            input: self.input,
            output: self.output,
            carrier: Box::new(ProcessCarrier(self.process)),
            lanes: None,
            copied_at: None,
        }
    }

    /// Closes both streams and waits for the end of the command.
    pub(super) fn end(self) -> Result<Ended, Error> {
        drop(self.output);
        drop(self.input);
        self.process.wait()
    }
}

/// What runs a command.
pub(super) trait Process: Send {
    /// Waits until the command has ended; both streams must have been dropped, or have come to their end.
    fn wait(self: Box<Self>) -> Result<Ended, Error>;
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit status; none when a signal killed it.
    pub(super) status: Option<i32>,
    /// The end of what it printed on stderr.
    pub(super) words: Vec<u8>,
}

struct ProcessCarrier(Box<dyn Process>);

impl Carrier for ProcessCarrier {
    fn finish(self: Box<Self>) -> Result<(), Error> {
        let ended = self.0.wait()?;
        if ended.status == Some(0) {
            return Ok(());
        }
        let status = match ended.status {
            Some(status) => format!("with status {status}"),
            None => "by a signal".to_owned(),
        };
        Err(Error::LineLost {
            source: io::Error::other(format!("The agent ended {status}: {}", shown_lines(&ended.words))),
        })
    }
}

/// The end of what a command prints on stderr. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    /// Appends, and forgets what is too old.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let excess = kept.len().saturating_sub(TAIL_BYTES);
        kept.drain(..excess);
    }

    /// Returns what is kept.
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
