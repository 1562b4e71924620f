//! A line of a given round-trip time and rate between client and server, on one machine, with real TCP on it.
//!
//! ```text
//! namespace of the clients          this program           namespace of the server
//!   ssh, cutover … ── 10.44.0.1 ── TUN ── thread ── TUN ── 10.44.0.2 ── sshd
//! ```
//!
//! A TUN device in each of two network namespaces; for each direction a thread that takes packets from one, and a
//! thread that puts them into the other when they would have arrived. A packet departs when those before it have left
//! at the line's rate, and arrives half a round trip later; one that finds the queue full is dropped, which is how a
//! router tells TCP of its rate. TCP payload is counted as it enters the line, retransmissions included.
//!
//! Packets travel as the kernel's offloads make them, up to 64 KiB under one header: one by one, a processor would be
//! busy with the line alone. On slow lines they are no longer than a millisecond of the line.
//!
//! Both namespaces get the kernel's own defaults for TCP, whatever the machine has set: figures of two machines should
//! differ by the machines alone.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tun_rs::{DeviceBuilder, SyncDevice};

use crate::failure::{Context, Failure, Result};
use crate::line::packet::Packet;
use crate::line::shape::{Shape, Shaper};
use crate::line::wire::Counters;
use crate::namespace::Namespace;
use crate::record::sample::WireBytes;

/// The server's address.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 44, 0, 2);

/// The client's address.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 44, 0, 1);

/// Both of them.
const NETWORK: &str = "10.44.0.0/30";

/// The name of the device in each namespace.
const DEVICE: &str = "line";

/// Ethernet's, and so the internet's.
const MTU: u16 = 1500;

/// The greatest packet with its header.
const BUFFER: usize = 64 * 1024 + 64;

/// Packets that the kernel holds before this program has taken them; a queue that is full would lose packets that the
/// line does not.
const DEVICE_QUEUE: u32 = 10_000;

/// The kernel's defaults: least, first and greatest size of a socket's buffers, on a machine with some memory.
const SYSCTLS: [(&str, &str); 3] =
    [("tcp_rmem", "4096 131072 6291456"), ("tcp_wmem", "4096 16384 4194304"), ("tcp_slow_start_after_idle", "1")];

/// The kernel's default as well. It is set on the route: the machine says which are allowed in a namespace, and the
/// route says which it prefers.
const CONGESTION_CONTROL: &str = "cubic";

/// A line that stands as long as it is kept.
#[derive(Debug)]
pub(crate) struct Link {
    client: Namespace,
    server: Namespace,
    counters: Arc<Counters>,
    queues: [Arc<Queue>; 2],
}

impl Link {
    /// Makes namespaces and devices and begins to carry. Only root may, and only where there are TUN devices.
    pub(crate) fn open(shape: Shape) -> Result<Link> {
        Namespace::remove_left();
        let (client, server) = (Namespace::create("client")?, Namespace::create("server")?);
        let devices = [open_device(&client, CLIENT, shape)?, open_device(&server, SERVER, shape)?];
        let [client_device, server_device] = devices.map(Arc::new);
        let counters = Arc::new(Counters::default());
        let (there, back) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
        let link = Link { client, server, counters, queues: [Arc::clone(&there), Arc::clone(&back)] };
        link.carry(&client_device, &server_device, &there, shape, Direction::Sent);
        link.carry(&server_device, &client_device, &back, shape, Direction::Received);
        Ok(link)
    }

    /// Returns the clients' namespace.
    pub(crate) fn client(&self) -> &Namespace {
        &self.client
    }

    /// Returns the server's namespace.
    pub(crate) fn server(&self) -> &Namespace {
        &self.server
    }

