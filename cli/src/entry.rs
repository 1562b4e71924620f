//! One entry of a table in `cutover.toml`, and the kinds of values that it may have.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::host_key::{HostKey, HostKeyError};
use engine::link::Link;
use engine::min_free::MinFree;
use engine::target::{HookEdits, Transport};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::duration;
use crate::mistake::{Line, Located, Mistake, list, nearest};
use crate::page::Page;
use crate::shape::words;
use crate::size;
use crate::variables::{Grammar, has_variable, is_name};

/// The SSH clients.
pub(crate) const TRANSPORTS: [(&str, Transport); 3] =
    [("auto", Transport::Auto), ("ssh2", Transport::Ssh2), ("openssh", Transport::Openssh)];
/// Their words.
pub(crate) const TRANSPORT_WORDS: [&str; 3] = words(&TRANSPORTS);

/// The ways in which files get their content from the store.
pub(crate) const LINKS: [(&str, Link); 2] = [("hardlink", Link::Hardlink), ("reflink", Link::Reflink)];
/// Their words.
pub(crate) const LINK_WORDS: [&str; 2] = words(&LINKS);

/// The treatments of hooks that change linked files in place.
pub(crate) const HOOK_EDITS: [(&str, HookEdits); 3] =
    [("repair", HookEdits::Repair), ("refuse", HookEdits::Refuse), ("allow", HookEdits::Allow)];
/// Their words.
pub(crate) const HOOK_EDIT_WORDS: [&str; 3] = words(&HOOK_EDITS);

