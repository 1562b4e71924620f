//! A connection to an agent in a thread of this process, over two pipes, for a local target.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use crate::error::Error;
use crate::threads;

use super::connection::{Carrier, Connection};

/// The largest pipe that an ordinary user may have by default.
const PIPE_BYTES: usize = 1 << 20;

struct Thread(JoinHandle<Result<(), Error>>);

impl Carrier for Thread {
    fn finish(self: Box<Self>) -> Result<(), Error> {
        match self.0.join() {
            // The client closed its end first, and the client reports the reason.
            Ok(Ok(()) | Err(Error::LineLost { .. })) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Bug("the agent panicked".into())),
        }
    }
}

/// Starts an agent. `serve` gets its input and output.
pub(crate) fn connect(
    serve: impl FnOnce(File, File) -> Result<(), Error> + Send + 'static,
) -> Result<Connection, Error> {
    let failed = |source: io::Error| Error::io("make pipes for", "the local agent", source);
    let (input, agent_output) = pipe().map_err(failed)?;
    let (agent_input, output) = pipe().map_err(failed)?;
    let thread = threads::spawn(move || serve(agent_input, agent_output))?;
    Ok(Connection {
        input,
        output,
        carrier: Box::new(Thread(thread)),
        lanes: None,
        copied_at: None,
        lent_bytes: None,
        noise: Vec::new(),
    })
}

/// Makes a pipe that holds a block if the system allows it, to save context switches.
fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = io::pipe()?;
    // A smaller pipe is only slower.
    rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES).unwrap_or_default();
    Ok((File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer))))
}
