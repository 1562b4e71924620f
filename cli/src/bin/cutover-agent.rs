//! The agent by itself: what `cutover` copies to servers where it lies beside it. It takes the same words as `cutover agent`,
//! and holds nothing that only the client needs, which is most.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use engine::error::Error;

const USAGE: &str = "The server's side of Cutover, which `cutover` copies to a server and starts there\n\n\
                     Usage: cutover-agent agent [--lane]\n       cutover-agent --version\n";

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    // What cannot be said is not said.
    match &words[..] {
        ["--version" | "-V"] => drop(writeln!(io::stdout(), "{}", engine::BUILD)),
        ["--help" | "-h"] => drop(io::stdout().write_all(USAGE.as_bytes())),
        ["agent", options @ ..] if matches!(options, [] | ["--lane"]) && !io::stdin().is_terminal() => {
            let served = engine::serve_agent(!options.is_empty(), Path::new("/proc/self/exe"));
            return served.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS);
        }
        _ => {
            drop(io::stderr().write_all(USAGE.as_bytes()));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn failed(error: &Error) -> ExitCode {
    let refusal = error.to_refusal();
    let mut text = format!("Error: {}\n", refusal.message);
    text.extend(refusal.causes.iter().map(|cause| format!("Caused by: {cause}\n")));
    text.extend(refusal.hint.map(|hint| format!("Hint: {hint}\n")));
    drop(io::stderr().write_all(text.as_bytes()));
    ExitCode::FAILURE
}
