//! The private repository behind a worktree: it has the objects of the user's repository, and an index of its own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::CWD;

use crate::cancel::Cancel;
use crate::client::checkout;
use crate::client::git::{self, Answer, ConfigValue, FilterConfig, NoAnswer};
use crate::client::tree_lock::TreeLock;
use crate::disk::{Dir, Kind, OWNER_ALL, Stat};
use crate::error::{Error, SourceError};
use crate::hash::Hash;
use crate::hasher::Hasher;
use crate::path::Shown;

use super::modes;
use super::private_config::private_config;
use super::repository::Repository;

/// The filter of Git LFS.
const LFS: &str = "lfs";

/// The file that names the last checkout, if that succeeded: its commit, and a hash of the settings beside it.
const CHECKED_OUT: &[u8] = b"checked-out";

/// The sections of git's configuration that decide on the content of files.
const SECTIONS: [&str; 3] = ["core.", "filter.", "lfs."];

/// The files of a commit that decide on the content of others.
const ATTRIBUTES: &str = ":(glob)**/.gitattributes";

/// See the module's description.
pub(super) struct PrivateRepository<'a> {
    /// The directory that holds it.
    pub(super) home: &'a Dir,
    /// Its name there.
    pub(super) name: Vec<u8>,
    /// Its working directory, absolute.
    pub(super) tree: PathBuf,
}

/// What all checkouts of a worktree have in common.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    /// Patterns of untracked files that stay.
    pub(super) keep: &'a [String],
    /// The lock that git holds too.
    pub(super) lock: &'a TreeLock,
    /// The request to stop.
    pub(super) cancel: &'a Cancel,
}

