//! Finds the commit of a source that is a git checkout, by reading git's files.
//!
//! No `git` is needed, and none is run: a checkout that belongs to another user, or a configuration that starts
//! programs, cannot get in the way. Only a `.git` of the source itself counts, not one above it. A repository in a form
//! that is not known here (reftable) has no commit as far as a release is concerned.

use std::fs;
use std::path::{Path, PathBuf};

/// The most that one of git's small files holds, in bytes.
const SMALL_FILE_MAX: u64 = 64 << 20;

/// How many symbolic references are followed.
const SYMBOLIC_DEPTH: usize = 5;

/// Returns the commit that `HEAD` of the source stands at.
pub(crate) fn commit_of(source: &Path) -> Option<String> {
    let git = git_directory(&source.join(".git"))?;
    let common = match read(&git.join("commondir")) {
        Some(path) => git.join(path.trim_end()),
        None => git.clone(),
    };
    let mut value = read(&git.join("HEAD"))?;
    for _ in 0..SYMBOLIC_DEPTH {
        let Some(name) = value.trim_end().strip_prefix("ref: ") else {
            break;
        };
        if name.split('/').any(|part| part.is_empty() || part == "..") {
            return None;
        }
        value = read(&git.join(name)).or_else(|| read(&common.join(name))).or_else(|| packed(&common, name))?;
    }
    let commit = value.trim_end();
    let is_hash = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| commit.to_owned())
}

/// `.git` is a directory, or, in a worktree or submodule, a file that names one.
fn git_directory(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let link = read(path)?;
    Some(path.parent()?.join(link.strip_prefix("gitdir: ")?.trim_end()))
}

fn packed(common: &Path, name: &str) -> Option<String> {
    let packed = read(&common.join("packed-refs"))?;
    packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned))
}

fn read(path: &Path) -> Option<String> {
    if fs::metadata(path).ok()?.len() > SMALL_FILE_MAX {
        return None;
    }
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn check(files: &[(&str, &str)], expected: Option<&str>) {
        let source = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = source.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        assert_eq!(commit_of(source.path()).as_deref(), expected, "{files:?}");
    }

    #[test]
    fn the_commit_is_found_in_each_form_of_a_checkout() {
        let line = format!("{COMMIT}\n");
        let packed = format!("# pack-refs with: peeled\n{COMMIT} refs/heads/main\n^{COMMIT}\n");
        check(&[(".git/HEAD", &line)], Some(COMMIT));
        check(&[(".git/HEAD", "ref: refs/heads/main\n"), (".git/refs/heads/main", &line)], Some(COMMIT));
        check(&[(".git/HEAD", "ref: refs/heads/main\n"), (".git/packed-refs", &packed)], Some(COMMIT));
        let worktree = [
            (".git", "gitdir: repo/worktrees/w\n"),
            ("repo/worktrees/w/HEAD", "ref: refs/heads/main\n"),
            ("repo/worktrees/w/commondir", "../..\n"),
            ("repo/refs/heads/main", &line),
        ];
        check(&worktree, Some(COMMIT));
    }

    #[test]
    fn what_is_not_a_checkout_has_no_commit() {
        check(&[], None);
        check(&[(".git/HEAD", "ref: refs/heads/unborn\n")], None);
        check(&[(".git/HEAD", "ref: ../../etc/passwd\n")], None);
        check(&[(".git/HEAD", "not a hash\n")], None);
    }
}
