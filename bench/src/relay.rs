//! Counts the bytes on the wire where there is no [`crate::link`], and stands in for it as far as it can.
//!
//! The relay listens on a port of its own and forwards each connection to `sshd`. What it counts is TCP payload: SSH
//! with its handshake, not the headers of packets. It costs processor time, so runs that are timed go through it only
//! where it must delay and limit them.
//!
//! TCP itself knows nothing of that delay: its windows open at once, nothing is lost, and a handshake is made up by
//! holding the first bytes back for a round trip. Figures of such a line are kinder than those of a real one.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::shape::{Shape, Shaper};
use crate::wire::{Counters, WireBytes};

/// What one read may take: SSH packets are 32 KiB, and a few fit.
const BUFFER: usize = 256 * 1024;

/// Reads under way in one direction of a connection that is delayed.
const UNDER_WAY: usize = 1024;

/// A relay that runs as long as the bench does.
#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shape: Shape,
    counters: Counters,
    /// Directions that still carry.
    open: AtomicUsize,
}

impl Relay {
    /// Starts relaying from a free port to the given one.
    pub(crate) fn start(to: u16, shape: Shape) -> Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(|| "Could not listen for the relay")?;
        let port = listener.local_addr().context(|| "Could not learn the relay's port")?.port();
        let counters = Counters::for_round_trip(shape.round_trip());
        let inner = Arc::new(Inner { shape, counters, open: AtomicUsize::new(0) });
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

    /// Returns what counts.
    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Waits until all connections are closed and returns what was counted.
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
    inner.counters.connected();
    inner.open.fetch_add(2, Ordering::Release);
    for (from, to, direction) in [(client, server, Direction::Sent), (server_back, client_back, Direction::Received)] {
        let inner = Arc::clone(inner);
        thread::spawn(move || {
            if inner.shape == Shape::default() {
                pump(from, &to, &inner.counters, direction);
            } else {
                pump_shaped(from, &to, &inner, direction);
            }
            // Passes the end on, and only in this direction: the other may still carry an answer.
            drop(to.shutdown(Shutdown::Write));
            inner.open.fetch_sub(1, Ordering::Release);
        });
    }
    Ok(())
}

/// Reads until the end, and hands over what was read until that fails.
fn read_all(mut from: TcpStream, mut hand_over: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
            Ok(read) => {
                if !hand_over(&buffer[..read]) {
                    // Nobody listens any more: let the sender know instead of filling its window.
                    drop(from.shutdown(Shutdown::Both));
                    return;
                }
            }
        }
    }
}

fn pump(from: TcpStream, mut to: &TcpStream, counters: &Counters, direction: Direction) {
    read_all(from, |bytes| {
        count(counters, direction, bytes.len() as u64);
        to.write_all(bytes).is_ok()
    });
}

fn count(counters: &Counters, direction: Direction, bytes: u64) {
    match direction {
        Direction::Sent => counters.sent(bytes),
        Direction::Received => counters.received(bytes),
    }
}

/// What was read, and when it arrives.
struct Flight {
    arrival: Instant,
    bytes: Vec<u8>,
}

fn pump_shaped(from: TcpStream, to: &TcpStream, inner: &Inner, direction: Direction) {
    let (sender, receiver) = sync_channel(UNDER_WAY);
    thread::scope(|scope| {
        scope.spawn(move || deliver(receiver, to, inner, direction));
        depart(from, &sender, inner, direction);
        drop(sender);
    });
}

fn depart(from: TcpStream, sender: &SyncSender<Flight>, inner: &Inner, direction: Direction) {
    let mut shaper = Shaper::new(inner.shape);
    let mut handshake = (direction == Direction::Sent).then(|| inner.shape.round_trip());
    read_all(from, |bytes| {
        thread::sleep(handshake.take().unwrap_or_default());
        count(&inner.counters, direction, bytes.len() as u64);
        let (now, length) = (Instant::now(), bytes.len() as u64);
        let arrival = shaper.admit_all(now, length);
        let is_sent = sender.send(Flight { arrival, bytes: bytes.to_vec() }).is_ok();
        // What the queue cannot hold waits with the sender.
        thread::sleep(shaper.excess(Instant::now()));
        is_sent
    });
}

fn deliver(receiver: Receiver<Flight>, mut to: &TcpStream, inner: &Inner, direction: Direction) {
    for flight in receiver {
        thread::sleep(flight.arrival.saturating_duration_since(Instant::now()));
        if direction == Direction::Received {
            inner.counters.arrived(flight.bytes.len() as u64);
        }
        if to.write_all(&flight.bytes).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_counted_and_passed_on() {
        check_both_directions(Shape::default());
    }

    #[test]
    fn a_delay_changes_nothing_but_the_time() {
        let shape = Shape { rtt_ms: 20.0, rate_mbit: Some(10.0) };
        let start = Instant::now();
        check_both_directions(shape);
        // The handshake, and the two ways.
        assert!(start.elapsed() >= shape.round_trip() * 2);
    }

    fn check_both_directions(shape: Shape) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(server.local_addr().unwrap().port(), shape).unwrap();
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
