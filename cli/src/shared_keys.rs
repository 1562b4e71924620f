//! The keys of paths in `shared/` and of writable directories.
//!
//! A shared path is a string, or a table with its rules: `{ path = "uploads", conflict = "seed", missing = "optional" }`.

use engine::path::RelativePath;
use engine::shared_path::{Conflict, Missing, SharedPath};
use toml::de::DeValue;

use crate::entry::{Entry, entries};
use crate::mistake::{Located, Mistake, list};
use crate::shape::{Shape, words};

/// The keys of a table that declares a shared path.
const NAMES: [&str; 3] = ["path", "conflict", "missing"];
const CONFLICTS: [(&str, Conflict); 5] = [
    ("link", Conflict::Link),
    ("seed", Conflict::Seed),
    ("merge", Conflict::Merge),
    ("keep", Conflict::Keep),
    ("error", Conflict::Error),
];
const MISSING: [(&str, Missing); 3] =
    [("required", Missing::Required), ("optional", Missing::Optional), ("create", Missing::Create)];

const MISSING_WORDS: [&str; 3] = words(&MISSING);
const CONFLICT_WORDS: [&str; 5] = words(&CONFLICTS);

/// The rules of files: they cannot be merged.
const OF_FILES: [&str; 4] = ["link", "seed", "keep", "error"];

/// The shape of shared directories.
pub(crate) const DIRECTORIES: Shape = Shape::SharedPaths { conflict: &CONFLICT_WORDS, missing: &MISSING_WORDS };

/// The shape of shared files.
pub(crate) const FILES: Shape = Shape::SharedPaths { conflict: &OF_FILES, missing: &MISSING_WORDS };

/// The greatest mode of a writable directory: all bits but setuid.
const MODE_MAX: u32 = 0o3777;
/// The owner's rights, without which a release could not be removed.
const OWNER_ALL: u32 = 0o700;

impl Entry<'_> {
    /// Reads a list of shared directories.
    pub(crate) fn shared_dirs(&self) -> Result<Vec<Located<SharedPath>>, Mistake> {
        self.shared_paths(SharedPath::directory)
    }

    /// Reads a list of shared files.
    pub(crate) fn shared_files(&self) -> Result<Vec<Located<SharedPath>>, Mistake> {
        let paths = self.shared_paths(SharedPath::file)?;
        match paths.iter().find(|path| path.value.conflict == Conflict::Merge) {
            None => Ok(paths),
            Some(Located { value, line }) => {
                let reason = format!("the shared file `{}` cannot be merged: `merge` is for directories", value.path);
                let mistake = Mistake::new(*line, reason);
                Err(mistake.hint(format!("For a file, `conflict` is one of {}", list(OF_FILES))))
            }
        }
    }

    /// Reads a list of paths in a release.
    pub(crate) fn release_paths(&self) -> Result<Vec<RelativePath>, Mistake> {
        self.list_of("a list of paths", |item| item.release_path("a list of paths", "a path in a release"))
    }

    /// Reads the mode of a directory.
    pub(crate) fn directory_mode(&self) -> Result<u32, Mistake> {
        const WHAT: &str = "an octal mode in which the owner has all rights, such as `\"0775\"` or `\"2775\"`";
        let text = self.string(WHAT)?;
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u32::from_str_radix(&text, 8).ok().filter(|_| digits);
        mode.filter(|mode| mode & OWNER_ALL == OWNER_ALL && *mode <= MODE_MAX).ok_or_else(|| self.expected(WHAT))
    }

    /// Reads the name of a user or a group of the server.
    pub(crate) fn account(&self) -> Result<String, Mistake> {
        const WHAT: &str = "a name with letters, digits, `.`, `_` and `-` that does not begin with `-`";
        let name = self.string(WHAT)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(is_plain) {
            return Err(self.expected(WHAT));
        }
        Ok(name)
    }

    fn release_path(&self, expected: &str, what: &str) -> Result<RelativePath, Mistake> {
        let path = self.string(expected)?;
        RelativePath::parse(path.as_bytes()).map_err(|error| {
            let reason = format!("`{}` cannot be {what}: {error}", path.escape_debug());
            self.mistake(reason).hint("Write it as it stands in a release, such as `storage/app`")
        })
    }

    fn shared_paths(&self, declare: fn(RelativePath) -> SharedPath) -> Result<Vec<Located<SharedPath>>, Mistake> {
        const WHAT: &str = "a list of paths, each a string or a table with a `path`";
        self.list_of(WHAT, |item| {
            let value = match item.value.get_ref() {
                DeValue::Table(_) => item.declaration(declare)?,
                _ => declare(item.release_path(WHAT, "a shared path")?),
            };
            Ok(Located { value, line: item.line() })
        })
    }

    /// Reads a table that declares a shared path.
    fn declaration(&self, declare: fn(RelativePath) -> SharedPath) -> Result<SharedPath, Mistake> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))?;
        let entries = entries(self.page, Some(self.root), table);
        if let Some(entry) = entries.iter().find(|entry| !NAMES.contains(&entry.name)) {
            let reason = format!("a path of `{}` has no key `{}`", self.name, entry.name.escape_debug());
            return Err(entry.mistake(reason).hint(format!("Its keys are {}", list(NAMES))));
        }
        let find = |name: &str| entries.iter().find(|entry| entry.name == name);
        let Some(path) = find("path") else {
            let reason = format!("a table in `{}` has no `path`", self.name);
            return Err(self.mistake(reason).hint("Write it as `{ path = \"storage\" }`"));
        };
        let mut declared = declare(path.release_path("a string", "a shared path")?);
        if let Some(rule) = find("conflict") {
            declared.conflict = rule.one_of(&CONFLICTS)?;
        }
        if let Some(rule) = find("missing") {
            declared.missing = rule.one_of(&MISSING)?;
        }
        Ok(declared)
    }
}
