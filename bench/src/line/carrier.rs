//! The carrier of the bytes between the clients and the bench's own server, which counts them.

use crate::failure::Result;
use crate::line::link::Link;
use crate::line::relay::Relay;
use crate::line::way::Line;
use crate::line::wire::Counters;
use crate::namespace::Namespace;
use crate::record::sample::WireBytes;

/// A relay on the loopback, or a link between namespaces.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// Of the two ends only.
    Relay(Relay),
    /// Of packets.
    Link(Link),
}

impl Carrier {
    /// Returns the counters.
    pub(crate) fn counters(&self) -> &Counters {
        match self {
            Carrier::Relay(relay) => relay.counters(),
            Carrier::Link(link) => link.counters(),
        }
    }

    /// Waits until nothing is carried and returns the counts.
    pub(crate) fn settle(&self) -> Result<WireBytes> {
        match self {
            Carrier::Relay(relay) => relay.settle(),
            Carrier::Link(link) => link.settle(),
        }
    }

    /// Returns the namespace that a client is started in; a client that is not measured starts beside the server.
    pub(crate) fn client(&self, line: Line) -> Option<&Namespace> {
        match self {
            Carrier::Relay(_) => None,
            Carrier::Link(link) if line == Line::Direct => Some(link.server()),
            Carrier::Link(link) => Some(link.client()),
        }
    }
}
