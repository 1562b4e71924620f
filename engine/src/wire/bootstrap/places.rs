//! The paths on a server.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::path::Shown;
use crate::wire::bootstrap::run_as::RunAs;

/// The deploy path and the agent's directory. Relative paths begin at the directory in which a login begins.
#[derive(Debug, Clone)]
pub(in crate::wire) struct Places {
    /// The deploy path.
    pub(super) deploy_path: PathBuf,
    /// The directory of the agent.
    pub(super) agent_directory: PathBuf,
    /// The user that runs everything. None: the user that logs in.
    pub(super) run_as: Option<RunAs>,
}

impl Places {
    /// Makes the places. The agent's directory is in the deploy path, unless `agent_path` names another.
    pub(in crate::wire) fn new(deploy_path: &Path, agent_path: Option<&Path>) -> Places {
        let agent_directory = match agent_path {
            Some(path) => from_login_directory(path),
            None => from_login_directory(deploy_path).join(".cutover/bin"),
        };
        Places { deploy_path: from_login_directory(deploy_path), agent_directory, run_as: None }
    }

    /// Has another user run everything. Relative paths then begin at the home of that user.
    pub(in crate::wire) fn run_as(self, run_as: Option<RunAs>) -> Places {
        Places { run_as, ..self }
    }
}

/// A path that begins with a dash would look like an option. The script compares paths as texts, so nothing is in it that
/// means nothing, such as a slash at the end.
fn from_login_directory(path: &Path) -> PathBuf {
    Path::new(if path.is_absolute() { "" } else { "." }).join(path).components().collect()
}

/// Returns a path as the user wrote it.
pub(super) fn shown(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    Shown(bytes.strip_prefix(b"./").unwrap_or(bytes)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_in_a_path_is_left_out() {
        let check = |path: &str, expected: &str| {
            assert_eq!(from_login_directory(Path::new(path)).as_os_str(), expected, "{path}");
        };
        check("/srv/shop", "/srv/shop");
        check("/srv/shop/", "/srv/shop");
        check("//srv/./shop//", "/srv/shop");
        check("/srv/../shop/", "/srv/../shop");
        check("-shop/", "./-shop");
        check("./shop", "./shop");
    }
}