    /// Returns the counters.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Waits until nothing is under way and returns the counts.
    pub(crate) fn settle(&self) -> Result<WireBytes> {
        let start = Instant::now();
        while self.queues.iter().any(|queue| !queue.is_empty()) {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(Failure::new("Packets went on for a minute after their client had ended"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(self.counters.read())
    }

    /// The threads end with the bench, as the devices do.
    fn carry(
        &self,
        from: &Arc<SyncDevice>,
        to: &Arc<SyncDevice>,
        queue: &Arc<Queue>,
        shape: Shape,
        direction: Direction,
    ) {
        let counters = Arc::clone(&self.counters);
        let (from, filled) = (Arc::clone(from), Arc::clone(queue));
        thread::spawn(move || take(&from, &filled, Shaper::new(shape), &counters, direction));
        let (to, emptied) = (Arc::clone(to), Arc::clone(queue));
        thread::spawn(move || give(&to, &emptied));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sent,
    Received,
}

/// The packets under way in one direction; they never overtake each other.
#[derive(Debug, Default)]
struct Queue {
    flights: Mutex<VecDeque<Flight>>,
    filled: Condvar,
}

/// A packet under way.
#[derive(Debug)]
struct Flight {
    arrival: Instant,
    bytes: Box<[u8]>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.flights.lock().expect("nothing panics while it is held").is_empty()
    }

    fn push(&self, flight: Flight) {
        let mut flights = self.flights.lock().expect("nothing panics while it is held");
        flights.push_back(flight);
        if flights.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Waits for the next arrivals and takes all that are due.
    fn take_due(&self, due: &mut Vec<Flight>) {
        let mut flights = self.flights.lock().expect("nothing panics while it is held");
        loop {
            let now = Instant::now();
            while flights.front().is_some_and(|flight| flight.arrival <= now) {
                due.extend(flights.pop_front());
            }
            if !due.is_empty() {
                return;
            }
            let wait = flights.front().map(|flight| flight.arrival.duration_since(now));
            flights = match wait {
                None => self.filled.wait(flights).expect("nothing panics while it is held"),
                Some(wait) => self.filled.wait_timeout(flights, wait).expect("nothing panics while it is held").0,
            };
        }
    }
}

/// Takes packets from a device until it is gone.
fn take(from: &SyncDevice, queue: &Queue, mut shaper: Shaper, counters: &Counters, direction: Direction) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match from.recv(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let Some(packet) = Packet::parse(&buffer[..read]) else { continue };
        match direction {
            Direction::Sent => {
                counters.sent(packet.payload_bytes);
            }
            Direction::Received => counters.received(packet.payload_bytes),
        }
        if let Some(arrival) = shaper.admit(Instant::now(), packet.line_bytes) {
            queue.push(Flight { arrival, bytes: buffer[..read].into() });
        }
    }
}

/// Gives packets to a device when they arrive.
fn give(to: &SyncDevice, queue: &Queue) {
    // A twentieth of a millisecond, the default, is much on a line without a delay.
    // Without it packets arrive a little later.
    rustix::thread::set_current_timer_slack(NonZero::new(1)).unwrap_or_default();
    let mut due = Vec::new();
    loop {
        queue.take_due(&mut due);
        for flight in due.drain(..) {
            // A packet that a device does not take is lost, as it would be on any line.
            drop(to.send(&flight.bytes));
        }
    }
}

fn open_device(namespace: &Namespace, address: Ipv4Addr, shape: Shape) -> Result<SyncDevice> {
    let device = namespace.run(|| -> Result<SyncDevice> {
        for (name, value) in SYSCTLS {
            let path = format!("/proc/sys/net/ipv4/{name}");
            fs::write(&path, value).context(|| format!("Could not write `{path}`"))?;
        }
        let builder = DeviceBuilder::new().name(DEVICE).enable(false).with(|options| {
            options.offload(true);
        });
        builder.build_sync().context(|| "Could not make a TUN device")
    })??;
    let (most, mtu, queue) = (largest_packet(shape).to_string(), MTU.to_string(), DEVICE_QUEUE.to_string());
    for arguments in [
        &["addr", "add", &address.to_string(), "dev", DEVICE][..],
        &["link", "set", DEVICE, "mtu", &mtu, "txqueuelen", &queue, "gso_max_size", &most],
        &["link", "set", DEVICE, "up"],
        &["route", "add", NETWORK, "dev", DEVICE, "congctl", CONGESTION_CONTROL],
    ] {
        namespace.ip(arguments)?;
    }
    Ok(device)
}

/// The bytes that the line takes in a millisecond, but no less than two packets and no more than the kernel gives.
fn largest_packet(shape: Shape) -> u32 {
    let in_a_millisecond = shape.bytes_per_second().map_or(f64::MAX, |rate| rate / 1e3);
    in_a_millisecond.clamp(2.0 * f64::from(MTU), 65_536.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_no_longer_than_a_millisecond() {
        let check = |rate_mbit, expected| assert_eq!(largest_packet(Shape { rtt_ms: 0.0, rate_mbit }), expected);
        check(None, 65_536);
        check(Some(1000.0), 65_536);
        check(Some(100.0), 12_500);
        check(Some(10.0), 3000);
    }

    #[test]
    fn packets_keep_their_order() {
        let queue = Queue::default();
        let now = Instant::now();
        for number in [1, 2] {
            queue.push(Flight { arrival: now, bytes: [number].into() });
        }
        queue.push(Flight { arrival: now + Duration::from_secs(3600), bytes: [3].into() });
        let mut due = Vec::new();
        queue.take_due(&mut due);
        assert_eq!(due.iter().map(|flight| flight.bytes[0]).collect::<Vec<_>>(), [1, 2]);
        assert!(!queue.is_empty());
    }
}
