//! Patterns of paths, in the grammar of `.gitignore`.
//!
//! Both sides use them: the client for `.deployignore`, `exclude` and `.gitignore`, the server for `copy_paths`. They
//! work on bytes, and match exactly as in git, which the tests ask.
//!
//! A line is a glob. A `!` before it exempts its matches; a slash behind it restricts it to directories. A glob that
//! contains a slash, or begins with one, is compared with the path from the directory of the patterns; any other glob
//! with the last name alone. A pattern that no path can match, for example `a[`, is ignored.

mod exact;
mod glob;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::error::{Error, SourceError};
pub(crate) use exact::pattern_of;
use glob::Glob;

/// A list of patterns, relative to one directory. A later pattern wins over an earlier one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns {
    rules: Vec<Rule>,
    /// The rules for one name or one path, by its last name, the last rule first.
    names: HashMap<Vec<u8>, Vec<usize>>,
    /// The rules for names of one extension, for example `*.log`, by `.log`, the last rule first.
    extensions: HashMap<Vec<u8>, Vec<usize>>,
    /// The other rules, the last one first.
    others: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Rule {
    glob: Glob,
    /// Whether the rule is compared with a path, and not with a name.
    is_of_paths: bool,
    is_of_directories: bool,
    exempts: bool,
}

impl Patterns {
    /// Parses a list of lines. `place` is their origin, for messages.
    pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>, place: &str) -> Result<Patterns, Error> {
        Patterns::of_lines(lines.into_iter().map(str::as_bytes), place)
    }

    /// Parses an ignore file.
    pub(crate) fn parse_file(text: &[u8], place: &str) -> Result<Patterns, Error> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        Patterns::of_lines(lines, place)
    }

    fn of_lines<'a>(lines: impl IntoIterator<Item = &'a [u8]>, place: &str) -> Result<Patterns, Error> {
        let mut patterns = Patterns::default();
        for line in lines {
            if line.contains(&0) {
                return Err(SourceError::NulInPatterns { place: place.to_owned() }.into());
            }
            patterns.rules.extend(Rule::parse(line));
        }
        for (number, rule) in patterns.rules.iter().enumerate().rev() {
            // Most rules are for one name or one extension. There may be hundreds, so one look-up finds those that
            // may match.
            let (rules, key) = match (rule.glob.literal(), rule.glob.extension()) {
                (Some(path), _) => (&mut patterns.names, last_name(path)),
                (None, Some(extension)) if !rule.is_of_paths => (&mut patterns.extensions, extension),
                _ => {
                    patterns.others.push(number);
                    continue;
                }
            };
            rules.entry(key.to_vec()).or_default().push(number);
        }
        Ok(patterns)
    }

    /// Returns whether the list is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns whether a path, relative to the directory of the patterns, is matched (`true`) or exempted by a
    /// pattern with `!` (`false`), or nothing if no pattern matches it. The directories above it are not checked.
    pub(crate) fn verdict(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        let name = last_name(path);
        let fits = |number: &&usize| {
            let rule = &self.rules[**number];
            (is_directory || !rule.is_of_directories) && rule.glob.matches(if rule.is_of_paths { path } else { name })
        };
        let last_of = |rules: &HashMap<Vec<u8>, Vec<usize>>, key: &[u8]| {
            let rules = if rules.is_empty() { None } else { rules.get(key) };
            rules.and_then(|rules| rules.iter().find(fits)).copied()
        };
        let extension = memchr::memrchr(b'.', name).map(|dot| &name[dot..]);
        let of_extension = extension.and_then(|extension| last_of(&self.extensions, extension));
        let found = last_of(&self.names, name).max(of_extension);
        let later = self.others.iter().take_while(|&&number| found.is_none_or(|found| number > found));
        let last = later.into_iter().find(fits).copied().or(found)?;
        Some(!self.rules[last].exempts)
    }

    /// Returns whether a file is matched by itself or by a directory above it.
    pub(crate) fn matches_file(&self, path: &[u8]) -> bool {
        let mut above = memchr::memchr_iter(b'/', path).map(|slash| &path[..slash]);
        above.any(|directory| self.verdict(directory, true) == Some(true)) || self.verdict(path, false) == Some(true)
    }
}

/// Returns whether a line is a pattern that some path can match: no comment, not empty, every bracket closed.
pub fn is_pattern(line: &str) -> bool {
    !line.contains('\0') && Rule::parse(line.as_bytes()).is_some_and(|rule| !rule.glob.is_empty())
}

fn last_name(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..])
}

impl Rule {
    /// Parses a line. Returns nothing for an empty line, a comment, or a pattern that no path can match.
    fn parse(line: &[u8]) -> Option<Rule> {
        if line.is_empty() || line[0] == b'#' {
            return None;
        }
        let line = without_spaces_at_end(line);
        let (exempts, line) = line.strip_prefix(b"!").map_or((false, line), |rest| (true, rest));
        let (is_of_directories, line) = line.strip_suffix(b"/").map_or((false, line), |rest| (true, rest));
        let is_of_paths = line.contains(&b'/');
        let glob = Glob::parse(line.strip_prefix(b"/").unwrap_or(line))?;
        Some(Rule { glob, is_of_paths, is_of_directories, exempts })
    }
}

/// Removes spaces at the end, up to a space behind a backslash.
fn without_spaces_at_end(line: &[u8]) -> &[u8] {
    let mut kept = 0;
    let mut at = 0;
    while at < line.len() {
        let is_escape = line[at] == b'\\';
        if line[at] != b' ' {
            kept = (at + 1 + usize::from(is_escape)).min(line.len());
        }
        at += 1 + usize::from(is_escape);
    }
    &line[..kept]
}
