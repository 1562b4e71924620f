//! The lines that a server sends before its SSH greeting. A server that never greets is at the wrong port.
//!
//! SSH allows such lines, so only a server that goes on with something else is no SSH server. libssh2 takes the lines
//! off the socket and keeps only the last one. So they are read from the socket just before libssh2 does; if that was
//! too late, a second connection reads them.

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

/// The time that a server may take from its first line to its greeting.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The beginning of each SSH greeting.
const SIGN: &[u8] = b"SSH-";
const OWN_GREETING: &[u8] = b"SSH-2.0-Cutover\r\n";
/// The bytes kept of the first line.
const KEPT_BYTES: usize = 256;
/// The error that ends the wait: libssh2's code for a bad greeting.
const NO_GREETING: ErrorCode = ErrorCode::Session(-2);

/// The lines that a server sends before its SSH greeting.
#[derive(Default)]
pub(super) struct Preface {
    has_come: bool,
    is_ssh: bool,
    /// The time of the first bytes.
    since: Option<Instant>,
}

impl Preface {
    /// Inspects the bytes that libssh2 is about to read. Ends the wait for a server that sends something other than
    /// SSH.
    pub(super) fn inspect(&mut self, line: &Line) -> Result<(), ssh2::Error> {
        if self.is_ssh {
            return Ok(());
        }
        let mut bytes = [0; 4];
        // If this fails, libssh2 reports the error.
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

    /// Returns whether the server has sent anything.
    pub(super) fn has_come(&self) -> bool {
        self.has_come
    }

    /// Returns whether the server has sent its SSH greeting, perhaps after other lines.
    pub(super) fn is_ssh(&mut self, session: &Session) -> bool {
        self.note(session.banner_bytes().unwrap_or_default());
        self.is_ssh
    }

    /// Connects once more, and returns the server's first line. Returns nothing if the server sends nothing, or an
    /// SSH greeting this time.
    pub(super) fn read_first_line(settings: &HostSettings, cancel: &Cancel) -> Result<Option<String>, Error> {
        let (mut socket, _) = tcp::connect(settings, cancel)?;
        // Some servers wait for the client to speak first.
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

/// Returns whether a server says that it accepts no connection now: too many logins are under way, or, since OpenSSH
/// 9.8, logins from this address have failed (`PerSourcePenalties`).
pub(super) fn is_busy(said: &str) -> bool {
    said.starts_with("Exceeded MaxStartups") || said.starts_with("Not allowed at this time")
}
