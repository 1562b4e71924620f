//! The rules of a source, by which paths are left out: `.git`, files for Cutover alone, `exclude` and `.deployignore`.
//!
//! Patterns of `exclude` are checked first, then the `.deployignore` of the directory, then those above it. The first
//! pattern that matches a path decides. A directory that is left out is not entered, as in git. If no pattern matches,
//! files called `.deployignore` or `cutover.toml` are left out, and so is the config in use: they name servers, and no
//! application reads them. On request, the paths that git ignores are left out too (`git_rules`). A pattern that begins
//! with `!` brings all of these in. `.git` is always left out.

mod git_rules;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::{put_bytes, put_number};
use crate::cancel::Cancel;
use crate::client::checkout::GITIGNORE;
use crate::client::ignore_file::{self, IGNORE_FILE};
use crate::client::levels::Levels;
use crate::error::Error;
use crate::hash::Hash;
use crate::path::{Shown, push_name};
use crate::pattern::Patterns;
use crate::scan::rules::{DirectoryRules, Rules};

use git_rules::{GIT, GitRules};

/// The usual name of the config.
const CONFIG_FILE: &[u8] = b"cutover.toml";

/// The patterns in force in one directory.
#[derive(Debug, Clone)]
pub(crate) struct SourceRules {
    source: Arc<Path>,
    exclude: Arc<Patterns>,
    /// The paths of the config in use, in the source.
    config: Arc<[Vec<u8>]>,
    hash: Hash,
    levels: Levels,
    /// The rules of git, if the paths that it ignores are left out.
    git: Option<GitRules>,
}

impl SourceRules {
    /// Starts with the patterns of `exclude` and the config in use.
    pub(crate) fn new(source: &Path, exclude: &[String], config: Option<&Path>) -> Result<SourceRules, Error> {
        let patterns = Patterns::parse(exclude.iter().map(String::as_str), "`exclude`")?;
        let config = config.map_or_else(Vec::new, |config| paths_within(source, config));
        let mut bytes = Vec::new();
        put_number(&mut bytes, exclude.len() as u64);
        for text in exclude.iter().map(String::as_bytes).chain(config.iter().map(Vec::as_slice)) {
            put_bytes(&mut bytes, text);
        }
        let hash = Hash::of(&bytes);
        let (exclude, config) = (Arc::new(patterns), config.into());
        Ok(SourceRules { source: source.into(), exclude, config, hash, levels: Levels::default(), git: None })
    }

    /// Leaves out also the paths that git ignores.
    pub(crate) fn with_gitignore(self, cancel: &Cancel) -> Result<SourceRules, Error> {
        let git = GitRules::of(&self.source, cancel)?;
        let parts = [self.hash, git.as_ref().map_or(Hash::of(b""), GitRules::hash)];
        let hash = Hash::of(&parts.map(|hash| *hash.as_bytes()).concat());
        Ok(SourceRules { git, hash, ..self })
    }

    /// Adds the patterns of a directory's own `.deployignore`.
    pub(crate) fn with(&self, directory: &[u8], text: &[u8]) -> Result<SourceRules, Error> {
        let mut path = directory.to_vec();
        push_name(&mut path, IGNORE_FILE);
        let patterns = Patterns::parse_file(text, &format!("`{}`", Shown(&path)))?;
        Ok(SourceRules { levels: self.levels.with(directory, patterns), ..self.clone() })
    }

    /// Returns `true` if patterns leave a path out, `false` if they bring it in, and none if no pattern matches it.
    pub(crate) fn verdict(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        self.exclude.verdict(path, is_directory).or_else(|| self.levels.verdict(path, is_directory))
    }

    fn is_for_cutover(&self, name: &[u8], path: &dyn Fn() -> Vec<u8>) -> bool {
        let is_config = |config: &Vec<u8>| config.ends_with(name) && *config == path();
        name == IGNORE_FILE || name == CONFIG_FILE || self.config.iter().any(is_config)
    }
}

impl Rules for SourceRules {
    fn hash(&self) -> Hash {
        self.hash
    }

    fn file_names(&self) -> &[&[u8]] {
        match self.git {
            Some(_) => &[IGNORE_FILE, GITIGNORE, GIT],
            None => &[IGNORE_FILE],
        }
    }

    fn noted_name(&self) -> Option<&[u8]> {
        Some(GITIGNORE)
    }

