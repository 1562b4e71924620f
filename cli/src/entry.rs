//! One entry of a table in `cutover.toml`, and the kinds of values that it may have.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::path::RelativePath;
use engine::target::Transport;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::duration;
use crate::mistake::{Located, Mistake, line_at, list, nearest};

/// One key with its value.
pub(crate) struct Entry<'a> {
    /// The whole file.
    pub(crate) text: &'a str,
    /// The key.
    pub(crate) name: &'a str,
    /// The offset of the key.
    pub(crate) at: usize,
    /// The value.
    pub(crate) value: &'a Spanned<DeValue<'a>>,
}

impl Entry<'_> {
    /// Reads the value into the place of the key.
    pub(crate) fn put<T>(
        &self,
        slot: &mut Option<Located<T>>,
        read: impl FnOnce(&Self) -> Result<T, Mistake>,
    ) -> Result<(), Mistake> {
        let line = self.line();
        *slot = Some(Located { value: read(self)?, line });
        Ok(())
    }

    /// Returns the line of the key.
    pub(crate) fn line(&self) -> usize {
        line_at(self.text, self.at)
    }

    /// Returns a mistake at this entry.
    pub(crate) fn mistake(&self, reason: String) -> Mistake {
        Mistake { line: self.line(), reason, hint: None }
    }

    /// Returns the mistake of a value that is not as it must be.
    pub(crate) fn expected(&self, what: &str) -> Mistake {
        self.mistake(format!("`{}` must be {what}", self.name))
    }

    /// Returns the mistake of an unknown key.
    pub(crate) fn unknown(&self, known: &[&str]) -> Mistake {
        let mistake = self.mistake(format!("there is no key `{}`", self.name.escape_debug()));
        match nearest(self.name, known.iter().copied()) {
            Some(name) => mistake.hint(format!("Did you mean `{name}`?")),
            None => mistake.hint(format!("The keys are {}", list(known.iter().copied()))),
        }
    }

    /// Reads a string.
    pub(crate) fn string(&self, what: &str) -> Result<&str, Mistake> {
        let string = self.value.get_ref().as_str().ok_or_else(|| self.expected(what))?;
        check_variables(string, self.line(), "Write the value itself, or give it on the command line")?;
        Ok(string)
    }

    /// Reads a path.
    pub(crate) fn path(&self) -> Result<String, Mistake> {
        let path = self.string("a string: a path")?;
        if path.is_empty() || path.contains(|character: char| character.is_control()) {
            return Err(self.expected("a path, and is empty or has a control character"));
        }
        Ok(path.to_owned())
    }

    /// Reads an absolute path.
    pub(crate) fn absolute_path(&self) -> Result<String, Mistake> {
        let path = self.path()?;
        if !path.starts_with('/') {
            return Err(self.expected("an absolute path"));
        }
        Ok(path)
    }

    /// Reads a string that passes a check.
    pub(crate) fn word(&self, check: impl FnOnce(&str) -> Result<(), String>) -> Result<String, Mistake> {
        let word = self.string("a string")?;
        check(word).map_err(|reason| self.mistake(format!("`{}` {reason}", self.name)))?;
        Ok(word.to_owned())
    }

    /// Reads a whole number, at least 1.
    pub(crate) fn number<T: TryFrom<u64>>(&self, what: &str) -> Result<T, Mistake> {
        let integer = self.value.get_ref().as_integer();
        integer
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|&number| number > 0)
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.expected(what))
    }

    /// Reads a zstd level.
    pub(crate) fn zstd_level(&self) -> Result<i32, Mistake> {
        const WHAT: &str = "a level from 1 to 19";
        let level = self.number(WHAT)?;
        if (1..=19).contains(&level) { Ok(level) } else { Err(self.expected(WHAT)) }
    }

    /// Reads a boolean.
    pub(crate) fn boolean(&self) -> Result<bool, Mistake> {
        self.value.get_ref().as_bool().ok_or_else(|| self.expected("`true` or `false`"))
    }

    /// Reads a duration.
    pub(crate) fn duration(&self) -> Result<Duration, Mistake> {
        let what = format!("a string: {}", duration::EXPECTED);
        duration::parse(self.string(&what)?).map_err(|_| self.expected(&what))
    }

    /// Reads a transport.
    pub(crate) fn transport(&self) -> Result<Transport, Mistake> {
        const WHAT: &str = "`\"auto\"`, `\"ssh2\"` or `\"openssh\"`";
        match self.string(WHAT)? {
            "auto" => Ok(Transport::Auto),
            "ssh2" => Ok(Transport::Ssh2),
            "openssh" => Ok(Transport::Openssh),
            _ => Err(self.expected(WHAT)),
        }
    }

    /// Reads a list of patterns.
    pub(crate) fn strings(&self) -> Result<Vec<String>, Mistake> {
        let strings = self.located_strings("a list of strings", "Write `[$]` for the character itself")?;
        Ok(strings.into_iter().map(|string| string.value.to_owned()).collect())
    }

    /// Reads a list of paths in a release.
    pub(crate) fn shared_paths(&self) -> Result<Vec<Located<RelativePath>>, Mistake> {
        let strings = self.located_strings("a list of paths", "Write the path itself")?;
        let paths = strings.into_iter().map(|string| {
            let line = string.line;
            match RelativePath::parse(string.value.as_bytes()) {
                Ok(value) => Ok(Located { value, line }),
                Err(error) => Err(Mistake {
                    line,
                    reason: format!("`{}` cannot be a shared path: {error}", string.value.escape_debug()),
                    hint: Some("Write it as it stands in a release, such as `storage/app`".into()),
                }),
            }
        });
        paths.collect()
    }

    /// Reads a list of paths of logs.
    pub(crate) fn log_paths(&self) -> Result<Vec<String>, Mistake> {
        let paths = self.located_strings("a list of paths", "Write the path itself")?;
        let paths = paths.into_iter().map(|Located { value, line }| {
            if value.is_empty() || value.contains(char::is_control) {
                let reason =
                    format!("`{}` cannot be a log: it is empty or has a control character", value.escape_debug());
                return Err(Mistake { line, reason, hint: None });
            }
            Ok(value.to_owned())
        });
        paths.collect()
    }

    /// Reads a list of tables: the entries of each, and its line.
    pub(crate) fn tables(&self) -> Result<Vec<Located<Vec<Entry<'_>>>>, Mistake> {
        let name = self.name;
        let wrong = || {
            let hint = format!("Begin each with `[[{name}]]`, or with `[[STAGE.{name}]]` in a stage");
            self.expected("a list of tables").hint(hint)
        };
        let array = self.value.get_ref().as_array().ok_or_else(wrong)?;
        let tables = array.iter().map(|item| {
            let table = item.get_ref().as_table().ok_or_else(wrong)?;
            Ok(Located { value: entries(self.text, table), line: line_at(self.text, item.span().start) })
        });
        tables.collect()
    }

    /// Reads a table whose keys the user chooses.
    pub(crate) fn table_of<T>(
        &self,
        read: impl Fn(&Entry<'_>) -> Result<T, Mistake>,
    ) -> Result<BTreeMap<String, T>, Mistake> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))?;
        let read = |entry: Entry<'_>| Ok((entry.name.to_owned(), read(&entry)?));
        entries(self.text, table).into_iter().map(read).collect()
    }

    /// Reads a list of strings, each with its line.
    pub(crate) fn located_strings(
        &self,
        what: &str,
        instead_of_variables: &str,
    ) -> Result<Vec<Located<&str>>, Mistake> {
        let array = self.value.get_ref().as_array().ok_or_else(|| self.expected(what))?;
        let strings = array.iter().map(|item| {
            let line = line_at(self.text, item.span().start);
            match item.get_ref().as_str() {
                Some(value) => {
                    check_variables(value, line, instead_of_variables)?;
                    Ok(Located { value, line })
                }
                None => Err(Mistake { line, ..self.expected(what) }),
            }
        });
        strings.collect()
    }
}

