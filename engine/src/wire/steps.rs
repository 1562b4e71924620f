//! Steps with a session that does not block. An interrupt or a deadline ends each of them.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use ssh2::{BlockDirections, ErrorCode, Session};

use crate::cancel::Cancel;
use crate::error::{Error, ReachError};
use crate::target::Server;
use crate::wire::greeting::{SLICE, timespec};

/// The time limit of one step: enough to touch a key, and for a server that looks up names first.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// libssh2's answers for "call again" and "nothing came in a minute".
const AGAIN: ErrorCode = ErrorCode::Session(-37);
const TIMED_OUT: ErrorCode = ErrorCode::Session(-9);

/// Runs steps with a session that does not block.
pub(super) struct Steps {
    pub(super) server: Server,
    pub(super) socket: Arc<TcpStream>,
    pub(super) cancel: Cancel,
    /// The time limit of one step.
    pub(super) patience: Duration,
}

impl Steps {
    /// Runs a step, and returns its failure as an error.
    pub(super) fn step<T>(
        &self,
        session: &Session,
        action: &'static str,
        take: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, Error> {
        self.attempt(session, action, take)?.map_err(|error| self.failed(action, error))
    }

    /// Runs a step that may fail: only an interrupt and the deadline are errors of the outer result.
    pub(super) fn attempt<T>(
        &self,
        session: &Session,
        action: &'static str,
        take: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<Result<T, ssh2::Error>, Error> {
        self.attempt_until(session, action, None, take)
    }

    /// Works like [`Steps::attempt`], with another deadline.
    pub(super) fn attempt_until<T>(
        &self,
        session: &Session,
        action: &'static str,
        deadline: Option<Instant>,
        mut take: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<Result<T, ssh2::Error>, Error> {
        let began = Instant::now();
        let deadline = deadline.unwrap_or(began + self.patience);
        loop {
            self.cancel.check()?;
            match take() {
                Err(error) if error.code() == AGAIN => {}
                Err(error) if error.code() == TIMED_OUT => return Err(self.timed_out(action, began)),
                done => return Ok(done),
            }
            if Instant::now() >= deadline {
                return Err(self.timed_out(action, began));
            }
            self.wait(session, deadline).map_err(|error| self.failed(action, error))?;
        }
    }

    fn timed_out(&self, action: &'static str, began: Instant) -> Error {
        let words = format!("It did not answer within {} seconds", began.elapsed().as_secs());
        self.failed(action, io::Error::new(io::ErrorKind::TimedOut, words))
    }

    fn wait(&self, session: &Session, deadline: Instant) -> io::Result<()> {
        let wanted = match session.block_directions() {
            BlockDirections::None | BlockDirections::Inbound => PollFlags::IN,
            BlockDirections::Outbound => PollFlags::OUT,
            BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut [PollFd::new(&*self.socket, wanted)], Some(&timespec(left.min(SLICE)))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes the error for a failed step.
    pub(super) fn failed(
        &self,
        action: &'static str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::from(ReachError::Ssh { server: self.server.clone(), action, source: error.into() })
    }
}

/// Waits, and fails at an interrupt.
pub(super) fn wait_a_moment(time: Duration, cancel: &Cancel) -> Result<(), Error> {
    let until = Instant::now() + time;
    loop {
        cancel.check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(SLICE));
    }
}
