//! Finds the commit of a source that is a git checkout, by reading git's files.
//!
//! Mostly no `git` is needed, so a checkout that belongs to another user works too. Only a `.git` of the source itself
//! counts, not one above it. If the files are in an unknown form, such as a reftable, git is asked in a way that starts
//! no program of the checkout ([`git::head`]). If that fails too, the user is warned with the reason: a release without
//! its commit should surprise nobody.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::client::git;

/// The most bytes of one of git's small files.
const SMALL_FILE_MAX: u64 = 64 << 20;

/// The most symbolic references that are followed.
const SYMBOLIC_DEPTH: usize = 5;

/// The commit that `HEAD` of a source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The source is no checkout, or has no commit yet.
    None,
    /// The commit.
    Known(String),
    /// The source is a checkout, and its commit cannot be found.
    Unknown {
        /// The reason.
        reason: String,
    },
}

impl Commit {
    /// Finds the commit of a source.
    pub(crate) fn of(source: &Path) -> Commit {
        if fs::symlink_metadata(source.join(".git")).is_err() {
            return Commit::None;
        }
        let found = match read_head(source) {
            Ok(found) => Ok(found),
            Err(UnknownForm) if would_block_git(source) => {
                Err("a file of its repository is not a regular file".to_owned())
            }
            Err(UnknownForm) => git::head(source),
        };
        match found {
            Ok(Some(commit)) => Commit::Known(commit),
            Ok(None) => Commit::None,
            Err(reason) => Commit::Unknown { reason },
        }
    }

    /// Returns the commit, if it is known.
    pub(crate) fn known(&self) -> Option<&str> {
        match self {
            Commit::Known(commit) => Some(commit),
            Commit::None | Commit::Unknown { .. } => None,
        }
    }
}

/// The longest name of a branch that is kept, in bytes.
const BRANCH_BYTES_MAX: usize = 250;

/// Returns the branch that is checked out in a source. None if there is none, or git's files are in an unknown form.
pub(crate) fn branch(source: &Path) -> Option<String> {
    let (git, _) = directories(source).ok()?;
    let head = read(&git.join("HEAD")).ok()??;
    // In the place of a branch, a repository with a reftable has a name that no branch can have.
    branch_name(head.trim_end().strip_prefix("ref: ")?).filter(|name| !name.starts_with('.'))
}

/// Returns the name of a branch for people: as git shows it, and without a branch that is too long.
pub(crate) fn branch_name(name: &str) -> Option<String> {
    let name = name.strip_prefix("refs/heads/").unwrap_or(name);
    (!name.is_empty() && name.len() <= BRANCH_BYTES_MAX).then(|| name.to_owned())
}

/// Returns the content of the file that names a commit in a release.
pub(crate) fn revision(commit: &str, is_dirty: bool) -> String {
    format!("{commit}{}\n", if is_dirty { "-dirty" } else { "" })
}

/// The files of a repository are in an unknown form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownForm;

/// Reads the commit that `HEAD` names. None if `HEAD` names a branch without a commit.
fn read_head(source: &Path) -> Result<Option<String>, UnknownForm> {
    let (git, common) = directories(source)?;
    if common.join("reftable").exists() {
        return Err(UnknownForm);
    }
    let mut value = read(&git.join("HEAD"))?.ok_or(UnknownForm)?;
    for _ in 0..SYMBOLIC_DEPTH {
        let Some(name) = value.trim_end().strip_prefix("ref: ") else {
            break;
        };
        if !name.starts_with("refs/") || name.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(UnknownForm);
        }
        let loose = [git.join(name), common.join(name)];
        let found = read(&loose[0]).transpose().or_else(|| read(&loose[1]).transpose());
        value = match found.or_else(|| packed(&common, name).transpose()) {
            Some(value) => value?,
            None => return Ok(None),
        };
    }
    let commit = value.trim_end();
    if git::is_commit(commit) { Ok(Some(commit.to_owned())) } else { Err(UnknownForm) }
}

/// Tells whether git would wait for ever, for a writer to a fifo that replaces one of its files.
pub(crate) fn would_block_git(checkout: &Path) -> bool {
    let Ok((git, common)) = directories(checkout) else { return false };
    let names = ["HEAD", "config", "config.worktree", "index", "packed-refs", "info/exclude", "reftable/tables.list"];
    let mut files = names.iter().flat_map(|name| [git.join(name), common.join(name)]);
    files.any(|file| fs::metadata(file).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()))
}

/// Returns the directory of a checkout's repository, and the one that its worktrees share.
pub(crate) fn directories(checkout: &Path) -> Result<(PathBuf, PathBuf), UnknownForm> {
    let git = git_directory(&checkout.join(".git"))?;
    let common = match read(&git.join("commondir"))? {
        Some(path) => git.join(path.trim_end()),
        None => git.clone(),
    };
    Ok((git, common))
}

