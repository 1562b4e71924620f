//! Whether output is coloured, and how.
//!
//! Everything reads the same without colour: it repeats what a word or a sign says already.

use std::fmt;

use clap::ValueEnum;

use crate::environment::Environment;

/// When to colour.
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
    /// Decides for one stream: the option, then `NO_COLOR`, `CLICOLOR_FORCE` and `CLICOLOR`, then whether it is a
    /// terminal that knows colours.
    pub(crate) fn new(choice: ColorChoice, environment: &Environment, is_terminal: bool) -> Palette {
        let enabled = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => environment.color.unwrap_or(is_terminal && !environment.dumb_terminal),
        };
        Palette { enabled }
    }

    /// A fault.
    pub(crate) fn error<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("1;31", text)
    }

    /// What the user should know.
    pub(crate) fn warning<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("1;33", text)
    }

    /// What to do next.
    pub(crate) fn hint<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("1;36", text)
    }

    /// What matters most in a block.
    pub(crate) fn strong<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("1", text)
    }

    /// What is new.
    pub(crate) fn new_path<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("32", text)
    }

    /// What differs.
    pub(crate) fn changed_path<T: fmt::Display>(self, text: T) -> Painted<T> {
        self.paint("33", text)
    }

    /// What is gone.
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
