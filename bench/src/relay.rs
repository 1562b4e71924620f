//! Counts the bytes on the wire, from outside and the same way for every tool.
//!
//! The relay listens on a port of its own and forwards each connection to `sshd`. What it counts is TCP payload: SSH
//! with its handshake, not the headers of packets. It costs processor time, so only runs that are not timed go
//! through it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::failure::{Context, Failure, Result};

/// What one read may take: SSH packets are 32 KiB, and a few fit.
const BUFFER: usize = 256 * 1024;

/// TCP payload of one run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct WireBytes {
    /// From the client to the server.
    pub(crate) sent_bytes: u64,
    /// From the server to the client.
    pub(crate) received_bytes: u64,
    /// Connections that were opened.
    pub(crate) connections: u64,
}

impl WireBytes {
    /// Returns both directions.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.sent_bytes + self.received_bytes
    }
}

#[derive(Debug, Default)]
struct Counters {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    connections: AtomicU64,
    /// Directions that still carry.
    open: AtomicUsize,
}

/// A relay that runs as long as the bench does.
#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    counters: Arc<Counters>,
}

impl Relay {
    /// Starts relaying from a free port to the given one.
    pub(crate) fn start(to: u16) -> Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(|| "Could not listen for the relay")?;
        let port = listener.local_addr().context(|| "Could not learn the relay's port")?.port();
        let counters = Arc::new(Counters::default());
        let accepted = Arc::clone(&counters);
        thread::spawn(move || {
            // A connection that cannot be forwarded is closed: the client fails, and with it the run.
            for client in listener.incoming().flatten() {
                drop(forward(client, to, &accepted));
            }
        });
        Ok(Relay { port, counters })
    }

    /// Returns the port that clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns what the client has sent since the last reset, while it runs.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.counters.sent_bytes.load(Ordering::Relaxed)
    }

    /// Begins to count from zero.
    pub(crate) fn reset(&self) {
        self.counters.sent_bytes.store(0, Ordering::Relaxed);
        self.counters.received_bytes.store(0, Ordering::Relaxed);
        self.counters.connections.store(0, Ordering::Relaxed);
    }

    /// Waits until all connections are closed and returns what was counted.
    pub(crate) fn settle(&self) -> Result<WireBytes> {
        let start = Instant::now();
        while self.counters.open.load(Ordering::Acquire) > 0 {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(Failure::new("A connection stayed open a minute after its client had ended"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(WireBytes {
            sent_bytes: self.sent_bytes(),
            received_bytes: self.counters.received_bytes.load(Ordering::Relaxed),
            connections: self.counters.connections.load(Ordering::Relaxed),
        })
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Sent,
    Received,
}

fn forward(client: TcpStream, to: u16, counters: &Arc<Counters>) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    // Held back small packets would add waits that the real line has not.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_back, server_back) = (client.try_clone()?, server.try_clone()?);
    counters.connections.fetch_add(1, Ordering::Relaxed);
    counters.open.fetch_add(2, Ordering::Release);
    let (there, back) = (Arc::clone(counters), Arc::clone(counters));
    thread::spawn(move || pump(client, server, &there, Direction::Sent));
    thread::spawn(move || pump(server_back, client_back, &back, Direction::Received));
    Ok(())
}

fn pump(mut from: TcpStream, mut to: TcpStream, counters: &Counters, direction: Direction) {
    let counter = match direction {
        Direction::Sent => &counters.sent_bytes,
        Direction::Received => &counters.received_bytes,
    };
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
            Ok(read) => {
                counter.fetch_add(read as u64, Ordering::Relaxed);
                if to.write_all(&buffer[..read]).is_err() {
                    // Nobody listens any more: let the sender know instead of filling its window.
                    drop(from.shutdown(Shutdown::Both));
                    break;
                }
            }
        }
    }
    // Passes the end on, and only in this direction: the other may still carry an answer.
    drop(to.shutdown(Shutdown::Write));
    counters.open.fetch_sub(1, Ordering::Release);
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
        assert_eq!((bytes.sent_bytes, bytes.received_bytes, bytes.connections), (9, 6, 1));
    }
}