/// One key with its value, or one item of a list.
pub(crate) struct Entry<'a> {
    /// The page that it is on.
    pub(crate) page: &'a Page<'a>,
    /// The key at the top of the table that it belongs to.
    pub(crate) root: &'a str,
    /// The key.
    pub(crate) name: &'a str,
    /// The offset of the key or the item.
    pub(crate) at: usize,
    /// The value.
    pub(crate) value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    /// Reads the value into the place of the key. A mistake that comes from the environment is noted: it counts only
    /// where the value is used.
    pub(crate) fn put<T>(
        &self,
        slot: &mut Option<Located<T>>,
        read: impl FnOnce(&Self) -> Result<T, Mistake>,
    ) -> Result<(), Mistake> {
        match read(self) {
            Ok(value) => *slot = Some(Located { value, line: self.line() }),
            Err(mistake) if mistake.is_of_environment => self.page.note(self.root, mistake),
            Err(mistake) => return Err(mistake),
        }
        Ok(())
    }

    /// Returns the value as it is written.
    pub(crate) fn written(&self) -> serde_json::Value {
        written(self.value.get_ref())
    }

    /// Returns the place of the entry.
    pub(crate) fn line(&self) -> Line {
        self.page.line_at(self.at)
    }

    /// Returns a mistake at this entry.
    pub(crate) fn mistake(&self, reason: String) -> Mistake {
        let is_of_environment = self.value.get_ref().as_str().is_some_and(has_variable);
        Mistake { is_of_environment, ..Mistake::new(self.line(), reason) }
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

    /// Reads a string of which nothing is secret.
    pub(crate) fn string(&self, what: &str) -> Result<String, Mistake> {
        self.expanded(what, (Grammar::Plain, false))
    }

    /// Reads a string, and notes the values of its variables as secrets.
    pub(crate) fn secret_string(&self, what: &str) -> Result<String, Mistake> {
        self.expanded(what, (Grammar::Plain, true))
    }

    /// Reads a string, and replaces its variables.
    pub(crate) fn expanded(&self, what: &str, grammar: (Grammar, bool)) -> Result<String, Mistake> {
        let string = self.value.get_ref().as_str().ok_or_else(|| self.expected(what))?;
        self.page.expand(string, self.at, grammar)
    }

    /// Reads a path.
    pub(crate) fn path(&self) -> Result<String, Mistake> {
        let path = self.string("a string: a path")?;
        if path.is_empty() || path.contains(|character: char| character.is_control()) {
            return Err(self.expected("a path, and is empty or has a control character"));
        }
        Ok(path)
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
        check(&word).map_err(|reason| self.mistake(format!("`{}` {reason}", self.name)))?;
        Ok(word)
    }

    /// Reads a string that passes a check, and notes the values of its variables as secrets.
    pub(crate) fn secret_word(&self, check: impl FnOnce(&str) -> Result<(), String>) -> Result<String, Mistake> {
        let word = self.secret_string("a string")?;
        check(&word).map_err(|reason| self.mistake(format!("`{}` {reason}", self.name)))?;
        Ok(word)
    }

    /// Reads a secret. It is not empty: an empty one would sign nothing.
    pub(crate) fn secret(&self) -> Result<String, Mistake> {
        let secret = self.secret_string("a string")?;
        if secret.is_empty() {
            let empty = self.expected("a secret, and is empty");
            return Err(empty.hint("Take it from the environment, such as `\"${WEBHOOK_SECRET}\"`"));
        }
        Ok(secret)
    }

    /// Reads a whole number, at least 1.
    pub(crate) fn number<T: TryFrom<u64>>(&self, what: &str) -> Result<T, Mistake> {
        let number = self.integer(what)?.filter(|&number| number > 0);
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| self.expected(what))
    }

    /// Reads a number of things, which may be 0.
    pub(crate) fn count(&self) -> Result<u32, Mistake> {
        const WHAT: &str = "a whole number";
        self.integer(WHAT)?.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| self.expected(WHAT))
    }

    /// Reads a whole number. A string is one if it has a variable: `port = "${PORT}"`.
    pub(crate) fn integer(&self, what: &str) -> Result<Option<u64>, Mistake> {
        match self.value.get_ref() {
            DeValue::Integer(integer) => Ok(u64::from_str_radix(integer.as_str(), integer.radix()).ok()),
            DeValue::String(string) if has_variable(string) => Ok(self.string(what)?.parse().ok()),
            _ => Ok(None),
        }
    }

    /// Reads a zstd level.
    pub(crate) fn zstd_level(&self) -> Result<i32, Mistake> {
        const WHAT: &str = "a level from 1 to 19";
        let level = self.number(WHAT)?;
        if (1..=19).contains(&level) { Ok(level) } else { Err(self.expected(WHAT)) }
    }

    /// Reads a boolean.
    pub(crate) fn boolean(&self) -> Result<bool, Mistake> {
        const WHAT: &str = "`true` or `false`";
        let found = match self.value.get_ref() {
            DeValue::Boolean(found) => Some(*found),
            DeValue::String(string) if has_variable(string) => self.string(WHAT)?.parse().ok(),
            _ => None,
        };
        found.ok_or_else(|| self.expected(WHAT))
    }

    /// Reads a duration.
    pub(crate) fn duration(&self) -> Result<Duration, Mistake> {
        let what = format!("a string: {}", duration::EXPECTED);
        duration::parse(&self.string(&what)?).map_err(|_| self.expected(&what))
    }

    /// Reads the space that a deploy leaves free.
    pub(crate) fn min_free(&self) -> Result<MinFree, Mistake> {
        let what = format!("a string: {}", size::EXPECTED);
        size::min_free(&self.string(&what)?).ok_or_else(|| self.expected(&what))
    }

    /// Reads one of several words.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Mistake> {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
        let (last, others) = quoted.split_last().map_or(("", &[][..]), |(last, others)| (last, others));
        let what = format!("{} or {last}", others.join(", "));
        let found = self.string(&what)?;
        match words.iter().find(|(word, _)| *word == found) {
            Some((_, value)) => Ok(*value),
            None => {
                let mistake = self.expected(&what);
                let alike = nearest(&found, words.iter().map(|(word, _)| *word));
                Err(alike.map_or(mistake.clone(), |word| mistake.hint(format!("Did you mean `{word}`?"))))
            }
        }
    }

    /// Reads a list of patterns.
    pub(crate) fn strings(&self) -> Result<Vec<String>, Mistake> {
        self.list_of("a list of strings", |item| item.expanded("a list of strings", (Grammar::Pattern, false)))
    }

    /// Reads a list of paths of logs.
    pub(crate) fn log_paths(&self) -> Result<Vec<String>, Mistake> {
        self.list_of("a list of paths", |item| {
            let path = item.string("a list of paths")?;
            if path.is_empty() || path.contains(char::is_control) {
                let shown = path.escape_debug();
                return Err(item.mistake(format!("`{shown}` cannot be a log: it is empty or has a control character")));
            }
            Ok(path)
        })
    }

    /// Reads one host key, or several.
    pub(crate) fn host_keys(&self) -> Result<Vec<HostKey>, Mistake> {
        const WHAT: &str = "a host key, such as `\"ssh-ed25519 AAAA…\"`, or a list of them";
        let read = |item: &Entry<'a>| {
            item.string(WHAT)?.parse().map_err(|error: HostKeyError| {
                item.mistake(format!("`{}` has no host key: {error}", self.name))
                    .hint("Write the content of `/etc/ssh/ssh_host_ed25519_key.pub` on the server: `ssh-ed25519 AAAA…`")
            })
        };
        if self.value.get_ref().as_str().is_some() {
            return read(self).map(|key| vec![key]);
        }
        let keys = self.list_of(WHAT, read)?;
        if keys.is_empty() { Err(self.expected(WHAT)) } else { Ok(keys) }
    }

    /// Reads the names of variables whose values no output may show.
    pub(crate) fn secret_names(&self) -> Result<Vec<String>, Mistake> {
        const WHAT: &str = "a list of names of environment variables";
        self.list_of(WHAT, |item| {
            let name = item.value.get_ref().as_str().ok_or_else(|| item.expected(WHAT))?;
            if !is_name(name) {
                let reason = format!("`{}` cannot name an environment variable", name.escape_debug());
                return Err(Mistake::new(item.line(), reason).hint("Write the name alone, such as `APP_KEY`"));
            }
            self.page.add_secret(name, item.at)?;
            Ok(name.to_owned())
        })
    }

    /// Reads a list of tables: the entries of each, and its line.
    pub(crate) fn tables(&self) -> Result<Vec<Located<Vec<Entry<'a>>>>, Mistake> {
        let name = self.name;
        let wrong = || {
            let hint = format!("Begin each with `[[{name}]]`, or with `[[STAGE.{name}]]` in a stage");
            self.expected("a list of tables").hint(hint)
        };
        let array = self.value.get_ref().as_array().ok_or_else(wrong)?;
        let tables = array.iter().map(|item| {
            let table = item.get_ref().as_table().ok_or_else(wrong)?;
            let value = entries(self.page, Some(self.root), table);
            Ok(Located { value, line: self.page.line_at(item.span().start) })
        });
        tables.collect()
    }

    /// Reads a table whose keys the user chooses.
    pub(crate) fn table_of<T>(
        &self,
        read: impl Fn(&Entry<'_>) -> Result<T, Mistake>,
    ) -> Result<BTreeMap<String, T>, Mistake> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))?;
        let read = |entry: &Entry<'_>| Ok((entry.name.to_owned(), read(entry)?));
        all(entries(self.page, Some(self.root), table).iter().map(read))
    }

    /// Reads a list, and each of its items.
    pub(crate) fn list_of<T>(
        &self,
        what: &str,
        read: impl Fn(&Entry<'a>) -> Result<T, Mistake>,
    ) -> Result<Vec<T>, Mistake> {
        let Entry { page, root, name, .. } = *self;
        let array = self.value.get_ref().as_array().ok_or_else(|| self.expected(what))?;
        all(array.iter().map(|value| read(&Entry { page, root, name, at: value.span().start, value })))
    }
}

