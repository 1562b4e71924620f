//! The keys of one table in `cutover.toml`, each with its line.
//!
//! Every value is checked in its place, whether its stage is chosen or not: a mistake is found on the first run, not
//! on the first run of that stage.

use std::time::Duration;

use engine::path::RelativePath;
use engine::target::Transport;
use toml::Spanned;
use toml::de::DeValue;

use crate::destination;
use crate::duration;

/// A value and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// A mistake in the file: its line, its reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The reason.
    pub(crate) reason: String,
    /// The way out.
    pub(crate) hint: Option<String>,
}

type Setting<T> = Option<Located<T>>;

/// Declares the keys of a table, each with its type and the function that reads it.
macro_rules! keys {
    ($($name:ident: $type:ty = $read:expr,)*) => {
        /// The keys of one table. A missing key is `None`.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(crate) struct Keys {
            $(pub(crate) $name: Setting<$type>,)*
        }

        /// The names of the keys, for hints.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Keys {
            /// Sets a key from an entry of the table.
            pub(crate) fn set(&mut self, entry: &Entry<'_>) -> Result<(), Mistake> {
                match entry.name {
                    $(stringify!($name) => entry.put(&mut self.$name, $read),)*
                    _ => Err(entry.unknown()),
                }
            }

            /// Fills missing keys from the defaults. A list replaces a list.
            pub(crate) fn or(self, defaults: &Keys) -> Keys {
                let defaults = defaults.clone();
                Keys { $($name: self.$name.or(defaults.$name),)* }
            }
        }
    };
}

keys! {
    deploy_path: String = Entry::path,
    current_path: String = Entry::absolute_path,
    host: String = |entry| entry.word(destination::check_host),
    user: String = |entry| entry.word(|word| destination::check_word("user", word)),
    port: u16 = |entry| entry.number("a port from 1 to 65535"),
    identity_file: String = Entry::path,
    ssh_config: String = Entry::path,
    transport: Transport = Entry::transport,
    agent_path: String = Entry::absolute_path,
    source: String = Entry::path,
    exclude: Vec<String> = Entry::strings,
    keep_releases: u32 = |entry| entry.number("a whole number of at least 1"),
    grace: Duration = Entry::duration,
    spare: bool = Entry::boolean,
    shared_dirs: Vec<Located<RelativePath>> = Entry::shared_paths,
    shared_files: Vec<Located<RelativePath>> = Entry::shared_paths,
    auto_shared: bool = Entry::boolean,
    copy_paths: Vec<String> = Entry::strings,
    zstd_level: i32 = Entry::zstd_level,
}

/// The similarity from which a key is suggested: `keep_release` has 0.98 to `keep_releases`, unrelated words less
/// than 0.7.
const ALIKE: f64 = 0.8;

/// Returns whether `name` is a key.
pub(crate) fn is_key(name: &str) -> bool {
    NAMES.contains(&name)
}

