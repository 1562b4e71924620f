//! Tells whether a checkout has changes: whether its deployed files are those of its commit.
//!
//! Git compares the working directory with the commit while the scan walks. Changed and untracked files count, in
//! submodules too. Files that git ignores do not count, nor do paths that the rules of the source leave out.
//!
//! Git runs the filters of the user's configuration when it compares, and none that the checkout configures. If nothing
//! has changed since the last scan, neither in the source nor in git's index, the answer of that time is right, and git
//! is not asked.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::cancel::Cancel;
use crate::client::commit::{directories, revision, would_block_git};
use crate::client::git::{self, FilterConfig, NoAnswer, Running, Submodule};
use crate::client::rules::SourceRules;
use crate::error::Error;
use crate::hash::Hash;
use crate::path::push_name;
use crate::scan::content::OPEN_DIRECTORY;
use crate::scan::rules::Rules;
use crate::scan::snapshot::Snapshot;
use crate::scan::stat::FileStat;

/// The longest wait for git after the walk. It compares 70,000 files in a quarter of a second, unless it must read them
/// all, as after a copy of the checkout.
const WAIT: Duration = Duration::from_secs(10);

/// The most submodules within each other.
const LEVELS_MAX: usize = 16;

/// Whether a checkout has changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changes {
    /// The deployed files are those of the commit, or there is no commit.
    None,
    /// There are changes.
    Some,
    /// Git gave no answer.
    Unknown {
        /// The reason.
        reason: String,
    },
}

/// A question to git under way. Its answer is a list of paths.
pub(crate) struct Question(Result<Running, NoAnswer>);

impl Question {
    /// Asks about the checkout that begins at a directory.
    pub(crate) fn start(checkout: &Path, cancel: &Cancel) -> Question {
        Question(start(checkout, cancel))
    }

    /// Waits for the answer. Paths that the rules leave out do not count.
    pub(crate) fn answer(
        self,
        source: &Path,
        held: &OwnedFd,
        rules: &SourceRules,
        cancel: &Cancel,
    ) -> Result<Changes, Error> {
        let asking = Asking { held, rules, cancel, deadline: Instant::now() + WAIT };
        match self.0.and_then(|running| asking.has_changes(running, source, b"", 0)) {
            Ok(true) => Ok(Changes::Some),
            Ok(false) => Ok(Changes::None),
            Err(NoAnswer::Interrupted) => Err(Error::Interrupted),
            Err(NoAnswer::Failed(reason)) => Ok(Changes::Unknown { reason }),
            Err(NoAnswer::Late) => {
                Ok(Changes::Unknown { reason: format!("`git status` takes more than {} s", WAIT.as_secs()) })
            }
        }
    }
}

fn start(checkout: &Path, cancel: &Cancel) -> Result<Running, NoAnswer> {
    if would_block_git(checkout) {
        return Err(NoAnswer::Failed("a file of its repository is not a regular file".to_owned()));
    }
    let mut question = git::question(checkout);
    FilterConfig::read(git::question(checkout), cancel)?.switch_off_own(&mut question)?;
    // The contents of submodules are asked for one by one: each has a configuration of its own.
    question.args(["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all"]);
    question.arg("--ignore-submodules=dirty");
    Running::start(question)
}

/// A question, below the source.
#[derive(Clone, Copy)]
struct Asking<'a> {
    held: &'a OwnedFd,
    rules: &'a SourceRules,
    cancel: &'a Cancel,
    deadline: Instant,
}

impl Asking<'_> {
    /// `path` is that of the checkout in the source.
    fn has_changes(self, running: Running, checkout: &Path, path: &[u8], level: usize) -> Result<bool, NoAnswer> {
        let text = running.finish(self.cancel, Some(self.deadline))?.success()?;
        // Each has two letters, a space and the path.
        let mut changed =
            text.split(|&byte| byte == 0).filter_map(|line| line.get(3..)).filter(|line| !line.is_empty());
        if changed.any(|name| self.counts(&joined(path, name))) {
            return Ok(true);
        }
        if level >= LEVELS_MAX {
            return Ok(false);
        }
        for Submodule { path: name, .. } in git::submodules(checkout, self.cancel)? {
            let submodule = checkout.join(&name);
            let within = joined(path, name.as_bytes());
            if submodule.join(".git").symlink_metadata().is_ok()
                && !self.is_left_out(&within, true)
                && self.has_changes(start(&submodule, self.cancel)?, &submodule, &within, level + 1)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn counts(self, path: &[u8]) -> bool {
        match path.strip_suffix(b"/") {
            Some(directory) => !self.is_left_out(directory, true),
            None => !self.is_left_out(path, false),
        }
    }

    /// Tells whether the rules leave out a path, or a directory above it.
    fn is_left_out(self, path: &[u8], is_directory: bool) -> bool {
        let mut rules: Box<dyn Rules> = Box::new(self.rules.clone());
        let mut above = Vec::new();
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        for (at, name) in names.iter().enumerate() {
            let directory = match above.is_empty() {
                true => self.held.try_clone().ok(),
                false => rustix::fs::openat(
                    self.held,
                    OsStr::from_bytes(&above),
                    OPEN_DIRECTORY | OFlags::NOFOLLOW,
                    Mode::empty(),
                )
                .ok(),
            };
            // An error of an ignore file was reported by the scan.
            let entered = directory.and_then(|directory| rules.enter(&directory, &above).ok().flatten());
            if let Some(entered) = entered {
                rules = entered.rules;
            }
            push_name(&mut above, name);
            let is_last = at + 1 == names.len();
            if rules.leave_out(name, is_directory || !is_last, &|| above.clone()) {
                return true;
            }
        }
        false
    }
}

fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mut joined = path.to_vec();
    push_name(&mut joined, name);
    joined
}

/// Returns the answer of the last scan, which holds if nothing else has changed in the source. None if git's files may
/// have changed since.
pub(crate) fn kept(source: &Path, commit: &str, known: &Snapshot) -> Option<bool> {
    let (_, file) = known.generated()?;
    let is_it = |is_dirty| file.key.hash == Hash::of(revision(commit, is_dirty).as_bytes());
    let answer = [false, true].into_iter().find(|&is_dirty| is_it(is_dirty))?;
    let (git, common) = directories(source).ok()?;
    let is_older = |path: &Path| match rustix::fs::stat(path) {
        Ok(stat) => known.is_older(&FileStat::from(stat)),
        Err(errno) => errno == rustix::io::Errno::NOENT,
    };
    let has_submodules = source.join(".gitmodules").symlink_metadata().is_ok();
    (!has_submodules && is_older(&git.join("index")) && is_older(&common.join("info/exclude"))).then_some(answer)
}
