//! The result of a verb, printed on stdout: a text for people, or one object with `--json`.

use std::path::Path;

use engine::error::Kind;
use serde::Serialize;

use crate::color::Palette;
use crate::failure::Failure;
use crate::notice::Outcome;
use crate::stdout;
use crate::units::Count;

/// The result of a verb.
pub(crate) trait Report: Serialize {
    /// Whether the verb is a question, whose answer is printed even with `--quiet`.
    const ANSWERS: bool;

    /// Returns the text for people, with a newline at its end.
    fn text(&self, palette: Palette, is_verbose: bool) -> String;

    /// Returns the failure that the report amounts to, if it is one. It decides the exit code.
    fn failure(&self) -> Option<Failure> {
        None
    }

    /// Returns the outcome, for the webhook.
    fn outcome(&self) -> Option<Outcome> {
        None
    }

    /// Returns the next step: a sentence with a command, which is completed with the place.
    fn next(&self) -> Option<String> {
        None
    }
}

/// The result of a run, with the file of its log.
#[derive(Serialize)]
struct Logged<'a, T> {
    #[serde(flatten)]
    report: &'a T,
    log: Option<String>,
}

/// Returns the object of `--json` for a run: the report, and the file of its log.
pub(crate) fn logged_object(report: &impl Report, log: Option<&Path>) -> Result<String, Failure> {
    object(&Logged { report, log: log.map(|log| log.display().to_string()) })
}

/// Returns the object of `--json`, on one line.
pub(crate) fn object(report: &impl Serialize) -> Result<String, Failure> {
    match serde_json::to_string(report) {
        Ok(object) => Ok(object + "\n"),
        Err(error) => {
            Err(Failure { kind: Kind::Bug, ..Failure::usage("The result cannot be written as JSON").because(&error) })
        }
    }
}

/// Prints the text or the object of a report.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    stdout::write(text).map_err(|error| Failure {
        kind: Kind::Refused,
        ..Failure::usage("Could not write the result to stdout; the work itself is done").because(&error)
    })
}

/// Returns the counts of a comparison: `12 new, 1,828 changed, 3 removed`.
pub(crate) fn changes(new: u64, changed: u64, removed: u64) -> String {
    format!("{} new, {} changed, {} removed", Count(new), Count(changed), Count(removed))
}

/// Aligned lines of a label and a text, for the block below a headline.
#[derive(Default)]
pub(crate) struct Block(Vec<(&'static str, String)>);

impl Block {
    /// Adds a line.
    #[expect(clippy::needless_pass_by_value, reason = "callers make the text in place")]
    pub(crate) fn line(&mut self, label: &'static str, text: impl ToString) -> &mut Block {
        self.0.push((label, text.to_string()));
        self
    }

    /// Adds a line if there is a text.
    pub(crate) fn line_if(&mut self, label: &'static str, text: Option<impl ToString>) -> &mut Block {
        if let Some(text) = text {
            self.line(label, text);
        }
        self
    }

    /// Returns the lines, with all texts in one column.
    pub(crate) fn text(&self) -> String {
        let width = self.0.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
        let lines = self.0.iter().map(|(label, text)| format!("  {label:width$}  {text}\n"));
        lines.collect()
    }
}
