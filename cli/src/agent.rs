//! `cutover agent`: the server's side, on stdin and stdout.
//!
//! Stdout carries frames and nothing else; what goes wrong goes to stderr, which the client shows.

use std::io::{self, IsTerminal};

use crate::args::AgentArgs;
use crate::environment;
use crate::failure::Failure;

pub(crate) fn run(args: &AgentArgs) -> Result<(), Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("`cutover agent` is the server's side, which the client starts")
            .hint("Run `cutover deploy`"));
    }
    Ok(engine::serve_agent(args.lane, &environment::program())?)
}
