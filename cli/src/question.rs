//! A question to the person at the terminal. Where nobody can answer, `--yes` must.

use std::io::{self, BufRead, IsTerminal, Write};

use engine::error::Kind;

use crate::failure::Failure;
use crate::interrupt;

/// Asks a question that is answered with yes or no. No answer, and any other, is a no.
pub(crate) fn confirm(question: &str, is_answered: bool) -> Result<(), Failure> {
    if is_answered {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!("Nobody can be asked here: {question}")).hint("`--yes` answers it"));
    }
    interrupt::release();
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stdin().lock().read_line(&mut answer));
    let is_yes = asked.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if is_yes { Ok(()) } else { Err(Failure { kind: Kind::Refused, ..Failure::usage("Nothing was changed") }) }
}
