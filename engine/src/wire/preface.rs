//! What a server says before it says that it speaks SSH. One that never does listens at the wrong port.
//!
//! A server may print lines before its greeting, so only one that goes on with something else is no server of SSH. libssh2
//! takes the lines off the socket and forgets them, so they are looked at just before.

use std::time::{Duration, Instant};

use ssh2::{ErrorCode, Session};

use crate::path::Shown;
use crate::wire::pump::Line;

/// How long after its first line a server may take to say that it speaks SSH.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much is kept.
const KEPT_BYTES: usize = 256;
/// What ends the wait: libssh2's code for a greeting that cannot be taken.
const NO_GREETING: ErrorCode = ErrorCode::Session(-2);

/// What a server says before it says that it speaks SSH.
#[derive(Default)]
pub(super) struct Preface {
    said: Vec<u8>,
    /// When the first of it came.
    since: Option<Instant>,
}

impl Preface {
    /// Looks at what has come, which libssh2 is about to take. Ends the wait for a server that says something else.
    pub(super) fn look(&mut self, line: &Line) -> Result<(), ssh2::Error> {
        if self.said.is_empty() {
            let mut bytes = [0; KEPT_BYTES];
            // What cannot be looked at is missing from a message.
            let length = line.socket.peek(&mut bytes).unwrap_or_default();
            self.said = bytes[..length].to_vec();
        }
        if self.said.is_empty() || self.is_ssh(&line.session) {
            return Ok(());
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < TIMEOUT { Ok(()) } else { Err(ssh2::Error::from_errno(NO_GREETING)) }
    }

    /// Tells whether the server has said that it speaks SSH. It may say something else before.
    pub(super) fn is_ssh(&self, session: &Session) -> bool {
        session.banner_bytes().is_some_and(|banner| banner.starts_with(b"SSH-")) || self.said.starts_with(b"SSH-")
    }

    /// Returns the first line that is no greeting.
    pub(super) fn words(&self, session: &Session) -> Option<String> {
        let said = if self.said.is_empty() { session.banner_bytes().unwrap_or_default() } else { &self.said };
        let line = said.split(|byte| b"\r\n".contains(byte)).next()?;
        (!said.is_empty()).then(|| Shown(line).to_string())
    }
}

/// Tells whether a server says that it takes no connection now.
pub(super) fn is_busy(said: &str) -> bool {
    said.starts_with("Exceeded MaxStartups")
}
