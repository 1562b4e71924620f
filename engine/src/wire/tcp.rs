//! Connects to a server, and tries each of its addresses in turn.
//!
//! The socket does not block, so an interrupt ends the wait for a server that does not answer.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect as start, socket_with, sockopt};

use crate::cancel::Cancel;
use crate::error::{Error, ReachError};
use crate::server::Server;
use crate::wire::greeting::{SLICE, timespec};
use crate::wire::host_settings::{Family, HostSettings};

/// The time limit for each address if `ConnectTimeout` is not set. It is longer than the time to send three lost
/// packets again, and shorter than the system's two minutes.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects. Returns a stream that does not block, and the time that the server took to answer.
pub(super) fn connect(settings: &HostSettings, cancel: &Cancel) -> Result<(TcpStream, Duration), Error> {
    let unreachable = |source| Error::from(ReachError::Unreachable { server: settings.server.clone(), source });
    let mut last = None;
    for address in addresses(settings)? {
        cancel.check()?;
        let began = Instant::now();
        match connect_to(address, settings.line.connect_timeout.unwrap_or(CONNECT_TIMEOUT), cancel)? {
            Ok(stream) => return Ok((stream, began.elapsed())),
            Err(error) => last = Some(error),
        }
    }
    Err(unreachable(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))))
}

fn addresses(settings: &HostSettings) -> Result<Vec<SocketAddr>, Error> {
    let unresolved = |source| Error::from(ReachError::Unresolved { server: settings.server.clone(), source });
    let Server { host_name, port, .. } = &settings.server;
    let addresses = (host_name.as_str(), *port).to_socket_addrs().map_err(unresolved)?;
    let addresses: Vec<SocketAddr> = addresses
        .filter(|address| match settings.line.family {
            Family::Any => true,
            Family::Inet => address.is_ipv4(),
            Family::Inet6 => address.is_ipv6(),
        })
        .collect();
    if addresses.is_empty() {
        return Err(unresolved(io::Error::other("it has no address of that family")));
    }
    Ok(addresses)
}

/// Connects to one address. The outer result is the whole attempt's, the inner one this address's.
fn connect_to(address: SocketAddr, timeout: Duration, cancel: &Cancel) -> Result<io::Result<TcpStream>, Error> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = match socket_with(family, SocketType::STREAM, flags, None) {
        Ok(socket) => socket,
        Err(errno) => return Ok(Err(errno.into())),
    };
    let outcome = match start(&socket, &address) {
        Ok(()) => Ok(()),
        Err(Errno::INPROGRESS) => wait_connected(&socket, Instant::now() + timeout, cancel)?,
        Err(errno) => Err(errno.into()),
    };
    let stream = TcpStream::from(socket);
    // Requests are small and answered at once: waiting to fill a packet would cost a round trip each.
    Ok(outcome.and_then(|()| stream.set_nodelay(true)).map(|()| stream))
}

fn wait_connected(socket: &impl AsFd, deadline: Instant, cancel: &Cancel) -> Result<io::Result<()>, Error> {
    loop {
        cancel.check()?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Err(io::ErrorKind::TimedOut.into()));
        }
        match poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&timespec(left.min(SLICE)))) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                let outcome = sockopt::socket_error(socket).and_then(|outcome| outcome);
                return Ok(outcome.map_err(io::Error::from));
            }
            Err(errno) => return Ok(Err(errno.into())),
        }
    }
}
