//! The bench's own server: a real `sshd`, and the carrier of the bytes to it.
//!
//! Behind a link where a line is asked for, else behind a relay on the loopback, which runs that are timed do not take.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use crate::failure::Result;
use crate::invocation::Invocation;
use crate::lab::sshd::{self, Sshd, Way};
use crate::line::carrier::Carrier;
use crate::line::link::{self, Link};
use crate::line::relay::Relay;
use crate::line::shape::Shape;
use crate::line::way::Line;
use crate::process::{Finished, Running, Surroundings, run_beside};
use crate::procfs;
use crate::record::sample::{Cpu, Memory, Sample};

/// The treatment of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// Nothing.
    Alone,
    /// The memory of its processes is polled.
    Watched,
    /// It is refused after the login, so the client fails.
    Refused,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    sshd: Sshd,
    carrier: Carrier,
    /// Where the other does not lead to the port that refuses sessions.
    refusing: Option<Carrier>,
    shape: Option<Shape>,
    home: PathBuf,
}

impl Server {
    /// Starts it. A line needs root and TUN devices.
    pub(crate) fn start(work: &Path, shape: Option<Shape>) -> Result<Server> {
        let link = shape.map(Link::open).transpose()?;
        let sshd = Sshd::start(&work.join("ssh"), link.as_ref())?;
        let (carrier, refusing) = match link {
            Some(link) => {
                let at = |port| SocketAddrV4::new(link::SERVER, port);
                sshd.write_client_configs(at(sshd.port()), at(sshd.refusing_port()))?;
                (Carrier::Link(link), None)
            }
            None => {
                let (relay, refusing) = (Relay::start(sshd.port())?, Relay::start(sshd.refusing_port())?);
                let at = |relay: &Relay| SocketAddrV4::new(Ipv4Addr::LOCALHOST, relay.port());
                sshd.write_client_configs(at(&relay), at(&refusing))?;
                (Carrier::Relay(relay), Some(Carrier::Relay(refusing)))
            }
        };
        Ok(Server { sshd, carrier, refusing, shape, home: work.join("home") })
    }

    /// Returns the server's name as SSH knows it.
    pub(crate) fn host(&self) -> &'static str {
        sshd::HOST
    }

    /// Returns the client's SSH configuration for a line.
    pub(crate) fn ssh_config(&self, line: Line) -> PathBuf {
        self.sshd.client_config(if line.is_carried(self.shape) { Way::Counted } else { Way::Direct })
    }

    /// Returns the client's SSH configuration for the port that refuses sessions.
    pub(crate) fn refusing_ssh_config(&self) -> PathBuf {
        self.sshd.client_config(Way::Refusing)
    }

    /// Runs a client to its end and measures both sides.
    pub(crate) fn measure(&self, invocation: &Invocation, line: Line, session: Session) -> Result<(Finished, Sample)> {
        let carrier = self.refusing.as_ref().filter(|_| session == Session::Refused).unwrap_or(&self.carrier);
        self.sshd.wait_until_idle()?;
        carrier.counters().reset();
        let cpu_before = procfs::children_cpu_seconds(self.sshd.listener())?;
        let surroundings = Surroundings { home: &self.home, namespace: carrier.client(line) };
        let (finished, server_bytes) = run_beside(invocation, surroundings, |running| self.watch(running, session))?;
        // The work of the server after the client's end belongs to the run.
        self.sshd.wait_until_idle()?;
        let server_seconds = procfs::children_cpu_seconds(self.sshd.listener())? - cpu_before;
        let whole = carrier.settle()?;
        let wire = if session == Session::Refused { carrier.counters().read_once() } else { whole };
        let sample = Sample {
            seconds: finished.seconds,
            cpu: Cpu { client_seconds: finished.cpu_seconds, server_seconds },
            memory: Memory { client_bytes: finished.peak_bytes, server_bytes: server_bytes? },
            wire: line.is_carried(self.shape).then_some(wire),
            ..Sample::default()
        };
        Ok((finished, sample))
    }

    fn watch(&self, running: &Running<'_>, session: Session) -> Result<Option<u64>> {
        match session {
            Session::Watched => procfs::watch_server(running, self.sshd.listener()).map(Some),
            Session::Alone | Session::Refused => Ok(None),
        }
    }
}
