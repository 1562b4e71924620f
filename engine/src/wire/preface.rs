//! What a server says before it says that it speaks SSH. One that never does listens at the wrong port.
//!
//! A server may print lines before its greeting, so only one that goes on with something else is no server of SSH. libssh2
//! takes the lines off the socket and keeps the last one. So they are looked at just before; and where that came too late, a
//! connection of its own hears them.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ssh2::{ErrorCode, Session};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::path::Shown;
use crate::wire::greeting::wait_readable;
use crate::wire::host_settings::HostSettings;
use crate::wire::pump::Line;
use crate::wire::tcp;

/// How long after its first line a server may take to say that it speaks SSH.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How each greeting of SSH begins.
const SIGN: &[u8] = b"SSH-";
const OWN_GREETING: &[u8] = b"SSH-2.0-Cutover\r\n";
/// How much is kept of the first line.
const KEPT_BYTES: usize = 256;
/// What ends the wait: libssh2's code for a greeting that cannot be taken.
const NO_GREETING: ErrorCode = ErrorCode::Session(-2);

/// What a server says before it says that it speaks SSH.
#[derive(Default)]
pub(super) struct Preface {
    has_come: bool,
    is_ssh: bool,
    /// When the first of it came.
    since: Option<Instant>,
}

impl Preface {
    /// Looks at what has come, which libssh2 is about to take. Ends the wait for a server that says something else.
    pub(super) fn look(&mut self, line: &Line) -> Result<(), ssh2::Error> {
        if self.is_ssh {
            return Ok(());
        }
        let mut bytes = [0; 4];
        // Where it cannot be looked at, libssh2 finds out why.
        let length = line.socket.peek(&mut bytes).unwrap_or_default();
        self.note(line.session.banner_bytes().unwrap_or_default());
        self.note(&bytes[..length]);
        if !self.has_come || self.is_ssh {
            return Ok(());
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < TIMEOUT { Ok(()) } else { Err(ssh2::Error::from_errno(NO_GREETING)) }
    }

    fn note(&mut self, said: &[u8]) {
        self.has_come |= !said.is_empty();
        self.is_ssh |= said.starts_with(SIGN);
    }

    /// Tells whether the server has said anything.
    pub(super) fn has_come(&self) -> bool {
        self.has_come
    }

    /// Tells whether the server has said that it speaks SSH. It may say something else before.
    pub(super) fn is_ssh(&mut self, session: &Session) -> bool {
        self.note(session.banner_bytes().unwrap_or_default());
        self.is_ssh
    }

    /// Connects once more, and returns the first line that the server says; none where it says nothing, or speaks SSH now.
    pub(super) fn hear(settings: &HostSettings, cancel: &Cancel) -> Result<Option<String>, Error> {
        let (mut socket, _) = tcp::connect(settings, cancel)?;
        // Some speak only when they are spoken to.
        if socket.write_all(OWN_GREETING).is_err() {
            return Ok(None);
        }
        let mut bytes = [0; KEPT_BYTES];
        wait_readable(&socket, Instant::now() + TIMEOUT, cancel)?;
        let length = socket.read(&mut bytes).unwrap_or_default();
        let said = &bytes[..length];
        let line = said.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
        Ok((!said.is_empty() && !said.starts_with(SIGN)).then(|| Shown(line).to_string()))
    }
}

/// Tells whether a server says that it takes no connection now: too many log in, or, since OpenSSH 9.8, logins from this
/// address have failed (`PerSourcePenalties`).
pub(super) fn is_busy(said: &str) -> bool {
    said.starts_with("Exceeded MaxStartups") || said.starts_with("Not allowed at this time")
}
