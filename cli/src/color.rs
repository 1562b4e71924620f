//! The colours of the output, and the width of its terminal.
//!
//! The output has the same meaning without colour: a colour repeats a word or a sign.

use std::fmt;
use std::os::fd::AsFd;

use clap::ValueEnum;
use rustix::termios::tcgetwinsize;

use crate::environment::Environment;

/// The choice of colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Colours for one stream, and its width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    enabled: bool,
    /// The columns of the terminal. None: the stream is none, so a line is as long as it is.
    columns: Option<usize>,
}

impl Palette {
    /// Chooses for one stream: first by the option, then by `NO_COLOR`, `CLICOLOR_FORCE` and `CLICOLOR`, then by
    /// whether the stream is a terminal that knows colours.
    pub(crate) fn new(choice: ColorChoice, environment: &Environment, is_terminal: bool) -> Palette {
        let enabled = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => environment.color.unwrap_or(is_terminal && !environment.dumb_terminal),
        };
        Palette { enabled, columns: None }
    }

    /// Sets the columns of the terminal.
    pub(crate) fn of_width(self, columns: Option<usize>) -> Palette {
        Palette { columns, ..self }
    }

    /// Returns the columns of the terminal.
    pub(crate) fn columns(self) -> Option<usize> {
        self.columns
    }

    /// An error.
    pub(crate) fn error<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("1;31", text)
    }

    /// A warning.
    pub(crate) fn warning<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("1;33", text)
    }

    /// A next step.
    pub(crate) fn hint<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("1;36", text)
    }

    /// The most important line of a block.
    pub(crate) fn strong<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("1", text)
    }

    /// A new path.
    pub(crate) fn new_path<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("32", text)
    }

    /// A changed path.
    pub(crate) fn changed_path<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("33", text)
    }

    /// A removed path.
    pub(crate) fn removed_path<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("31", text)
    }

    /// No colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Palette {
        Palette { enabled: false, columns: None }
    }

    fn paint<T: fmt::Display>(self, code: &'static str, text: T) -> Painted<T> {
        let code = self.enabled.then_some(code);
        Painted { code, text }
    }
}

/// Returns the columns of the terminal that a stream is. None: it is no terminal, or one that does not know.
pub(crate) fn columns(stream: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

/// A text in its colour.
pub(crate) struct Painted<T> {
    code: Option<&'static str>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\x1b[{code}m{}\x1b[0m", self.text),
            None => self.text.fmt(f),
        }
    }
}