/// Returns a value as it is written.
pub(crate) fn written(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).unwrap_or_default().into(),
        DeValue::Float(float) => float.as_str().into(),
        DeValue::Boolean(boolean) => (*boolean).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| written(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let pair = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                (name.get_ref().to_string(), written(value.get_ref()))
            };
            serde_json::Value::Object(table.iter().map(pair).collect())
        }
    }
}

/// Collects values. A mistake that comes from the environment waits for the others: they count in any environment.
fn all<T, C: FromIterator<T>>(found: impl Iterator<Item = Result<T, Mistake>>) -> Result<C, Mistake> {
    let (mut values, mut waiting) = (Vec::new(), None);
    for found in found {
        match found {
            Ok(value) => values.push(value),
            Err(mistake) if mistake.is_of_environment => waiting = waiting.or(Some(mistake)),
            Err(mistake) => return Err(mistake),
        }
    }
    waiting.map_or_else(|| Ok(values.into_iter().collect()), Err)
}

/// Returns the entries of a table in the order of the file, so that the first mistake is reported. `root` is the key
/// at the top that the table belongs to, if it is not the top itself.
pub(crate) fn entries<'a>(page: &'a Page<'a>, root: Option<&'a str>, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let entry = |(name, value): (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)| {
        let (at, name) = (name.span().start, name.get_ref().as_ref());
        Entry { page, root: root.unwrap_or(name), name, at, value }
    };
    let mut entries: Vec<Entry<'a>> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}