impl Keys {
    /// Refuses a shared path that is named twice or is within another one: each path is one link in a release, and a
    /// link within a link would be made in `shared/`.
    pub(crate) fn check_shared(&self) -> Result<(), Mistake> {
        let lists = [&self.shared_dirs, &self.shared_files];
        let mut earlier: Vec<&Located<RelativePath>> = Vec::new();
        for path in lists.into_iter().flatten().flat_map(|list| &list.value) {
            for other in &earlier {
                let (inner, outer) = (&path.value, &other.value);
                let place = format!("(line {})", other.line);
                let reason = if inner == outer {
                    format!("the shared path `{inner}` is named twice {place}")
                } else if inner.is_within(outer) {
                    format!("the shared path `{inner}` lies within `{outer}` {place}")
                } else if outer.is_within(inner) {
                    format!("the shared path `{inner}` holds `{outer}` {place}")
                } else {
                    continue;
                };
                return Err(Mistake {
                    line: path.line,
                    reason,
                    hint: Some("Name the outer one only: all that is in it is shared with it".into()),
                });
            }
            earlier.push(path);
        }
        Ok(())
    }
}

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
    fn put<T>(&self, slot: &mut Setting<T>, read: impl FnOnce(&Self) -> Result<T, Mistake>) -> Result<(), Mistake> {
        let line = self.line();
        *slot = Some(Located { value: read(self)?, line });
        Ok(())
    }

    /// Returns the line of the key.
    pub(crate) fn line(&self) -> usize {
        line_at(self.text, self.at)
    }

    fn mistake(&self, reason: String) -> Mistake {
        Mistake { line: self.line(), reason, hint: None }
    }

    fn expected(&self, what: &str) -> Mistake {
        self.mistake(format!("`{}` must be {what}", self.name))
    }

    /// Returns the mistake of an unknown key.
    pub(crate) fn unknown(&self) -> Mistake {
        let alike = |name: &&str| strsim::jaro_winkler(self.name, name);
        let nearest = NAMES.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        let hint = match nearest.filter(|name| alike(name) >= ALIKE) {
            Some(name) => format!("Did you mean `{name}`?"),
            None => format!("The keys are {}", list(NAMES.iter().copied())),
        };
        Mistake { hint: Some(hint), ..self.mistake(format!("there is no key `{}`", self.name.escape_debug())) }
    }

    fn string(&self, what: &str) -> Result<&str, Mistake> {
        let string = self.value.get_ref().as_str().ok_or_else(|| self.expected(what))?;
        check_variables(string, self.line(), "Write the value itself, or give it on the command line")?;
        Ok(string)
    }

    fn path(&self) -> Result<String, Mistake> {
        let path = self.string("a string: a path")?;
        if path.is_empty() || path.contains(|character: char| character.is_control()) {
            return Err(self.expected("a path, and is empty or has a control character"));
        }
        Ok(path.to_owned())
    }

    fn absolute_path(&self) -> Result<String, Mistake> {
        let path = self.path()?;
        if !path.starts_with('/') {
            return Err(self.expected("an absolute path"));
        }
        Ok(path)
    }

    fn word(&self, check: impl FnOnce(&str) -> Result<(), String>) -> Result<String, Mistake> {
        let word = self.string("a string")?;
        check(word).map_err(|reason| self.mistake(format!("`{}` {reason}", self.name)))?;
        Ok(word.to_owned())
    }

    fn number<T: TryFrom<u64>>(&self, what: &str) -> Result<T, Mistake> {
        let integer = self.value.get_ref().as_integer();
        integer
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|&number| number > 0)
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.expected(what))
    }

    fn zstd_level(&self) -> Result<i32, Mistake> {
        const WHAT: &str = "a level from 1 to 19";
        let level = self.number(WHAT)?;
        if (1..=19).contains(&level) { Ok(level) } else { Err(self.expected(WHAT)) }
    }

    fn boolean(&self) -> Result<bool, Mistake> {
        self.value.get_ref().as_bool().ok_or_else(|| self.expected("`true` or `false`"))
    }

    fn duration(&self) -> Result<Duration, Mistake> {
        let what = format!("a string: {}", duration::EXPECTED);
        duration::parse(self.string(&what)?).map_err(|_| self.expected(&what))
    }

    fn transport(&self) -> Result<Transport, Mistake> {
        const WHAT: &str = "`\"auto\"`, `\"ssh2\"` or `\"openssh\"`";
        match self.string(WHAT)? {
            "auto" => Ok(Transport::Auto),
            "ssh2" => Ok(Transport::Ssh2),
            "openssh" => Ok(Transport::Openssh),
            _ => Err(self.expected(WHAT)),
        }
    }

    fn strings(&self) -> Result<Vec<String>, Mistake> {
        let strings = self.located_strings("a list of strings", "Write `[$]` for the character itself")?;
        Ok(strings.into_iter().map(|string| string.value.to_owned()).collect())
    }

    fn shared_paths(&self) -> Result<Vec<Located<RelativePath>>, Mistake> {
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

    fn located_strings(&self, what: &str, instead_of_variables: &str) -> Result<Vec<Located<&str>>, Mistake> {
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

/// Returns the line of an offset in the text, from 1.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_docs() {
        let docs = include_str!("../../docs/configuration.md");
        for name in NAMES {
            assert!(docs.contains(&format!("\n| `{name}` |")), "{name}");
        }
    }
}
