//! Mistakes in the config: a value with its place, a mistake with its place, and the words for them.

use std::fmt;
use std::path::Path;

use engine::error::ErrorId;

use crate::failure::Failure;

/// The place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    /// A line of the config, from 1.
    Number(usize),
    /// The command line: `--set`.
    Flag,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Number(number) => write!(f, "line {number}"),
            Line::Flag => f.write_str("`--set`"),
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// The place.
    pub(crate) line: Line,
}

/// A mistake in the config: its place, its reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The place.
    pub(crate) line: Line,
    /// The reason.
    pub(crate) reason: String,
    /// The way out.
    pub(crate) hint: Option<String>,
    /// Whether the value came from the environment. Such a mistake counts only where the value is used.
    pub(crate) is_of_environment: bool,
}

impl Mistake {
    /// Returns a mistake without a way out.
    pub(crate) fn new(line: Line, reason: impl Into<String>) -> Mistake {
        Mistake { line, reason: reason.into(), hint: None, is_of_environment: false }
    }

    /// Adds the way out.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Mistake {
        Mistake { hint: Some(hint.into()), ..self }
    }

    /// Returns the failure of a mistake in a file or on the command line.
    pub(crate) fn failure(self, file: &Path) -> Failure {
        let place = match self.line {
            Line::Number(_) => format!("`{}` {}", file.display(), self.line),
            Line::Flag => self.line.to_string(),
        };
        Failure { hint: self.hint, ..Failure::usage(format!("{place}: {}", self.reason)).with_id(ErrorId::Config) }
    }
}

/// The similarity from which a word is suggested: `keep_release` has 0.98 to `keep_releases`, unrelated words less
/// than 0.7.
const ALIKE: f64 = 0.8;

/// Returns the word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |known: &&str| strsim::jaro_winkler(word, known);
    let nearest = known.into_iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    nearest.filter(|known| alike(known) >= ALIKE)
}

/// Joins names for people: `a`, `b` and `c`.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
