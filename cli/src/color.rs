//! The colours of the output.
//!
//! The output has the same meaning without colour: a colour repeats a word or a sign.

use std::fmt;

use clap::ValueEnum;

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

/// Colours for one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    enabled: bool,
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
        Palette { enabled }
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
        Palette { enabled: false }
    }

    fn paint<T: fmt::Display>(self, code: &'static str, text: T) -> Painted<T> {
        let code = self.enabled.then_some(code);
        Painted { code, text }
    }
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
