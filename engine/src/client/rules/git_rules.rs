//! The rules of git, by which a source leaves out the paths that git ignores.
//!
//! Patterns stand in `info/exclude` and in each `.gitignore`, also in directories of the checkout above the source. A
//! directory that git ignores is ignored with all below it. A tracked path is never ignored, so such a directory is
//! entered if anything in it is tracked. A submodule, or another repository in the source, begins with its own
//! `info/exclude`: patterns of the checkout around it do not count there. Patterns of a user's own configuration do not
//! count: two people would deploy different files.
//!
//! Git says once which files it tracks, before the walk. A change of that list is another hash of the rules, after
//! which the scan lists every directory again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, CWD};

use crate::bytes::put_bytes;
use crate::cancel::Cancel;
use crate::client::checkout::{self, Checkout, GITIGNORE};
use crate::client::commit::{directories, would_block_git};
use crate::client::git;
use crate::client::levels::Levels;
use crate::error::{Error, SourceError};
use crate::hash::Hash;
use crate::path::push_name;

/// The name of a repository in its checkout.
pub(super) const GIT: &[u8] = b".git";

/// See the module's description. Paths are those in the checkout.
#[derive(Debug, Clone)]
pub(super) struct GitRules {
    /// The path of the source.
    source: Arc<[u8]>,
    /// The path of the innermost repository.
    repository: Arc<[u8]>,
    levels: Levels,
    tracked: Arc<TrackedPaths>,
    /// The state of each directory that was asked for.
    states: Arc<Mutex<HashMap<Vec<u8>, State>>>,
    hash: Hash,
}

/// The state of a directory, which its entries inherit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Patterns of git decide on each entry.
    Usual,
    /// Git ignores all of it.
    Ignored,
    /// Git ignores it, and a pattern of the user brings all of it in.
    BroughtIn,
}

impl GitRules {
    /// Finds the rules of a source. None if git ignores the source as a whole: then it was chosen all the same.
    pub(super) fn of(source: &Path, cancel: &Cancel) -> Result<Option<GitRules>, Error> {
        let around = Checkout::around(source);
        if around.is_none() && Checkout::is_around(source) {
            return Ok(None);
        }
        let (mut path, mut levels, mut bytes) = (Vec::new(), Levels::default(), Vec::new());
        let mut tracked = TrackedPaths::default();
        if let Some(checkout) = &around {
            (path, levels) = (checkout.path_of(b""), checkout.levels().clone());
            tracked = TrackedPaths::of(checkout.directory(), &path, cancel)?;
            put_bytes(&mut bytes, checkout.texts());
        }
        put_bytes(&mut bytes, &path);
        put_bytes(&mut bytes, &tracked.text);
        Ok(Some(GitRules {
            source: path.into(),
            repository: Arc::default(),
            levels,
            tracked: Arc::new(tracked),
            states: Arc::default(),
            hash: Hash::of(&bytes),
        }))
    }

    /// Returns the hash of the rules at the beginning of a scan.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// Returns the rules in force in a directory with patterns or a repository of its own, and the hash of these.
    pub(super) fn enter(&self, source: &Path, directory: &OwnedFd, path: &[u8]) -> Option<(GitRules, Hash)> {
        let full = self.path_of(path);
        let mut texts = Vec::new();
        let mut rules = self.clone();
        let is_repository = !path.is_empty()
            && rustix::fs::statat(directory, OsStr::from_bytes(GIT), AtFlags::SYMLINK_NOFOLLOW).is_ok();
        if is_repository {
            let exclude = directories(&source.join(OsStr::from_bytes(path))).ok();
            let exclude = exclude.and_then(|(_, common)| checkout::read(CWD, &common.join("info/exclude")));
            rules.repository = full.as_slice().into();
            rules.levels = checkout::with(&Levels::default(), &full, exclude, &mut texts);
        }
        let text = checkout::read(directory, Path::new(OsStr::from_bytes(GITIGNORE)));
        if text.is_none() && !is_repository {
            return None;
        }
        rules.levels = checkout::with(&rules.levels, &full, text, &mut texts);
        texts.push(u8::from(is_repository));
        Some((rules, Hash::of(&texts)))
    }

    /// Tells whether git ignores a path of the source. `verdict` is that of the user's patterns on a directory.
    pub(super) fn leave_out(&self, path: &[u8], is_directory: bool, verdict: &dyn Fn(&[u8]) -> Option<bool>) -> bool {
        let full = self.path_of(path);
        let is_ignored = match self.state(above(&full), verdict) {
            State::BroughtIn => false,
            State::Ignored => true,
            State::Usual => self.levels.verdict(&full, is_directory) == Some(true),
        };
        is_ignored && !self.tracked.has(&full, is_directory)
    }

