//! Asks a question of the system's `ssh`: it starts this program, and takes the answer from its stdout.
//!
//! The question goes to the process that started `ssh`, which has the terminal.

use std::env;
use std::process::ExitCode;

use engine::askpass;

use crate::stdout;

/// Asks, and prints the answer. Without one, `ssh` is told so by the exit code.
pub(crate) fn run(desk: &str) -> ExitCode {
    let question = env::args_os().nth(1).unwrap_or_default();
    let is_answered = askpass::ask(desk, &question.to_string_lossy()).ok().flatten().is_some_and(|answer| {
        let line = zeroize::Zeroizing::new(format!("{}\n", answer.as_str()));
        stdout::write(&line).is_ok()
    });
    if is_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
