//! Patterns of paths, in the grammar of gitignore.
//!
//! Both sides use them: the client for `.deployignore` and `exclude`, the server for `copy_paths`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::Error;

/// A list of patterns, relative to one directory. A later one wins over an earlier one.
#[derive(Debug, Clone)]
pub(crate) struct Patterns(Gitignore);

impl Patterns {
    /// Compiles lines; `place` is where they come from, for messages.
    pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>, place: &str) -> Result<Patterns, Error> {
        let mut builder = GitignoreBuilder::new("");
        let bad = |pattern: &str, reason: ignore::Error| Error::BadPattern {
            pattern: pattern.to_owned(),
            place: place.to_owned(),
            reason: reason.to_string(),
        };
        for line in lines {
            builder.add_line(None, line).map_err(|reason| bad(line, reason))?;
        }
        builder.build().map(Patterns).map_err(|reason| bad("", reason))
    }

    /// Tells whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether a path, relative to the directory of the patterns, is meant (`true`), exempted by a pattern that
    /// begins with `!` (`false`), or not spoken of. Directories above it are not looked at.
    pub(crate) fn speak_of(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        match self.0.matched(Path::new(OsStr::from_bytes(path)), is_directory) {
            Match::None => None,
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
        }
    }

    /// Tells whether a file is meant by itself or through a directory above it.
    pub(crate) fn mean_file(&self, path: &[u8]) -> bool {
        let above = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| &path[..at]);
        let mut meant = false;
        for (part, is_directory) in above.map(|part| (part, true)).chain([(path, false)]) {
            match self.speak_of(part, is_directory) {
                Some(true) if is_directory => return true,
                Some(says) => meant = says,
                None => {}
            }
        }
        meant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_follow_gitignore() {
        let check = |patterns: &[&str], path: &str, expected: bool| {
            let patterns = Patterns::parse(patterns.iter().copied(), "a test").unwrap();
            assert_eq!(patterns.mean_file(path.as_bytes()), expected, "{path}");
        };
        check(&["*.db"], "data/app.db", true);
        check(&["/app.db"], "data/app.db", false);
        check(&["cache/"], "var/cache/a/b", true);
        check(&["cache/"], "cache", false);
        check(&["*.db", "!app.db"], "app.db", false);
        check(&["var/**/x"], "var/a/b/x", true);
        check(&["# a comment", ""], "a", false);
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        let error = Patterns::parse(["[z-a]"], "`.deployignore`").unwrap_err();
        assert!(matches!(error, Error::BadPattern { pattern, .. } if pattern == "[z-a]"));
    }
}
