//! Counts the bytes on the wire where there is no [`crate::line::link`].
//!
//! The relay listens on a port of its own and forwards each connection to `sshd`. It counts TCP payload: SSH with its
//! handshake, not the headers of packets. It costs processor time, so runs that are timed do not go through it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::line::wire::Counters;
use crate::record::sample::WireBytes;

/// The most that one read takes: SSH packets are 32 KiB, and a few fit.
const BUFFER: usize = 256 * 1024;

/// A relay that runs as long as the bench does.
#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counters: Counters,
    /// Directions that still carry.
    open: AtomicUsize,
}

impl Relay {
    /// Starts relaying from a free port to the given one.
    pub(crate) fn start(to: u16) -> Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(|| "Could not listen for the relay")?;
        let port = listener.local_addr().context(|| "Could not learn the relay's port")?.port();
        let inner = Arc::new(Inner::default());
        let accepted = Arc::clone(&inner);
        thread::spawn(move || {
            // A connection that cannot be forwarded is closed: the client fails, and with it the run.
            for client in listener.incoming().flatten() {
                drop(forward(client, to, &accepted));
            }
        });
        Ok(Relay { port, inner })
    }

    /// Returns the port that clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the counters.
    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Waits until all connections are closed and returns the counts.
    pub(crate) fn settle(&self) -> Result<WireBytes> {
        let start = Instant::now();
        while self.inner.open.load(Ordering::Acquire) > 0 {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(Failure::new("A connection stayed open a minute after its client had ended"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(self.inner.counters.read())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sent,
    Received,
}

fn forward(client: TcpStream, to: u16, inner: &Arc<Inner>) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    // Held back small packets would add waits that the real line has not.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_back, server_back) = (client.try_clone()?, server.try_clone()?);
    inner.open.fetch_add(2, Ordering::Release);
    for (from, to, direction) in [(client, server, Direction::Sent), (server_back, client_back, Direction::Received)] {
        let inner = Arc::clone(inner);
        thread::spawn(move || {
            pump(from, &to, &inner.counters, direction);
            // Passes the end on, and only in this direction: the other may still carry an answer.
            drop(to.shutdown(Shutdown::Write));
            inner.open.fetch_sub(1, Ordering::Release);
        });
    }
    Ok(())
}

fn pump(mut from: TcpStream, mut to: &TcpStream, counters: &Counters, direction: Direction) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        match direction {
            Direction::Sent => counters.sent(read as u64),
            Direction::Received => counters.received(read as u64),
        }
        if to.write_all(&buffer[..read]).is_err() {
            // Nobody listens any more: let the sender know instead of filling its window.
            drop(from.shutdown(Shutdown::Both));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_counted_and_passed_on() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(server.local_addr().unwrap().port()).unwrap();
        let echo = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut text = Vec::new();
            stream.read_to_end(&mut text).unwrap();
            stream.write_all(b"answer").unwrap();
            text
        });
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).unwrap();
        client.write_all(b"question!").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        drop(client);
        assert_eq!(echo.join().unwrap(), b"question!");
        assert_eq!(answer, "answer");
        let bytes = relay.settle().unwrap();
        assert_eq!((bytes.sent_bytes, bytes.received_bytes), (9, 6));
    }
}
