//! Asks PHP-FPM to run a script, by FastCGI.
//!
//! A request runs on a thread of its own, which is left alone if the time is over or the work is stopped: a pool whose
//! processes are all busy cannot hold up a run for longer than that. The time limit covers the whole request, from the
//! connection to the last record. A script may print any amount, and only the beginning of it is kept.
//!
//! This client sends one request on a connection, without a body. It does not read a script's headers but its status.

mod address;
mod answer;
mod beginning;
mod record;

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use crate::error::{Error, FpmFault};
use crate::threads;

pub use address::{BadFpmAddress, FpmAddress};
pub(crate) use answer::FpmAnswer;
use answer::Reading;
pub(crate) use beginning::beginning;
use record::{begin, params};

/// The time between two looks at a request to stop.
const SLICE: Duration = Duration::from_millis(50);

/// The bytes that are read at once: a record has up to 64 KiB.
const READ_BYTES: usize = 16 << 10;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct FpmRequest {
    /// The address of PHP-FPM.
    pub(crate) address: FpmAddress,
    /// The script, absolute.
    pub(crate) script: PathBuf,
    /// The text that the script gets as its query.
    pub(crate) query: String,
    /// The longest time for all of it.
    pub(crate) timeout: Duration,
}

impl FpmRequest {
    /// Sends it. The outer result is a stop, the inner one the answer.
    pub(crate) fn ask(&self, must_stop: &dyn Fn() -> bool) -> Result<Result<FpmAnswer, FpmFault>, Error> {
        let deadline = Instant::now() + self.timeout;
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let request = self.clone();
        // Nobody waits for it once the time is over.
        let _thread = threads::spawn(move || drop(sender.send(request.ask_until(deadline))))?;
        loop {
            if must_stop() {
                return Err(Error::Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left.min(SLICE)) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(RecvTimeoutError::Timeout) => return Ok(Err(FpmFault::TimedOut { after: self.timeout })),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Bug("a request to PHP-FPM panicked".into())),
            }
        }
    }

    fn ask_until(&self, deadline: Instant) -> Result<FpmAnswer, FpmFault> {
        let mut line = Line::connect(&self.address, deadline).map_err(|error| self.unreachable(&error))?;
        let script = self.script.to_string_lossy();
        let params = params(&[
            ("SCRIPT_FILENAME", &*script),
            ("SCRIPT_NAME", "/cutover.php"),
            ("REQUEST_URI", "/cutover.php"),
            ("QUERY_STRING", &self.query),
            ("REQUEST_METHOD", "GET"),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_SOFTWARE", concat!("cutover/", env!("CARGO_PKG_VERSION"))),
        ]);
        let failed = |error: io::Error| self.broken(&error);
        line.write_all(&[begin(), params].concat()).map_err(failed)?;
        let mut reading = Reading::default();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let count = line.read(&mut bytes).map_err(failed)?;
            if count == 0 {
                return Err(reading.ended_early());
            }
            if reading.take(&bytes[..count])? {
                return reading.answer();
            }
            line.set_deadline(deadline).map_err(failed)?;
        }
    }

    fn unreachable(&self, error: &io::Error) -> FpmFault {
        match error.kind() {
            io::ErrorKind::PermissionDenied => FpmFault::NotAllowed,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => FpmFault::TimedOut { after: self.timeout },
            _ => FpmFault::Unreachable { reason: error.to_string() },
        }
    }

    fn broken(&self, error: &io::Error) -> FpmFault {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => FpmFault::TimedOut { after: self.timeout },
            _ => FpmFault::Closed { reason: error.to_string() },
        }
    }
}

/// A connection.
enum Line {
    Socket(UnixStream),
    Tcp(TcpStream),
}

impl Line {
    fn connect(address: &FpmAddress, deadline: Instant) -> io::Result<Line> {
        let line = match address {
            FpmAddress::Socket(path) => Line::Socket(UnixStream::connect(path)?),
            FpmAddress::Tcp(address) => Line::Tcp(connect(address, deadline)?),
        };
        line.set_deadline(deadline)?;
        Ok(line)
    }

    /// Sets the time that is left for the next transfer.
    fn set_deadline(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match self {
            Line::Socket(stream) => {
                stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left)))
            }
            Line::Tcp(stream) => {
                stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left)))
            }
        }
    }
}

/// Connects to the first address of a host that answers.
fn connect(address: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in address.to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Socket(stream) => stream.read(bytes),
            Line::Tcp(stream) => stream.read(bytes),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Socket(stream) => stream.write(bytes),
            Line::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Line::Socket(stream) => stream.flush(),
            Line::Tcp(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests;
