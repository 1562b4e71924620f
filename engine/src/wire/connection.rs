//! The two streams to an agent, their carrier, and the means to open lanes to the same server.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::Error;

/// The carrier of the two streams: a pump on an SSH channel, the system's `ssh`, or a thread of this process.
pub(crate) trait Carrier: Send {
    /// Waits until the carrier has ended, after both streams were closed or failed. Returns the reason if the carrier
    /// knows it better than the streams: a lost connection, the end of the server's stderr.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// A connection to an agent that has greeted. The agent reads `output` on its stdin, and writes its stdout to
/// `input`. Both are blocking descriptors, pipes or sockets. Dropping both ends the agent.
pub(crate) struct Connection {
    /// From the agent.
    pub(crate) input: File,
    /// To the agent.
    pub(crate) output: File,
    /// The carrier of both.
    pub(crate) carrier: Box<dyn Carrier>,
    /// The means to open lanes, if they are useful for this transport.
    pub(crate) lanes: Option<Arc<dyn Lanes>>,
    /// The rate in bytes a second at which the agent was copied, if it was copied and that took long enough to
    /// measure.
    pub(crate) copied_at: Option<f64>,
    /// The length of the agent, if the server has none and was only lent it.
    pub(crate) lent_bytes: Option<u64>,
    /// The output of the login before the agent's, which is skipped.
    pub(crate) noise: Vec<u8>,
}

/// Opens lanes: further connections to the server of the first connection.
pub(crate) trait Lanes: Send + Sync {
    /// Returns the round trip to the server, measured when the first connection was made.
    fn round_trip(&self) -> Duration;

    /// Connects, and starts an agent that waits for the ticket.
    fn open(&self, cancel: &Cancel) -> Result<Connection, Error>;
}