impl PrivateRepository<'_> {
    /// Returns its path.
    pub(super) fn path(&self) -> PathBuf {
        self.home.path_of(&self.name)
    }

    /// Makes its files what they should be. Removes the locks that a killed git left: no other one runs.
    pub(super) fn prepare(
        &self,
        from: &Repository,
        config: &[ConfigValue],
        commit: &str,
        tags: &[u8],
    ) -> Result<(), Error> {
        let (git, _) = self.home.ensure_dir(&self.name, 0o700)?;
        for name in git.names()?.iter().filter(|name| name.ends_with(b".lock")) {
            git.remove_tree(name)?;
        }
        git.ensure_dir(b"refs", 0o700)?;
        let (objects, _) = git.ensure_dir(b"objects", 0o700)?;
        let (objects_info, _) = objects.ensure_dir(b"info", 0o700)?;
        let (info, _) = git.ensure_dir(b"info", 0o700)?;
        let tree = self.tree.display().to_string();
        put(&git, b"config", private_config(&from.format, &tree, config).as_bytes())?;
        put(&git, b"packed-refs", tags)?;
        put(&objects_info, b"alternates", &[from.objects.as_os_str().as_bytes(), b"\n"].concat())?;
        let read = |name: &str| checkout::read(CWD, &from.common.join(name)).unwrap_or_default();
        put(&info, b"attributes", &read("info/attributes"))?;
        put(&info, b"exclude", &read("info/exclude"))?;
        match read("shallow") {
            none if none.is_empty() => drop(git.remove_file(b"shallow")?),
            shallow => put(&git, b"shallow", &shallow)?,
        }
        if !git.read(b"HEAD")?.is_some_and(|head| git::is_commit(String::from_utf8_lossy(&head).trim_end())) {
            git.replace(b"HEAD", format!("{commit}\n").as_bytes())?;
        }
        self.link_tree()
    }

    /// Makes the file `.git` of the working directory: a build asks git for its commit.
    fn link_tree(&self) -> Result<(), Error> {
        let link = format!("gitdir: {}\n", self.path().display());
        let tree = Dir::open(&self.tree)?;
        let is_file = self.tree.join(".git").symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file && tree.read(b".git")?.is_some_and(|known| known == link.as_bytes()) {
            return Ok(());
        }
        tree.remove_tree(b".git")?;
        tree.replace(b".git", link.as_bytes())
    }

    /// Makes the working directory the commit. Removes all else but what a pattern of `keep` matches. `config` is that
    /// of the user's repository.
    ///
    /// Git writes no file that it believes to be unchanged, also if a filter or an attribute would make other content of
    /// it now. So all files are written again if any of these differs, or if the last checkout did not succeed.
    pub(super) fn check_out(&self, commit: &str, config: &[ConfigValue], order: Order<'_>) -> Result<(), Error> {
        let failed = |no_answer: NoAnswer| self.failed(no_answer);
        let git = self.home.open_dir(&self.name)?;
        let in_force = git::read_config(self.question(), order.cancel).map_err(failed)?;
        let settings = settings(&in_force, &git.read(b"info/attributes")?.unwrap_or_default()).to_string();
        let last = git.read(CHECKED_OUT)?;
        git.remove_file(CHECKED_OUT)?;
        let had_files = git.stat(b"index")?.is_some();
        self.write_commit_or_open(commit, order).map_err(failed)?;
        if had_files && !self.is_as_before(last.as_deref(), commit, &settings, order.cancel).map_err(failed)? {
            git.remove_file(b"index")?;
            self.write_commit(commit, order).map_err(failed)?;
        }
        let listed = self.ask(&modes::LISTING, order.cancel).map_err(failed)?;
        modes::mend(&Dir::open(&self.tree)?, &listed, order.cancel)?;
        self.check_filters(&FilterConfig::of(config), &FilterConfig::of(&in_force), order.cancel)?;
        git.replace(CHECKED_OUT, format!("{commit} {settings}\n").as_bytes())
    }

    /// Tells whether files that are the same in the last commit and in this one have the same content in the working
    /// directory.
    fn is_as_before(
        &self,
        last: Option<&[u8]>,
        commit: &str,
        settings: &str,
        cancel: &Cancel,
    ) -> Result<bool, NoAnswer> {
        let last = last.and_then(|last| std::str::from_utf8(last).ok()?.trim_end().split_once(' '));
        match last.filter(|(known, of)| git::is_commit(known) && *of == settings) {
            None => Ok(false),
            Some((known, _)) => {
                match self.ask(&["diff-tree", "-r", "--name-only", known, commit, "--", ATTRIBUTES], cancel) {
                    Ok(differing) => Ok(differing.is_empty()),
                    // The last commit may be gone.
                    Err(NoAnswer::Failed(_)) => Ok(false),
                    Err(other) => Err(other),
                }
            }
        }
    }

    fn failed(&self, no_answer: NoAnswer) -> Error {
        let directory = self.tree.display().to_string();
        no_answer.into_error(|reason| SourceError::CheckoutFailed { directory, reason }.into())
    }

    /// Works like [`PrivateRepository::write_commit`]. A build may leave directories in which git can remove nothing, such as
    /// a cache of Go's modules. These are opened first then.
    fn write_commit_or_open(&self, commit: &str, order: Order<'_>) -> Result<(), NoAnswer> {
        match self.write_commit(commit, order) {
            Err(NoAnswer::Failed(_)) => {
                Dir::open(&self.tree).ok().inspect(open_directories);
                self.write_commit(commit, order)
            }
            done => done,
        }
    }

    /// Lets git write what differs from the commit, and remove what it does not know.
    fn write_commit(&self, commit: &str, order: Order<'_>) -> Result<(), NoAnswer> {
        let change = || {
            let command = order.lock.for_child().map(|lock| git::change(&self.path(), &self.tree, lock));
            command.map_err(|error| NoAnswer::Failed(error.to_string()))
        };
        let mut reset = change()?;
        reset.args(["reset", "--hard", "-q", commit]);
        git::run(reset, order.cancel)?.success()?;
        let mut clean = change()?;
        clean.args(["clean", "-ffdx", "-q"]);
        clean.args(order.keep.iter().map(|pattern| format!("--exclude={pattern}")));
        git::run(clean, order.cancel)?.success().map(drop)
    }

    /// Returns the paths of submodules with their commits.
    pub(super) fn submodule_commits(&self, order: Order<'_>) -> Result<Vec<(String, String)>, NoAnswer> {
        let text = self.ask(&["ls-files", "--stage", "-z"], order.cancel)?;
        let entry = |line: &[u8]| {
            // Mode, hash, stage, a tab and the path.
            let (head, path) = std::str::from_utf8(line).ok()?.split_once('\t')?;
            let mut words = head.split(' ');
            (words.next() == Some("160000")).then_some(())?;
            Some((path.to_owned(), words.next()?.to_owned()))
        };
        Ok(text.split(|&byte| byte == 0).filter_map(entry).collect())
    }

    /// Refuses files whose content needs a filter that does not run: a release would have their raw content.
    /// `of_user` are the filters of the user's repository, `in_force` those of this one.
    fn check_filters(&self, of_user: &FilterConfig, in_force: &FilterConfig, cancel: &Cancel) -> Result<(), Error> {
        let without = of_user.own.iter().map(String::as_str).chain([LFS]);
        for name in without.filter(|name| of_user.own.contains(*name) || !in_force.is_allowed(name)) {
            // No attribute has a value with other characters.
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
                continue;
            }
            let found = self.ask(&["ls-files", "-z", "--", &format!(":(attr:filter={name})")], cancel);
            let found = found.map_err(|no_answer| self.failed(no_answer))?;
            if let Some(path) = found.split(|&byte| byte == 0).find(|path| !path.is_empty()) {
                let (path, name) = (Shown(path).to_string(), name.to_owned());
                return Err(SourceError::FilterMissing { path, name }.into());
            }
        }
        Ok(())
    }

    fn ask(&self, words: &[&str], cancel: &Cancel) -> Result<Vec<u8>, NoAnswer> {
        let mut question = self.question();
        question.args(words.iter().map(OsStr::new));
        git::run(question, cancel).and_then(Answer::success)
    }

    fn question(&self) -> Command {
        let mut question = git::question_around(&self.tree);
        question.env("GIT_DIR", self.path()).env("GIT_WORK_TREE", &self.tree);
        question
    }
}

/// Gives their owner all rights on a directory and those below it, as far as this user can. It never enters a mount.
fn open_directories(dir: &Dir) {
    if let Ok(Stat { mode, .. }) = dir.own_stat()
        && mode & OWNER_ALL != OWNER_ALL
    {
        dir.set_mode(mode | OWNER_ALL).ok();
    }
    for name in dir.names().unwrap_or_default() {
        let Ok(Some(Stat { kind: Kind::Directory, mode, .. })) = dir.stat(&name) else { continue };
        let is_open = mode & OWNER_ALL == OWNER_ALL;
        let inner = if is_open { dir.open_own_dir(&name) } else { dir.open_to_change(&name) };
        inner.ok().inspect(open_directories);
    }
}

/// Returns a hash of what decides on the content of files, beside the commit.
fn settings(config: &[ConfigValue], attributes: &[u8]) -> Hash {
    let mut hasher = Hasher::new();
    for ConfigValue { key, value, .. } in config {
        if SECTIONS.iter().any(|section| key.starts_with(section)) {
            hasher.update(format!("{key}\0{value}\0").as_bytes());
        }
    }
    hasher.update(attributes);
    hasher.finish()
}

fn put(dir: &Dir, name: &[u8], content: &[u8]) -> Result<(), Error> {
    match dir.read(name)? {
        Some(known) if known == content => Ok(()),
        _ => dir.replace(name, content),
    }
}
