//! Two streams to an agent, whatever carries them, and what opens further ones to the same server.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::Error;

/// What carries the two streams: a pump on an SSH channel, the system's `ssh`, or a thread of this process.
pub(crate) trait Carrier: Send {
    /// Waits until the carrier has ended, after both streams were closed or failed, and returns why it ended where it
    /// knows better than the streams: a lost connection, the end of what the server printed on stderr.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// A connection to an agent that has greeted: what is written to `output` reaches its stdin, and its stdout can be
/// read from `input`. Both are blocking descriptors, pipes or sockets. Dropping both ends the agent.
pub(crate) struct Connection {
    /// From the agent.
    pub(crate) input: File,
    /// To the agent.
    pub(crate) output: File,
    /// What carries them.
    pub(crate) carrier: Box<dyn Carrier>,
    /// What opens lanes beside it, where that is of use.
    pub(crate) lanes: Option<Arc<dyn Lanes>>,
    /// How many bytes a second the line took while the agent was copied, where it was and took long enough to tell.
    pub(crate) copied_at: Option<f64>,
}

/// Opens lanes: further connections to the server of the first.
pub(crate) trait Lanes: Send + Sync {
    /// The time that a byte takes to the server and back, measured when the first connection was made.
    fn round_trip(&self) -> Duration;

    /// Connects, and starts an agent that waits for the ticket.
    fn open(&self, cancel: &Cancel) -> Result<Connection, Error>;
}
