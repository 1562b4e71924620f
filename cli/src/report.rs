//! What a verb came to, printed on stdout: a text for people, or with `--json` one object.

use std::io::{self, Write};

use engine::error::Kind;
use serde::Serialize;

use crate::color::Palette;
use crate::failure::Failure;

/// The result of a verb.
pub(crate) trait Report: Serialize {
    /// Whether the verb is a question: its answer is printed with `--quiet` too.
    const ANSWERS: bool;

    /// Returns the text for people, with a newline at its end.
    fn text(&self, palette: Palette) -> String;

    /// Returns what goes on from here: a sentence that names a command, whose place is added.
    fn next(&self) -> Option<String> {
        None
    }
}

/// Returns the object that `--json` prints, on one line.
pub(crate) fn object(report: &impl Report) -> Result<String, Failure> {
    match serde_json::to_string(report) {
        Ok(object) => Ok(object + "\n"),
        Err(error) => {
            Err(Failure { kind: Kind::Bug, ..Failure::usage("The result cannot be written as JSON").because(&error) })
        }
    }
}

/// Writes to stdout. A reader that has gone away, as `head` does, has read what it wanted.
pub(crate) fn write_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure {
            kind: Kind::Refused,
            ..Failure::usage("Could not write the result to stdout; the work itself is done").because(&error)
        }),
        _ => Ok(()),
    }
}

/// Lines of a label and a text, aligned, for the block below a headline.
#[derive(Default)]
pub(crate) struct Block(Vec<(&'static str, String)>);

impl Block {
    /// Adds a line.
    #[expect(clippy::needless_pass_by_value, reason = "callers make the text in place")]
    pub(crate) fn line(&mut self, label: &'static str, text: impl ToString) -> &mut Block {
        self.0.push((label, text.to_string()));
        self
    }

    /// Adds a line if there is something to say.
    pub(crate) fn line_if(&mut self, label: &'static str, text: Option<impl ToString>) -> &mut Block {
        if let Some(text) = text {
            self.line(label, text);
        }
        self
    }

    /// Returns the lines, the texts in one column.
    pub(crate) fn text(&self) -> String {
        let width = self.0.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
        let lines = self.0.iter().map(|(label, text)| format!("  {label:width$}  {text}\n"));
        lines.collect()
    }
}
