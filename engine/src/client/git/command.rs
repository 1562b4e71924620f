//! Commands of git, in an environment in which git runs no program of a repository.
//!
//! A repository may come from a stranger. So git runs no hook and no file monitor, and prompts nobody. A question also
//! fetches nothing that a partial clone left out, and uses no replacement objects.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::path::Shown;

/// The variables that would make git use another directory than the named one.
const ELSEWHERE: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_REPLACE_REF_BASE",
];

/// Makes a command of git in a directory.
pub(super) fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    for variable in ELSEWHERE {
        command.env_remove(variable);
    }
    command
        .args(["--no-replace-objects", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .current_dir(directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// Makes a question about the repository around a directory: a command that changes nothing and fetches nothing.
pub(crate) fn question_around(directory: &Path) -> Command {
    let mut command = command(directory);
    command
        .env("GIT_NO_LAZY_FETCH", "1")
        // For a git that does not know that variable: no way to fetch is allowed.
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("GIT_OPTIONAL_LOCKS", "0");
    command
}

/// Makes a question about the checkout that begins at a directory: a `.git` above it does not count.
pub(crate) fn question(checkout: &Path) -> Command {
    let mut command = question_around(checkout);
    command.env("GIT_CEILING_DIRECTORIES", checkout.parent().unwrap_or(checkout));
    command
}

/// The settings of a change, which no configuration overrides: git believes no file to be unchanged that is not, and
/// leaves submodules and sparse checkouts to the caller. Git LFS leaves no pointer in the place of a file.
const SETTINGS: [&str; 8] = [
    "core.trustctime=true",
    "core.checkStat=default",
    "core.ignoreStat=false",
    "core.fileMode=true",
    "core.sparseCheckout=false",
    "submodule.recurse=false",
    "lfs.skipdownloaderrors=false",
    // As many as there are processors.
    "checkout.workers=0",
];

/// The variables that would let Git LFS leave pointers.
const POINTERS: [&str; 2] = ["GIT_LFS_SKIP_SMUDGE", "GIT_LFS_SKIP_DOWNLOAD_ERRORS"];

/// Makes a command that changes a private repository and its working directory. Git may fetch what a partial clone left
/// out, and runs the filters of the configuration. It holds `lock` until it ends, even if this process is killed.
pub(crate) fn change(repository: &Path, tree: &Path, lock: Stdio) -> Command {
    let mut command = command(tree);
    command.env("GIT_DIR", repository).env("GIT_WORK_TREE", tree).stdin(lock);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    for variable in POINTERS {
        command.env_remove(variable);
    }
    command
}

/// Words the reason why git could not be started.
pub(super) fn not_run(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "`git` is not installed".to_owned(),
        _ => format!("`git` cannot be run: {error}"),
    }
}

/// Returns git's error message, without the advice below it.
pub(super) fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines = text.lines();
    let mut reason = lines.next().unwrap_or_default().to_owned();
    // The lines of a list.
    for line in lines.take_while(|line| line.starts_with('\t')) {
        reason += &format!(" {}", line.trim());
    }
    let reason = reason.strip_prefix("fatal: ").unwrap_or(&reason);
    match reason {
        "" => "`git` gave no reason".to_owned(),
        reason => format!("`git` says: {}", Shown(reason.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_of_git_is_told_without_its_advice() {
        let check = |stderr: &str, expected: &str| assert_eq!(complaint(stderr.as_bytes()), expected);
        check("", "`git` gave no reason");
        check("fatal: not a git repository: '/x'\n", "`git` says: not a git repository: '/x'");
        check(
            "fatal: unknown repository extension found:\n\trefstorage\n",
            "`git` says: unknown repository extension found: refstorage",
        );
        check(
            "fatal: detected dubious ownership in '/x'\nTo add\n\n\tgit config",
            "`git` says: detected dubious ownership in '/x'",
        );
    }
}
