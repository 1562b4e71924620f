//! Measures a link itself, by a plain copy over TCP: the rate that programs could reach on it.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::{Context, Result};
use crate::line::link::{self, Link};
use crate::line::shape::Shape;

/// How long is sent; TCP needs some seconds to find a long line's rate.
const SENDING: Duration = Duration::from_secs(10);

/// Connections at once.
const CONNECTIONS: [usize; 2] = [1, 4];

/// The figures of a link.
#[derive(Debug, Serialize)]
pub(crate) struct Probe {
    shape: Shape,
    /// The median time in which a byte comes back.
    echo_ms: f64,
    /// Millions of bits a second of zeros that arrived, for each number of connections: of the second half of the time,
    /// when TCP has found the rate.
    mbit_per_second: Vec<(usize, f64)>,
}

/// Makes a link and measures it. Only root may.
pub(crate) fn probe(shape: Shape) -> Result<Probe> {
    let link = Link::open(shape)?;
    let echo_ms = echo(&link)?;
    let rate = |connections: &usize| Ok((*connections, copy(&link, *connections)?));
    Ok(Probe { shape, echo_ms, mbit_per_second: CONNECTIONS.iter().map(rate).collect::<Result<_>>()? })
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

fn copy(link: &Link, connections: usize) -> Result<f64> {
    let listener = listen(link)?;
    let pairs = (0..connections).map(|_| connect(link, &listener)).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let late_bytes: u64 = thread::scope(|scope| {
        let ends: Vec<_> = pairs
            .into_iter()
            .map(|(client, server)| {
                scope.spawn(move || send(client, start));
                scope.spawn(move || receive_late(server, start))
            })
            .collect();
        ends.into_iter().map(|end| end.join().unwrap_or_default()).sum()
    });
    Ok(late_bytes as f64 * 8.0 / 1e6 / (start.elapsed() - SENDING / 2).as_secs_f64())
}

/// The connection closes when the stream is dropped.
fn send(mut stream: TcpStream, start: Instant) {
    let zeros = vec![0; 256 * 1024];
    while start.elapsed() < SENDING && stream.write_all(&zeros).is_ok() {}
}

/// Returns the bytes that came in the second half of the time.
fn receive_late(mut stream: TcpStream, start: Instant) -> u64 {
    let mut late_bytes = 0;
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if start.elapsed() >= SENDING / 2 {
            late_bytes += read as u64;
        }
    }
    late_bytes
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
        // Packets that a machine under load sends again count too, so these are the least.
        assert!(wire.sent_bytes >= 300_000 && wire.received_bytes >= 6, "{wire:?}");
    }
}
