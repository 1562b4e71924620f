//! Whether output is coloured, and how.
//!
//! Everything reads the same without colour: it repeats what a word or a sign says already.

use std::fmt;

use crate::args::ColorChoice;
use crate::environment::Environment;

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

/// Reads the variables that ask for colour or for none; `None` leaves it to the terminal.
pub(crate) fn wish(no_color: Option<&str>, clicolor_force: Option<&str>, clicolor: Option<&str>) -> Option<bool> {
    let says = |variable: Option<&str>| variable.is_some_and(|value| !value.is_empty() && value != "0");
    if no_color.is_some_and(|value| !value.is_empty()) {
        Some(false)
    } else if says(clicolor_force) {
        Some(true)
    } else if clicolor == Some("0") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_wins_over_force_and_force_over_clicolor() {
        assert_eq!(wish(None, None, None), None);
        assert_eq!(wish(Some(""), None, None), None);
        assert_eq!(wish(Some("0"), Some("1"), None), Some(false));
        assert_eq!(wish(None, Some("1"), Some("0")), Some(true));
        assert_eq!(wish(None, Some("0"), Some("0")), Some(false));
        assert_eq!(wish(None, None, Some("1")), None);
    }
}
