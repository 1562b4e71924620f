//! The agent alone, which `cutover` copies to servers if the file is beside it. It accepts the same words as `cutover
//! agent`, and lacks everything that only the client needs, which is most of the program.

#![forbid(unsafe_code)]

#[path = "../hint/mod.rs"]
mod hint;
#[path = "../program.rs"]
mod program;
#[path = "../toml_string.rs"]
mod toml_string;

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use engine::AgentRole;
use engine::error::Error;

const USAGE: &str = "The server's side of Cutover, which `cutover` copies to a server and starts there\n\n\
                     Usage: cutover-agent agent [--lane | --runner | --from DIR]\n       cutover-agent --version\n";

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    let texts: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let is_agent = !io::stdin().is_terminal();
    // If nobody reads the output, nothing is to be done.
    match &texts[..] {
        ["--version" | "-V"] => drop(writeln!(io::stdout(), "{}", engine::BUILD)),
        ["--help" | "-h"] => drop(io::stdout().write_all(USAGE.as_bytes())),
        ["agent"] if is_agent => return serve(AgentRole::Agent, None),
        ["agent", "--lane"] if is_agent => return serve(AgentRole::Lane, None),
        ["agent", "--runner"] if is_agent => return serve(AgentRole::Runner, None),
        ["agent", "--from", _] if is_agent => return serve(AgentRole::Agent, Some(Path::new(&words[2]))),
        _ => {
            drop(io::stderr().write_all(USAGE.as_bytes()));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Serves, with relative paths from a directory.
fn serve(role: AgentRole, from: Option<&Path>) -> ExitCode {
    let enter =
        || from.map_or(Ok(()), |from| env::set_current_dir(from).map_err(|error| Error::io("enter", from, error)));
    let served = program::program_after(enter).and_then(|program| engine::serve_agent(role, &program));
    served.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &Error) -> ExitCode {
    let refusal = error.to_refusal();
    let mut text = format!("Error [{}]: {}\n", refusal.id, refusal.message);
    text.extend(refusal.causes.iter().map(|cause| format!("Caused by: {cause}\n")));
    text.extend(refusal.hint.map(|hint| format!("Hint: {}\n", hint::text(&hint))));
    drop(io::stderr().write_all(text.as_bytes()));
    ExitCode::FAILURE
}
