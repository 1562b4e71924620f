//! The repository from which git and Capistrano deploy: the developer's, where each tree is a commit.
//!
//! Who deploys with git has the code in git. So neither the commit nor the repository's upkeep is timed: what is timed
//! begins with the push. It is the same for both tools, and stays from run to run below `--work`: packing a large tree for
//! the first time takes minutes.

use std::path::PathBuf;

use crate::failure::Result;
use crate::lab::Lab;
use crate::process::Invocation;
use crate::rival::word;
use crate::tree::Tree;

/// The branch that is deployed.
pub(super) const BRANCH: &str = "site";

/// Returns the repository's path.
pub(super) fn path(lab: &Lab) -> PathBuf {
    lab.settings().work.join("history.git")
}

/// Returns a commit of the tree, on top of what a repository on the server has been pushed before: that commit itself
/// where it holds the same.
pub(super) fn commit(lab: &Lab, tree: &Tree, pushed_to: &str) -> Result<String> {
    let git = |arguments: &[&str]| {
        // Without the user's own settings. Names and dates are fixed, so that commits are the same everywhere.
        let own = ["GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"];
        let who = [
            "GIT_AUTHOR_NAME=bench",
            "GIT_AUTHOR_EMAIL=bench",
            "GIT_COMMITTER_NAME=bench",
            "GIT_COMMITTER_EMAIL=bench",
        ];
        let when = ["GIT_AUTHOR_DATE=@0 +0000", "GIT_COMMITTER_DATE=@0 +0000"];
        let git = Invocation::new("env").args(own).args(who).args(when).args(["git", "-c", "core.bare=false"]);
        git.arg("--git-dir").arg(path(lab)).arg("--work-tree").arg(&tree.path).args(arguments)
    };
    if !path(lab).exists() {
        Invocation::new("git").args(["init", "-q", "--bare"]).arg(path(lab)).output()?;
    }
    // What is ignored is deployed too.
    git(&["add", "-A", "-f"]).output()?;
    let content = git(&["write-tree"]).text()?;
    let before = lab.on_server(&format!("git -C {pushed_to} rev-parse -q --verify {BRANCH} || true"))?;
    if before.is_empty() {
        let commit = git(&["commit-tree", "-m", &tree.name, &content]).text()?;
        git(&["update-ref", &format!("refs/heads/{content}"), &commit]).output()?;
        // As git itself does now and then: without it the first push would have to find the deltas of all files.
        git(&["-c", "gc.autoDetach=false", "gc", "-q", "--auto"]).output()?;
        return Ok(commit);
    }
    if git(&["rev-parse", &format!("{before}^{{tree}}")]).text()? == content {
        return Ok(before);
    }
    git(&["commit-tree", "-m", &tree.name, "-p", &before, &content]).text()
}

/// Returns the line that pushes a commit to a repository on the server, and makes it the branch that is deployed.
pub(super) fn push(lab: &Lab, commit: &str, remote: &str, shell: &str) -> String {
    format!(
        "GIT_SSH_COMMAND='{shell}' git --git-dir={} push -q {remote} {commit}:refs/heads/{BRANCH}",
        word(&path(lab))
    )
}