    fn state(&self, directory: &[u8], verdict: &dyn Fn(&[u8]) -> Option<bool>) -> State {
        if directory.len() <= self.repository.len() || directory.len() <= self.source.len() {
            return State::Usual;
        }
        let known = |states: &Mutex<HashMap<Vec<u8>, State>>| {
            states.lock().expect("nobody panics while the states are looked at").get(directory).copied()
        };
        if let Some(state) = known(&self.states) {
            return state;
        }
        let is_ignored = |above| above == State::Ignored || self.levels.verdict(directory, true) == Some(true);
        let state = match self.state(above(directory), verdict) {
            State::BroughtIn => State::BroughtIn,
            above if !is_ignored(above) => State::Usual,
            _ if verdict(self.path_in_source(directory)) == Some(false) => State::BroughtIn,
            _ => State::Ignored,
        };
        let mut states = self.states.lock().expect("nobody panics while the states are looked at");
        states.insert(directory.to_vec(), state);
        state
    }

    fn path_of(&self, path: &[u8]) -> Vec<u8> {
        let mut full = self.source.to_vec();
        if !path.is_empty() {
            push_name(&mut full, path);
        }
        full
    }

    fn path_in_source<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let path = &path[self.source.len()..];
        path.strip_prefix(b"/").unwrap_or(path)
    }
}

/// Returns the path of the directory that holds a path.
fn above(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(b"", |slash| &path[..slash])
}

/// The paths in a checkout that git tracks, with those in submodules.
#[derive(Debug, Default)]
struct TrackedPaths {
    /// Each path with a NUL behind it.
    text: Vec<u8>,
    /// The places of the paths in the text, sorted by path.
    places: Vec<(usize, usize)>,
}

impl TrackedPaths {
    /// Asks git for the tracked paths below a path.
    fn of(directory: &Path, path: &[u8], cancel: &Cancel) -> Result<TrackedPaths, Error> {
        let failed = |reason| Error::from(SourceError::TrackedUnknown { reason });
        if would_block_git(directory) {
            return Err(failed("a file of its repository is not a regular file".to_owned()));
        }
        let mut question = git::question(directory);
        question.arg("--literal-pathspecs").args(["ls-files", "-z", "--cached", "--recurse-submodules"]);
        if !path.is_empty() {
            question.arg("--").arg(OsStr::from_bytes(path));
        }
        let answer = git::run(question, cancel).and_then(git::Answer::success);
        let text = answer.map_err(|no_answer| no_answer.into_error(failed))?;
        Ok(TrackedPaths::new(text))
    }

    fn new(text: Vec<u8>) -> TrackedPaths {
        let mut places = Vec::new();
        let mut start = 0;
        for end in memchr::memchr_iter(0, &text) {
            places.push((start, end));
            start = end + 1;
        }
        places.sort_unstable_by(|one, other| text[one.0..one.1].cmp(&text[other.0..other.1]));
        TrackedPaths { text, places }
    }

    /// Tells whether a path is tracked: a file, or a directory with a tracked file.
    fn has(&self, path: &[u8], is_directory: bool) -> bool {
        let at = |path: &[u8]| self.places.partition_point(|&(start, end)| &self.text[start..end] < path);
        let path_at = |at: usize| self.places.get(at).map_or(b"".as_slice(), |&(start, end)| &self.text[start..end]);
        let is_it = path_at(at(path)) == path && !path.is_empty();
        let below = || {
            let below = [path, b"/"].concat();
            path_at(at(&below)).starts_with(&below)
        };
        is_it || is_directory && below()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracked_path_is_a_file_or_a_directory_that_holds_one() {
        let tracked = TrackedPaths::new(b"a/b/c\0a.b\0a-b/c\0z\0".to_vec());
        let check = |path: &str, as_file: bool, as_directory: bool| {
            assert_eq!(
                [false, true].map(|is_directory| tracked.has(path.as_bytes(), is_directory)),
                [as_file, as_directory]
            );
        };
        check("a", false, true);
        check("a/b", false, true);
        check("a/b/c", true, true);
        check("a-b", false, true);
        check("a.b", true, true);
        check("z", true, true);
        check("z/a", false, false);
        check("b", false, false);
    }
}
