//! Another user than the one that logs in, who runs everything on the server: `run_as`.
//!
//! Several people log in with their own accounts and deploy to one path, which belongs to that user. The whole script runs
//! as that user, through `sudo -n`, which asks nothing. So its checks hold for that user: the agent and its directories
//! belong to that user, and nobody else may write to them.

use crate::error::{Error, StartError};
use crate::wire::login::Exit;

use super::alphabet::needs_no_quotes;
use super::answer::printed_text;

/// The user that runs the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::wire) struct RunAs {
    user: String,
    /// The user that logs in, if it is known.
    login: Option<String>,
}

impl RunAs {
    /// Makes it from the configuration. Refuses a name that a shell would interpret.
    pub(in crate::wire) fn new(user: &str, login: Option<&str>) -> Result<RunAs, Error> {
        if user.is_empty() || user.starts_with('-') || !user.bytes().all(needs_no_quotes) {
            return Err(Error::Usage(format!("`{}` cannot be the name of a user", user.escape_debug())));
        }
        Ok(RunAs { user: user.to_owned(), login: login.map(str::to_owned) })
    }

    /// Returns the words before `sh`, with a blank at the end.
    pub(super) fn command(&self) -> String {
        format!("sudo -n -H -u {} -- ", self.user)
    }

    /// Returns the error of `sudo`, if it is the reason why the script did not run.
    pub(super) fn failure(&self, host: &str, printed: &[u8], exit: &Exit) -> Option<Error> {
        let output = printed_text(printed, exit);
        let is_of_sudo = output.lines().any(|line| line.contains("sudo") || line.starts_with("Sorry, user "));
        is_of_sudo.then(|| {
            let (host, user, login) = (host.to_owned(), self.user.clone(), self.login.clone());
            Error::from(StartError::RunAs { host, user, login, output })
        })
    }
}

/// Returns the words before `sh` that run it as another user, in its home, with a blank at the end. The second value is the
/// beginning of the script. Refuses a name that a shell would interpret.
pub fn sudo_words(user: &str) -> Result<(String, &'static str), Error> {
    RunAs::new(user, None).map(|run_as| (run_as.command(), GO_HOME))
}

/// The script goes to the home of the user that runs it: the login directory of another user may be closed to it.
pub(super) const GO_HOME: &str = "cd 2>&-||cd /;";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Hint, StartHint};

    #[test]
    fn a_name_that_a_shell_would_interpret_is_refused() {
        for name in ["", "-u", "a b", "a;b", "$(x)", "a\nb"] {
            assert!(RunAs::new(name, None).is_err(), "{name:?}");
        }
        assert_eq!(RunAs::new("www-data", None).unwrap().command(), "sudo -n -H -u www-data -- ");
    }

    #[test]
    fn what_sudo_says_decides_the_next_step() {
        let run_as = RunAs::new("deploy", Some("anna")).unwrap();
        let failure = |stderr: &str| {
            run_as
                .failure("web1", b"", &Exit { status: Some(1), stderr: stderr.into() })
                .map(|error| error.to_refusal().hint)
        };
        let (user, login) = ("deploy".to_owned(), Some("anna".to_owned()));
        let allow = Some(Hint::Start(StartHint::AllowSudo { user: user.clone(), login: login.clone() }));
        assert_eq!(failure("sudo: a password is required"), Some(allow.clone()));
        assert_eq!(failure("Sorry, user anna is not allowed to execute '/usr/bin/sh' as deploy on web1."), Some(allow));
        let correct = Some(Hint::Start(StartHint::CorrectRunAs { user: user.clone() }));
        assert_eq!(failure("sudo: unknown user deploy\nsudo: error initializing audit plugin"), Some(correct));
        let install = Some(Hint::Start(StartHint::InstallSudo { user }));
        assert_eq!(failure("sh: 1: sudo: not found"), Some(install));
        assert_eq!(
            failure("sudo: sorry, you must have a tty to run sudo"),
            Some(Some(Hint::Start(StartHint::AllowNoTty { login })))
        );
        assert_eq!(failure("This account is not available."), None);
    }
}
