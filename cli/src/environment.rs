//! The surroundings of the command, read once: variables, the working directory, the user, the host.
//!
//! No other file reads a variable; the engine gets all values explicitly.

use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use engine::accounts::Accounts;
use engine::askpass::VARIABLE;

use crate::job::Job;
use crate::program::program_after;
use crate::variables::Variables;

/// The surroundings of one run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// The working directory, absolute.
    pub(crate) directory: PathBuf,
    /// The user's home directory, if `HOME` or the system has one.
    pub(crate) home: Option<PathBuf>,
    /// The user's home directory for `ssh`, which asks the system and ignores `HOME`.
    pub(crate) ssh_home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`, if it is absolute, as its specification demands.
    pub(crate) cache_home: Option<PathBuf>,
    /// The user's name, or number if it has no name.
    pub(crate) user: String,
    /// This host's name.
    pub(crate) host: String,
    /// The socket of the user's ssh-agent.
    pub(crate) auth_sock: Option<PathBuf>,
    /// The user's shell.
    pub(crate) shell: Option<PathBuf>,
    /// This program's file.
    pub(crate) program: PathBuf,
    /// The job of a continuous integration.
    pub(crate) job: Job,
    /// Whether variables request colour or forbid it.
    pub(crate) color: Option<bool>,
    /// Whether the terminal cannot move its cursor.
    pub(crate) dumb_terminal: bool,
    /// All variables, for values of the config.
    pub(crate) variables: Variables,
    /// The editor, if one is named: a command for the shell.
    pub(crate) editor: Option<String>,
}

impl Environment {
    /// Reads all of them.
    pub(crate) fn read() -> Environment {
        let Ok(program) = program_after(|| Ok::<(), Infallible>(()));
        // Cron jobs and containers often run without `USER` and `HOME`.
        let (accounts, number) = (Accounts::read(), rustix::process::getuid().as_raw());
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        Environment {
            directory: env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            home: variable("HOME").map(PathBuf::from).or_else(|| accounts.home(number)),
            ssh_home: accounts.home(number).or_else(|| variable("HOME").map(PathBuf::from)),
            cache_home: variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()),
            user: text("USER")
                .or_else(|| text("LOGNAME"))
                .or_else(|| accounts.user_name(number))
                .unwrap_or_else(|| number.to_string()),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            auth_sock: variable("SSH_AUTH_SOCK").map(PathBuf::from),
            shell: variable("SHELL").map(PathBuf::from),
            program,
            job: Job::find(text),
            editor: text("VISUAL").or_else(|| text("EDITOR")),
            color: color_wish(
                text("NO_COLOR").as_deref(),
                text("CLICOLOR_FORCE").as_deref(),
                text("CLICOLOR").as_deref(),
            ),
            dumb_terminal: text("TERM").is_none_or(|term| term == "dumb"),
            variables: env::vars_os().collect(),
        }
    }

    /// Returns the socket to ask, if the system's `ssh` started this program to ask a person.
    pub(crate) fn asked_by() -> Option<String> {
        variable(VARIABLE)?.into_string().ok()
    }

    /// Makes `path` absolute from the working directory.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        absolute_from(&self.directory, path)
    }
}

/// Makes `path` absolute from `directory`. Symlinks and `..` stay: only the system knows where they lead.
pub(crate) fn absolute_from(directory: &Path, path: &Path) -> PathBuf {
    // Collecting the components drops `.` and doubled slashes.
    directory.join(path).components().collect()
}

/// Reads the variables that request or forbid colour. `None` leaves it to the terminal.
fn color_wish(no_color: Option<&str>, clicolor_force: Option<&str>, clicolor: Option<&str>) -> Option<bool> {
    let says = |variable: Option<&str>| variable.is_some_and(|value| !value.is_empty() && value != "0");
    if no_color.is_some_and(|value| !value.is_empty()) {
        Some(false)
    } else if says(clicolor_force) {
        Some(true)
    } else if clicolor == Some("0") {
        Some(false)
    } else {
        None
    }
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_wins_over_force_and_force_over_clicolor() {
        assert_eq!(color_wish(None, None, None), None);
        assert_eq!(color_wish(Some(""), None, None), None);
        assert_eq!(color_wish(Some("0"), Some("1"), None), Some(false));
        assert_eq!(color_wish(None, Some("1"), Some("0")), Some(true));
        assert_eq!(color_wish(None, None, Some("0")), Some(false));
        assert_eq!(color_wish(None, None, Some("1")), None);
    }

    #[test]
    fn an_absolute_path_has_no_dots_of_this_directory() {
        let check = |path: &str, expected: &str| {
            let absolute = absolute_from(Path::new("/work"), Path::new(path));
            assert_eq!(absolute.as_os_str(), expected, "{path:?}");
        };
        check(".", "/work");
        check("./a//b/", "/work/a/b");
        check("../a", "/work/../a");
        check("/a", "/a");
    }
}
