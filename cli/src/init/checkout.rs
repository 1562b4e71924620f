//! The branch of a git checkout, for a proposal: git itself decides at a deploy.

use std::fs;
use std::path::{Path, PathBuf};

/// The start of a `HEAD` that names a branch.
const BRANCH: &str = "ref: refs/heads/";

/// Returns the branch that is checked out in a directory or above it.
pub(crate) fn branch(directory: &Path) -> Option<String> {
    let git = directory.ancestors().map(|above| above.join(".git")).find(|git| git.exists())?;
    let head = git_dir(&git)?.join("HEAD");
    // To open a pipe would wait for its writer.
    let head = fs::read_to_string(Some(head).filter(|head| head.is_file())?).ok()?;
    let branch = head.trim().strip_prefix(BRANCH)?;
    // A checkout may come from anywhere. A name with one of these is a variable in a config, or no name at all.
    let is_plain =
        !branch.is_empty() && !branch.starts_with('-') && !branch.contains(|c: char| c == '$' || c.is_control());
    is_plain.then(|| branch.to_owned())
}

/// Returns the directory of git's data. In a linked worktree and a submodule, `.git` is a file with its path.
fn git_dir(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = fs::read_to_string(Some(git).filter(|git| git.is_file())?).ok()?;
    let path = text.trim().strip_prefix("gitdir: ")?;
    Some(git.parent()?.join(path))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_branch_is_found_in_a_checkout_a_directory_of_it_and_a_linked_worktree() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        let git = |words: &[&str]| {
            let mut command = Command::new("git");
            command.args(["-C", top.to_str().unwrap(), "-c", "user.name=a", "-c", "user.email=a"]).args(words);
            assert!(command.output().unwrap().status.success(), "{words:?}");
        };
        git(&["init", "-q", "-b", "main/1"]);
        git(&["commit", "-q", "--allow-empty", "-m", "first"]);
        assert_eq!(branch(&top.join("a/b")).as_deref(), Some("main/1"));
        git(&["worktree", "add", "-q", "-b", "other", "../linked"]);
        assert_eq!(branch(&place.path().join("linked")).as_deref(), Some("other"));
        git(&["checkout", "-q", "--detach"]);
        assert_eq!(branch(&top), None);
        assert_eq!(branch(place.path()), None);
        for odd in ["-x", "${HOME}", "a\u{1b}b", ""] {
            fs::write(top.join(".git/HEAD"), format!("{BRANCH}{odd}\n")).unwrap();
            assert_eq!(branch(&top), None, "{odd:?}");
        }
    }
}
