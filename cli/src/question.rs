//! Questions to the person at the terminal. Where nobody can answer, a verb refuses and names `--yes`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use engine::Context;
use engine::error::{Error, ErrorId};
use engine::event::Event;
use engine::threads;

use crate::failure::{Failure, one_line};
use crate::interrupt;

/// The time after which an interruption is noticed, at the latest.
const NOTICED: Duration = Duration::from_millis(100);

/// Tells whether somebody can see a question and answer it.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question. Only `y` and `yes` mean yes. The thread that draws the progress prints the question: another one
/// would write between its lines.
pub(crate) fn ask(context: &Context, question: &str) -> Result<bool, Failure> {
    context.observer.observe(Event::Warning(format!("{question} Type `y` and Enter for yes")));
    let (answer, answers) = mpsc::channel();
    let read = move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map(|_| line);
        drop(answer.send(read));
    };
    threads::spawn(read).map_err(Failure::from)?;
    loop {
        context.cancel.check()?;
        match answers.recv_timeout(NOTICED) {
            Ok(line) => return Ok(line.is_ok_and(|line| is_yes(&line))),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Bug("nobody reads the answer".into()).into()),
        }
    }
}

/// Asks a question before any work begins. `is_answered` is `--yes`. No answer, and any but yes, is a no.
pub(crate) fn confirm(question: &str, is_answered: bool) -> Result<(), Failure> {
    if is_answered {
        return Ok(());
    }
    if !can_ask() {
        let refused = Failure::refused(ErrorId::NoTerminal, format!("There is no terminal to ask on: {question}"));
        return Err(refused.hint("`--yes` answers yes"));
    }
    interrupt::release();
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stdin().lock().read_line(&mut answer));
    let is_agreed = asked.is_ok() && is_yes(&answer);
    if is_agreed { Ok(()) } else { Err(Failure::refused(ErrorId::Declined, "Nothing was changed")) }
}

/// Asks for a text before any work begins. An empty answer is the usual one. A wrong one is told, and asked for again;
/// the end of the input is no answer.
pub(crate) fn text(question: &str, usual: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<String, Failure> {
    interrupt::release();
    loop {
        let mut line = String::new();
        write!(io::stderr(), "{question} [{usual}]: ").unwrap_or_default();
        if io::stdin().lock().read_line(&mut line).unwrap_or_default() == 0 {
            return Err(Failure::refused(ErrorId::Declined, "Nothing was written"));
        }
        let answer = match line.trim() {
            "" => usual,
            answer => answer,
        };
        match check(answer) {
            Ok(()) => return Ok(answer.to_owned()),
            Err(reason) => writeln!(io::stderr(), "{}", one_line(&reason)).unwrap_or_default(),
        }
    }
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for line in ["y\n", "yes\n", " Y \n", "YES"] {
            assert!(is_yes(line), "{line:?}");
        }
        for line in ["", "\n", "n\n", "no\n", "yep\n", "ja\n", "y y\n"] {
            assert!(!is_yes(line), "{line:?}");
        }
    }
}
