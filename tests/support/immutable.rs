//! Files and directories that nobody may change, not even root, until they are dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::sshd::run;

/// An immutable file or directory.
pub(crate) struct Immutable(PathBuf);

impl Immutable {
    /// Makes a path immutable.
    pub(crate) fn make(path: &Path) -> Immutable {
        run(Command::new("chattr").arg("+i").arg(path));
        Immutable(path.to_owned())
    }

    /// Sets the new path after a move.
    pub(crate) fn follow(&mut self, path: &Path) {
        path.clone_into(&mut self.0);
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        Command::new("chattr").arg("-i").arg(&self.0).status().ok();
    }
}
