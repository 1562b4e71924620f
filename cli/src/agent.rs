//! `cutover agent`: the server's side, on stdin and stdout.
//!
//! Stdout carries only frames; errors go to stderr, which the client shows.

use std::io::{self, IsTerminal};

use engine::AgentRole;

use crate::args::AgentArgs;
use crate::failure::Failure;
use crate::program::program_after;

pub(crate) fn run(args: &AgentArgs) -> Result<(), Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("`cutover agent` is the server's side, which the client starts")
            .hint("Run `cutover deploy`"));
    }
    let program = program_after(|| {
        let Some(from) = &args.from else { return Ok(()) };
        let failed = |error| Failure::usage(format!("Could not enter `{}`", from.display())).because(&error);
        std::env::set_current_dir(from).map_err(failed)
    })?;
    let role = match args {
        AgentArgs { lane: true, .. } => AgentRole::Lane,
        AgentArgs { runner: true, .. } => AgentRole::Runner,
        _ => AgentRole::Agent,
    };
    Ok(engine::serve_agent(role, &program)?)
}
