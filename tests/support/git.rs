//! Runs git in a directory, with a fixed name and without the settings of the user.

use std::path::Path;
use std::process::Command;

use super::sshd::run;

/// Makes a command of git.
pub(crate) fn command(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]).args(words);
    command
}

/// Runs git, which must succeed. Returns its output.
#[track_caller]
pub(crate) fn git(directory: &Path, words: &[&str]) -> String {
    run(&mut command(directory, words)).trim().to_owned()
}