    fn enter(&self, directory: &OwnedFd, path: &[u8]) -> Result<Option<DirectoryRules>, Error> {
        let mut file = path.to_vec();
        push_name(&mut file, IGNORE_FILE);
        let text = ignore_file::read(&self.source, directory, IGNORE_FILE, &file)?;
        let entered = self.git.as_ref().and_then(|git| git.enter(&self.source, directory, path));
        let mut rules = match (&text, &entered) {
            (None, None) => return Ok(None),
            (Some(text), _) => self.with(path, text)?,
            (None, Some(_)) => self.clone(),
        };
        let mut file = Hash::of(&text.unwrap_or_default());
        if let Some((git, hash)) = entered {
            rules.git = Some(git);
            file = Hash::of(&[*file.as_bytes(), *hash.as_bytes()].concat());
        }
        Ok(Some(DirectoryRules { rules: Box::new(rules), file }))
    }

    /// Without patterns, the path is not needed.
    fn leave_out(&self, name: &[u8], is_directory: bool, path: &dyn Fn() -> Vec<u8>) -> bool {
        if name == GIT {
            return true;
        }
        let has_patterns = !self.exclude.is_empty() || self.levels.has_any();
        let verdict = if has_patterns { self.verdict(&path(), is_directory) } else { None };
        verdict.unwrap_or_else(|| {
            let is_ignored = |git: &GitRules| git.leave_out(&path(), is_directory, &|path| self.verdict(path, true));
            !is_directory && self.is_for_cutover(name, path) || self.git.as_ref().is_some_and(is_ignored)
        })
    }
}

/// Returns the paths of a file in a source: its own, and that of its target if it is a symlink.
fn paths_within(source: &Path, file: &Path) -> Vec<Vec<u8>> {
    let Ok(source) = source.canonicalize() else { return Vec::new() };
    let directory = file.parent().and_then(|parent| parent.canonicalize().ok());
    let named = directory.zip(file.file_name()).map(|(directory, name)| directory.join(name));
    let within =
        |path: std::path::PathBuf| Some(path.strip_prefix(&source).ok()?.as_os_str().as_encoded_bytes().to_vec());
    let mut paths: Vec<Vec<u8>> = [named, file.canonicalize().ok()].into_iter().flatten().filter_map(within).collect();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_for_cutover_alone_is_left_out_unless_a_pattern_speaks_of_it() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("deploy")).unwrap();
        fs::write(place.path().join("deploy/web.toml"), "").unwrap();
        symlink("deploy/web.toml", place.path().join("link.toml")).unwrap();
        let check = |exclude: &[&str], ignore_file: &str, path: &str, is_directory: bool, expected: bool| {
            let exclude: Vec<String> = exclude.iter().map(|&pattern| pattern.to_owned()).collect();
            let rules = SourceRules::new(place.path(), &exclude, Some(&place.path().join("link.toml"))).unwrap();
            let rules = rules.with(b"", ignore_file.as_bytes()).unwrap();
            let name = path.rsplit('/').next().unwrap();
            let is_left_out = rules.leave_out(name.as_bytes(), is_directory, &|| path.as_bytes().to_vec());
            assert_eq!(is_left_out, expected, "{path} with {exclude:?} and {ignore_file:?}");
        };
        for path in
            [".deployignore", "a/.deployignore", "cutover.toml", "a/cutover.toml", "link.toml", "deploy/web.toml"]
        {
            check(&[], "", path, false, true);
            check(&[], "", path, true, false);
            let exempt = format!("!/{path}");
            check(&[&exempt], "", path, false, false);
            check(&[], &exempt, path, false, false);
            check(&[], "!*\n/a\n", path, false, false);
        }
        for path in ["web.toml", "a/link.toml", "cutover.toml.dist", ".gitignore"] {
            check(&[], "", path, false, false);
        }
        check(&[], "!.git\n!*", ".git", true, true);
    }

    #[test]
    fn rules_that_begin_otherwise_have_another_hash() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a"), "").unwrap();
        let hash = |exclude: &[&str], config: Option<&str>| {
            let exclude: Vec<String> = exclude.iter().map(|&pattern| pattern.to_owned()).collect();
            let config = config.map(|name| place.path().join(name));
            SourceRules::new(place.path(), &exclude, config.as_deref()).unwrap().hash()
        };
        let hashes = [
            hash(&[], None),
            hash(&["a"], None),
            hash(&[], Some("a")),
            hash(&["a", "b"], None),
            hash(&["b", "a"], None),
        ];
        for (number, one) in hashes.iter().enumerate() {
            assert!(!hashes[..number].contains(one), "{number}");
        }
        assert_eq!(hash(&[], Some("/nowhere")), hash(&[], None));
    }
}
