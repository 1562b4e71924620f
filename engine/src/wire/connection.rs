//! Two streams to an agent, whatever carries them.

use std::fs::File;
use std::sync::Arc;

use crate::error::Error;
use crate::wire::lane::Lanes;

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
