//! Measures a link itself: what a plain copy over TCP reaches on it, so that it is known what programs could reach.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::{Context, Result};
use crate::line::link::{self, Link};
use crate::line::shape::Shape;
use crate::procfs;
use crate::record::sample::WireBytes;

/// How long is sent; TCP needs some seconds to find a long line's rate.
const SENDING: Duration = Duration::from_secs(10);

/// Connections at once.
const CONNECTIONS: [usize; 2] = [1, 4];

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Probe {
    shape: Shape,
    /// The median time in which a byte comes back.
    echo_ms: f64,
    copies: Vec<Copy>,
}

/// Zeros sent from client to server.
#[derive(Debug, Serialize)]
struct Copy {
    connections: usize,
    /// What arrived, over the time until the last byte of it had.
    mbit_per_second: f64,
    /// The same, of the second half of the time, when TCP has found the rate.
    later_mbit_per_second: f64,
    /// What was sent more than once.
    retransmitted_bytes: u64,
    /// Processor time of the bench, the two ends included, for each second.
    cores: f64,
    wire: WireBytes,
}

/// Makes a link and measures it. Only root may.
pub(crate) fn probe(shape: Shape) -> Result<Probe> {
    let link = Link::open(shape)?;
    let echo_ms = echo(&link)?;
    let copies = CONNECTIONS.iter().map(|connections| copy(&link, *connections)).collect::<Result<_>>()?;
    Ok(Probe { shape, echo_ms, copies })
}

fn listen(link: &Link) -> Result<TcpListener> {
    let bound = link.server().run(|| TcpListener::bind((link::SERVER, 0)))?;
    bound.context(|| "Could not listen on the link")
}

fn connect(link: &Link, listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let port = listener.local_addr().context(|| "Could not learn a port")?.port();
    let connected = link.client().run(|| TcpStream::connect(SocketAddrV4::new(link::SERVER, port)))?;
    let client = connected.context(|| "Could not connect over the link")?;
    let (server, _) = listener.accept().context(|| "Could not accept over the link")?;
    client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).context(|| "Could not set up a connection")?;
    Ok((client, server))
}

fn echo(link: &Link) -> Result<f64> {
    let listener = listen(link)?;
    let (mut client, mut server) = connect(link, &listener)?;
    let mut times = Vec::new();
    let mut byte = [0];
    for _ in 0..9 {
        let start = Instant::now();
        let round = client.write_all(&byte).and_then(|()| server.read_exact(&mut byte));
        let round = round.and_then(|()| server.write_all(&byte)).and_then(|()| client.read_exact(&mut byte));
        round.context(|| "Could not send a byte to and fro")?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn copy(link: &Link, connections: usize) -> Result<Copy> {
    let listener = listen(link)?;
    let pairs = (0..connections).map(|_| connect(link, &listener)).collect::<Result<Vec<_>>>()?;
    link.settle()?;
    link.counters().reset();
    let cpu_before = procfs::own_cpu_seconds()?;
    let start = Instant::now();
    let received: Vec<(u64, u64)> = thread::scope(|scope| {
        let ends: Vec<_> = pairs
            .into_iter()
            .map(|(client, server)| {
                scope.spawn(move || send(client, start));
                scope.spawn(move || receive(server, start))
            })
            .collect();
        ends.into_iter().map(|end| end.join().unwrap_or_default()).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let cores = (procfs::own_cpu_seconds()? - cpu_before) / seconds;
    let wire = link.settle()?;
    let (all, early): (u64, u64) = received.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let half = SENDING.as_secs_f64() / 2.0;
    let mbit = |bytes: u64, seconds: f64| bytes as f64 * 8.0 / 1e6 / seconds;
    Ok(Copy {
        connections,
        mbit_per_second: mbit(all, seconds),
        later_mbit_per_second: mbit(all - early, seconds - half),
        retransmitted_bytes: wire.sent_bytes.saturating_sub(all),
        cores,
        wire,
    })
}

/// The connection closes when the stream is dropped.
fn send(mut stream: TcpStream, start: Instant) {
    let zeros = vec![0; 256 * 1024];
    while start.elapsed() < SENDING && stream.write_all(&zeros).is_ok() {}
}

/// Returns what came, and what of it came in the first half of the time.
fn receive(mut stream: TcpStream, start: Instant) -> (u64, u64) {
    let (mut all, mut early) = (0, 0);
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        all += read as u64;
        if start.elapsed() < SENDING / 2 {
            early = all;
        }
    }
    (all, early)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_a_link_and_are_counted() {
        let link = match Link::open(Shape { rtt_ms: 2.0, rate_mbit: Some(1000.0) }) {
            Ok(link) => link,
            Err(failure) => return eprintln!("skipped, there is no link here: {failure}"),
        };
        let listener = listen(&link).unwrap();
        let (mut client, mut server) = connect(&link, &listener).unwrap();
        let question = vec![7; 300_000];
        let sent = thread::spawn(move || {
            client.write_all(&question).unwrap();
            let mut answer = Vec::new();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            client.read_to_end(&mut answer).unwrap();
            answer
        });
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        server.write_all(b"answer").unwrap();
        drop(server);
        assert_eq!(sent.join().unwrap(), b"answer");
        assert!(received == [7; 300_000]);
        let wire = link.settle().unwrap();
        // What a machine under load sends again counts too, so these are the least.
        assert!(wire.sent_bytes >= 300_000 && wire.received_bytes >= 6 && wire.connections >= 1, "{wire:?}");
    }
}
