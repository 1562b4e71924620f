//! The parts that this program plays on a server.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::agent::{self, RunnerProgram};
use crate::disk;
use crate::error::Error;
use crate::wire::greeting;

/// The part that a process on the server plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentRole {
    /// Serves a client.
    Agent,
    /// Hands stdin over to an agent that serves already, and stays until that agent has read it.
    Lane,
    /// Carries out the order of the agent that started it.
    Runner,
}

/// Plays a part of the server on stdin and stdout until it is done. `program` is the running program's file. The
/// greeting carries its hash, and it runs as the runner too.
pub fn serve_agent(role: AgentRole, program: &Path) -> Result<(), Error> {
    disk::set_usual_umask();
    if role == AgentRole::Runner {
        return agent::serve_runner();
    }
    let (input, mut output) = (unbuffered(&io::stdin(), "stdin")?, unbuffered(&io::stdout(), "stdout")?);
    greeting::write_greeting(&mut output, program)?;
    match role {
        AgentRole::Lane => agent::serve_lane(input, output),
        _ => agent::serve(RunnerProgram(program.to_owned()), input, output),
    }
}

/// Returns the stream without the buffer of the standard library, which would hold frames back.
fn unbuffered(stream: &impl AsFd, name: &'static str) -> Result<File, Error> {
    let copy = stream.as_fd().try_clone_to_owned();
    Ok(File::from(copy.map_err(|error| Error::io("use", name, error))?))
}