/// Finds the repository. `.git` is a directory, or, in a worktree or submodule, a file that names one.
fn git_directory(path: &Path) -> Result<PathBuf, UnknownForm> {
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let link = read(path)?.ok_or(UnknownForm)?;
    let link = link.strip_prefix("gitdir: ").ok_or(UnknownForm)?;
    Ok(path.parent().ok_or(UnknownForm)?.join(link.trim_end()))
}

fn packed(common: &Path, name: &str) -> Result<Option<String>, UnknownForm> {
    let Some(packed) = read(&common.join("packed-refs"))? else { return Ok(None) };
    Ok(packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned)))
}

/// Reads a small file. None if it does not exist or is a directory: a branch `a/b` lies in a directory `a`.
fn read(path: &Path) -> Result<Option<String>, UnknownForm> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(None),
        Ok(metadata) if metadata.is_file() && metadata.len() <= SMALL_FILE_MAX => {
            fs::read_to_string(path).map(Some).map_err(|_| UnknownForm)
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        _ => Err(UnknownForm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn check(files: &[(&str, &str)], expected: Result<Option<&str>, UnknownForm>) {
        let source = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = source.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let found = read_head(source.path());
        assert_eq!(found.as_ref().map(Option::as_deref), expected.as_ref().copied(), "{files:?}");
    }

    #[test]
    fn the_commit_is_found_in_each_form_of_a_checkout() {
        let line = format!("{COMMIT}\n");
        let packed = format!("# pack-refs with: peeled\n{COMMIT} refs/heads/main\n^{COMMIT}\n");
        let sha256 = "ab".repeat(32);
        check(&[(".git/HEAD", &line)], Ok(Some(COMMIT)));
        check(&[(".git/HEAD", &sha256)], Ok(Some(&sha256)));
        check(&[(".git/HEAD", "ref: refs/heads/main\n"), (".git/refs/heads/main", &line)], Ok(Some(COMMIT)));
        check(&[(".git/HEAD", "ref: refs/heads/main\n"), (".git/packed-refs", &packed)], Ok(Some(COMMIT)));
        let symbolic = (".git/refs/heads/main", "ref: refs/heads/other\n");
        check(&[(".git/HEAD", "ref: refs/heads/main\n"), symbolic, (".git/refs/heads/other", &line)], Ok(Some(COMMIT)));
        let worktree = [
            (".git", "gitdir: repo/worktrees/w\n"),
            ("repo/worktrees/w/HEAD", "ref: refs/heads/main\n"),
            ("repo/worktrees/w/commondir", "../..\n"),
            ("repo/refs/heads/main", &line),
        ];
        check(&worktree, Ok(Some(COMMIT)));
        check(&[(".git", "gitdir: modules/a\n"), ("modules/a/HEAD", &line)], Ok(Some(COMMIT)));
    }

    #[test]
    fn a_branch_without_a_commit_is_none() {
        check(&[(".git/HEAD", "ref: refs/heads/unborn\n")], Ok(None));
        check(&[(".git/HEAD", "ref: refs/heads/unborn\n"), (".git/refs/heads/unborn/other", COMMIT)], Ok(None));
        check(&[(".git/HEAD", "ref: refs/heads/a/b\n"), (".git/refs/heads/a", COMMIT)], Ok(None));
    }

    #[test]
    fn other_forms_are_not_known() {
        check(&[(".git/other", "")], Err(UnknownForm));
        check(&[(".git", "gitdir: nowhere\n")], Err(UnknownForm));
        check(&[(".git", "nothing")], Err(UnknownForm));
        check(&[(".git/HEAD", "ref: ../../etc/passwd\n")], Err(UnknownForm));
        check(&[(".git/HEAD", "ref: refs/../../etc/passwd\n")], Err(UnknownForm));
        check(&[(".git/HEAD", "not a hash\n")], Err(UnknownForm));
        check(&[(".git/HEAD", "ref: refs/heads/.invalid\n"), (".git/reftable/tables.list", "")], Err(UnknownForm));
        let circle = "ref: refs/heads/main\n";
        check(&[(".git/HEAD", circle), (".git/refs/heads/main", circle)], Err(UnknownForm));
    }

    #[test]
    fn what_is_no_checkout_has_no_commit_and_what_git_does_not_know_has_a_reason() {
        let source = tempfile::tempdir().unwrap();
        assert_eq!(Commit::of(source.path()), Commit::None);
        fs::create_dir(source.path().join(".git")).unwrap();
        assert!(
            matches!(Commit::of(source.path()), Commit::Unknown { reason } if reason.contains("not a git repository"))
        );
        let head = source.path().join(".git/HEAD");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &head, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(
            matches!(Commit::of(source.path()), Commit::Unknown { reason } if reason.contains("not a regular file"))
        );
    }
}
