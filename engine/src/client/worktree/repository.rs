//! The repository of a source: its directories, and the commits that names mean in it.
//!
//! Git answers all questions, so every form of a repository works that git knows. Git refuses a repository that belongs
//! to somebody else, unless the user trusts it (`safe.directory`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cancel::Cancel;
use crate::client::git::{self, Answer, ConfigValue, NoAnswer};
use crate::error::{Error, SourceError};
use crate::path::Shown;

use super::near_name::near_name;

/// The questions about a repository, each with a line as the answer.
const QUESTIONS: [&str; 8] = [
    "--path-format=absolute",
    "--git-dir",
    "--git-common-dir",
    "--git-path=objects",
    "--show-object-format",
    "--is-bare-repository",
    "--is-shallow-repository",
    "--show-prefix",
];

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// A directory in it, for further questions.
    directory: PathBuf,
    /// The directory of its checkout, and the one that its checkouts share.
    pub(super) own: PathBuf,
    pub(super) common: PathBuf,
    /// The directory of its objects.
    pub(super) objects: PathBuf,
    /// The hash that names objects.
    pub(super) format: String,
    /// The top of its checkout. None if it has none.
    pub(super) top: Option<PathBuf>,
    is_shallow: bool,
}

impl Repository {
    /// Finds the repository around a source. Returns also the path of the source in it. The source need not exist: a
    /// commit may have it all the same.
    pub(super) fn around(source: &Path, cancel: &Cancel) -> Result<(Repository, PathBuf), Error> {
        let failed = |reason| Error::from(SourceError::NoRepository { source_path: source.to_owned(), reason });
        let missing = || Error::from(SourceError::Missing(source.to_owned()));
        let existing = source.ancestors().find(|directory| directory.is_dir()).ok_or_else(missing)?;
        let rest = source.strip_prefix(existing).unwrap_or(Path::new(""));
        let directory = existing.canonicalize().map_err(|error| failed(error.to_string()))?;
        let mut question = git::question_around(&directory);
        question.arg("rev-parse");
        for word in QUESTIONS {
            match word.split_once("--git-path=") {
                Some((_, path)) => question.args(["--git-path", path]),
                None => question.arg(word),
            };
        }
        let answer = git::run(question, cancel).and_then(Answer::success);
        let text = answer.map_err(|no_answer| no_answer.into_error(failed))?;
        let lines: Vec<&[u8]> = text.strip_suffix(b"\n").unwrap_or(&text).split(|&byte| byte == b'\n').collect();
        // A path with a newline would be two lines.
        let [own, common, objects, format, is_bare, is_shallow, prefix] = lines[..] else {
            return Err(failed(format!("`git` says: {}", Shown(&text))));
        };
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let prefix = path(prefix.strip_suffix(b"/").unwrap_or(prefix));
        let levels = prefix.components().count();
        let top = (is_bare == b"false").then(|| directory.ancestors().nth(levels).map(Path::to_owned)).flatten();
        let repository = Repository {
            own: path(own),
            common: path(common),
            objects: path(objects),
            format: String::from_utf8_lossy(format).into_owned(),
            top,
            is_shallow: is_shallow == b"true",
            directory,
        };
        // Without a slash at the end.
        Ok((repository, prefix.join(rest).components().collect()))
    }

    /// Returns a repository whose directories are known: that of a submodule.
    pub(super) fn of_submodule(&self, own: PathBuf, common: PathBuf, top: Option<PathBuf>) -> Repository {
        let objects = common.join("objects");
        Repository { directory: own.clone(), own, common, objects, top, format: self.format.clone(), is_shallow: false }
    }

    /// Returns the commit that a name means: a branch, a tag, a part of a hash, or any other that git knows.
    pub(super) fn resolve(&self, name: &str, cancel: &Cancel) -> Result<String, Error> {
        let mut question = git::question_around(&self.directory);
        question.args(["rev-parse", "--verify", "-q", "--end-of-options"]).arg(format!("{name}^{{commit}}"));
        let answer = match git::run(question, cancel) {
            Ok(answer) => answer,
            Err(no_answer) => return Err(no_answer.into_error(|reason| self.failed(reason))),
        };
        let text = String::from_utf8_lossy(&answer.stdout);
        match (answer.code, text.trim_end()) {
            (Some(0), commit) if git::is_commit(commit) => Ok(commit.to_owned()),
            _ => Err(Error::from(SourceError::NoCommit {
                name: name.to_owned(),
                repository: self.shown(),
                near: near_name(name, &self.names(cancel)?),
                is_shallow: self.is_shallow,
            })),
        }
    }

    /// Returns the names of branches, tags and remote branches, as one writes them.
    fn names(&self, cancel: &Cancel) -> Result<Vec<String>, Error> {
        let mut question = git::question_around(&self.directory);
        question.args(["for-each-ref", "--count=10000", "--format=%(refname)"]);
        question.args(["refs/heads", "refs/tags", "refs/remotes"]);
        let answer = git::run(question, cancel).and_then(Answer::success);
        let text = answer.map_err(|no_answer| no_answer.into_error(|reason| self.failed(reason)))?;
        let text = String::from_utf8_lossy(&text);
        let prefixes = ["refs/heads/", "refs/tags/", "refs/remotes/"];
        let short = |name: &str| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).map(str::to_owned);
        Ok(text.lines().filter_map(short).collect())
    }

    /// Returns the tags, as lines of `packed-refs`.
    pub(super) fn tags(&self, cancel: &Cancel) -> Result<Vec<u8>, NoAnswer> {
        let mut question = git::question_around(&self.directory);
        question.args(["for-each-ref", "--format=%(objectname) %(refname)", "refs/tags"]);
        git::run(question, cancel)?.success()
    }

    /// Returns the configuration of the repository and of the user.
    pub(super) fn config(&self, cancel: &Cancel) -> Result<Vec<ConfigValue>, NoAnswer> {
        git::read_config(self.question_within(), cancel)
    }

    /// Makes a question that needs no working directory: that of a submodule may be gone.
    fn question_within(&self) -> Command {
        let mut question = git::question_around(&self.directory);
        question.arg("--git-dir").arg(&self.own).arg("--work-tree").arg(&self.own);
        question
    }

    /// Tells whether the repository has a commit.
    pub(super) fn has(&self, commit: &str, cancel: &Cancel) -> Result<bool, NoAnswer> {
        let mut question = self.question_within();
        question.args(["cat-file", "-e"]).arg(format!("{commit}^{{commit}}"));
        Ok(git::run(question, cancel)?.code == Some(0))
    }

    /// Returns the directory that a user would name: the checkout's, or the repository's.
    pub(super) fn shown(&self) -> String {
        self.top.as_ref().unwrap_or(&self.common).display().to_string()
    }

    fn failed(&self, reason: String) -> Error {
        SourceError::NoRepository { source_path: self.directory.clone(), reason }.into()
    }
}
