//! The values that belong to a command of a hook or a check.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::hook::Shell;

use crate::duration;
use crate::entry::Entry;
use crate::mistake::Mistake;
use crate::variables::{Grammar, is_name};

/// The start of the names of variables that Cutover gives to a command.
const OWN_VARIABLES: &str = "CUTOVER_";

/// The longest name of a hook or check: it stands before each line of output.
const NAME_CHARACTERS_MAX: usize = 64;

impl Entry<'_> {
    /// Reads the name of a hook or check.
    pub(crate) fn title(&self) -> Result<String, Mistake> {
        const WHAT: &str = "a name of 1 to 64 printable characters that does not begin with `-`";
        let name = self.string(WHAT)?;
        let is_printable = !name.chars().any(char::is_control) && name.trim() == name;
        let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count());
        if is_printable && fits && !name.starts_with('-') { Ok(name) } else { Err(self.expected(WHAT)) }
    }

    /// Reads a command. `$NAME` and `${NAME}` in it belong to its shell.
    pub(crate) fn command(&self) -> Result<String, Mistake> {
        const WHAT: &str = "a string: a command for the shell";
        let command = self.value.get_ref().as_str().ok_or_else(|| self.expected(WHAT))?;
        if command.trim().is_empty() || command.contains('\0') {
            return Err(self.expected("a command, and is empty or has a NUL character"));
        }
        Ok(command.to_owned())
    }

    /// Reads a shell.
    pub(crate) fn shell(&self) -> Result<Shell, Mistake> {
        const WHAT: &str = "`\"plain\"`, `\"login\"` or the absolute path of a shell";
        match self.string(WHAT)?.as_str() {
            "plain" => Ok(Shell::Plain),
            "login" => Ok(Shell::Login),
            path if path.starts_with('/') => self.path().map(Shell::Path),
            _ => Err(self.expected(WHAT)),
        }
    }

    /// Reads the directory of a command.
    pub(crate) fn working_directory(&self) -> Result<String, Mistake> {
        let path = self.path()?;
        if path == "~" || path.starts_with("~/") {
            return Err(self.expected("an absolute path, or a path from the usual directory: `~` is not expanded"));
        }
        Ok(path)
    }

    /// Reads the variables of a command.
    pub(crate) fn variables(&self) -> Result<BTreeMap<String, String>, Mistake> {
        self.table_of(|entry| {
            let name = entry.name;
            if !is_name(name) {
                let reason = format!("`{}` cannot name an environment variable", name.escape_debug());
                return Err(entry
                    .mistake(reason)
                    .hint("Use letters, digits and `_`, and begin with a letter or `_`, such as `APP_ENV`"));
            }
            if name.starts_with(OWN_VARIABLES) {
                let reason = format!("`{name}` cannot be set: Cutover sets the variables that begin with `CUTOVER_`");
                return Err(entry.mistake(reason).hint("Give it another name"));
            }
            entry.variable()
        })
    }

    /// Reads the value of a variable. A bare `$NAME` in it stays: it may be a part of a password.
    fn variable(&self) -> Result<String, Mistake> {
        let value = self.expanded("a string", (Grammar::Variable, true))?;
        if value.contains('\0') {
            return Err(self.expected("a string without NUL characters"));
        }
        Ok(value)
    }

    /// Reads a duration that is not 0.
    pub(crate) fn time_limit(&self) -> Result<Duration, Mistake> {
        let limit = self.duration()?;
        if limit.is_zero() {
            return Err(self.expected(&format!("longer than 0: {}", duration::EXPECTED)));
        }
        Ok(limit)
    }

    /// Reads a whole number, which may be 0.
    pub(crate) fn tries(&self) -> Result<u32, Mistake> {
        const WHAT: &str = "a whole number from 0 to 10000";
        let number = self.integer(WHAT)?.and_then(|number| u32::try_from(number).ok());
        number.filter(|&number| number <= 10_000).ok_or_else(|| self.expected(WHAT))
    }
}
