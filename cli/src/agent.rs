//! `cutover agent`: the server's side, on stdin and stdout.
//!
//! Stdout carries frames and nothing else; what goes wrong goes to stderr, which the client shows.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use engine::error::Error;

use crate::args::AgentArgs;
use crate::environment;
use crate::failure::Failure;

pub(crate) fn run(args: &AgentArgs) -> Result<(), Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("`cutover agent` is the server's side, which the client starts")
            .hint("Run `cutover deploy`"));
    }
    let program = environment::program();
    let (input, output) = (raw(&io::stdin(), "stdin")?, raw(&io::stdout(), "stdout")?);
    if args.lane {
        engine::serve_lane(input, output, &program)?;
    } else {
        engine::serve_agent(input, output, &program)?;
    }
    Ok(())
}

/// Returns the stream without the buffer of the standard library, which would hold frames back.
fn raw(stream: &impl AsFd, name: &'static str) -> Result<File, Failure> {
    let copy = stream.as_fd().try_clone_to_owned();
    let copy = copy.map_err(|error| Error::io("use", name, error))?;
    Ok(File::from(copy))
}
