//! A local target: the agent in a thread of this process, over two pipes.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use crate::error::Error;
use crate::threads;

use super::connection::{Carrier, Connection};

/// The most that an ordinary user may ask for by default.
const PIPE_BYTES: usize = 1 << 20;

struct Thread(JoinHandle<Result<(), Error>>);

impl Carrier for Thread {
    fn finish(self: Box<Self>) -> Result<(), Error> {
        match self.0.join() {
            // That the other end closed first is no news to it.
            Ok(Ok(()) | Err(Error::LineLost { .. })) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Bug("the agent panicked".into())),
        }
    }
}

/// Starts an agent. `serve` is given its input and output.
pub(crate) fn connect(
    serve: impl FnOnce(File, File) -> Result<(), Error> + Send + 'static,
) -> Result<Connection, Error> {
    let failed = |source: io::Error| Error::io("make pipes for", "the local agent", source);
    let (input, agent_output) = pipe().map_err(failed)?;
    let (agent_input, output) = pipe().map_err(failed)?;
    let thread = threads::spawn(move || serve(agent_input, agent_output))?;
    Ok(Connection { input, output, carrier: Box::new(Thread(thread)), lanes: None, copied_at: None })
}

/// Makes a pipe with room for a block, where the system allows it: fewer switches between the two sides.
fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = io::pipe()?;
    // A smaller pipe is only slower.
    rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES).unwrap_or_default();
    Ok((File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer))))
}
