//! Steps with a session that does not block. An interrupt or a deadline ends each of them.

use std::cell::Cell;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use ssh2::{BlockDirections, ErrorCode, Session};

use crate::cancel::Cancel;
use crate::error::{Error, ReachError};
use crate::server::Server;
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
    /// The time of the last answer of a person. The limit counts from here: nobody has to type quickly.
    pub(super) answered: Cell<Option<Instant>>,
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
        loop {
            self.cancel.check()?;
            let outcome = take();
            let began = self.answered.get().map_or(began, |answered| answered.max(began));
            let deadline = deadline.unwrap_or(began + self.patience);
            match outcome {
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

    /// Notes that a person has answered.
    pub(super) fn answered(&self) {
        self.answered.set(Some(Instant::now()));
    }

    /// Ends the connection, so that a step fails that cannot be broken off otherwise.
    pub(super) fn hang_up(&self) {
        self.socket.shutdown(Shutdown::Both).ok();
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_time_that_a_person_takes_is_not_the_servers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let steps = Steps {
            server: Server { name: "shop".into(), host_name: "shop".into(), port: 22 },
            socket: Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap()),
            cancel: Cancel::default(),
            patience: Duration::from_millis(300),
            answered: Cell::new(None),
        };
        let session = Session::new().unwrap();
        let again = || Err::<(), _>(ssh2::Error::from_errno(AGAIN));
        // An answer that comes after the limit, and a reply of the server soon after it.
        let mut calls = 0;
        let asks = || {
            calls += 1;
            if calls == 1 {
                std::thread::sleep(Duration::from_millis(400));
                steps.answered();
                return again();
            }
            Ok(())
        };
        assert!(steps.attempt(&session, "log in", asks).unwrap().is_ok());
        // A server that never replies.
        assert!(steps.attempt(&session, "log in", again).is_err());
    }
}