/// Returns the entries of a table in the order of the file, so that the first mistake is reported.
pub(crate) fn entries<'a>(text: &'a str, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> =
        table.iter().map(|(name, value)| Entry { text, name: name.get_ref(), at: name.span().start, value }).collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

/// Refuses a value with a variable: used literally, it would make a directory called `$NAME`.
fn check_variables(value: &str, line: usize, hint: &str) -> Result<(), Mistake> {
    let Some(variable) = variable(value) else { return Ok(()) };
    let reason = format!("`{}` is not expanded: variables are not read", variable.escape_debug());
    Err(Mistake { line, reason, hint: Some(hint.to_owned()) })
}

/// Returns the first `$NAME` or `${NAME}`. A backslash before it escapes it.
fn variable(value: &str) -> Option<&str> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    value.match_indices('$').filter(|&(at, _)| !value[..at].ends_with('\\')).find_map(|(at, _)| {
        let rest = &value[at + 1..];
        let (opens, name) = rest.strip_prefix('{').map_or((0, rest), |name| (1, name));
        let length = name.find(|character| !is_name(character)).unwrap_or(name.len());
        let closes = name[length..].starts_with('}');
        let is_variable = name.starts_with(|first: char| is_name(first) && !first.is_ascii_digit());
        (is_variable && (opens == 0 || closes)).then(|| &value[at..=at + length + 2 * opens])
    })
}
