//! Reasons that the agent does not run on the server. The administrator of the server mends them.

use super::hint::{Hint, StartHint};
use super::id::ErrorId;
use super::kind::Kind;

/// The agent cannot be started on the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The server has no POSIX shell, or its login shell runs no commands.
    #[error("`{host}` runs no shell commands for this user: {output}")]
    NoShell {
        /// The server.
        host: String,
        /// The end of its output.
        output: String,
    },
    /// The filesystem of the agent's directory does not allow execution.
    #[error("The agent cannot be executed from `{directory}` on the server: its filesystem is mounted noexec")]
    Noexec {
        /// The directory.
        directory: String,
    },
    /// The server is no Linux on an architecture that the agent runs on.
    #[error("The server runs {system}, and the agent runs on Linux x86_64 and Linux aarch64")]
    ForeignSystem {
        /// The output of `uname -s -m`.
        system: String,
    },
    /// The agent for the architecture of the server is not beside this program.
    #[error("The server runs {system}, and its agent `{file}` of this build is not in `{}`", directories.join("` or `"))]
    AgentMissing {
        /// The output of `uname -s -m`.
        system: String,
        /// The name of the agent's file.
        file: String,
        /// The directories in which it can be.
        directories: Vec<String>,
    },
    /// The agent could not be copied to the server.
    #[error("The agent could not be copied to `{directory}` on the server: {output}")]
    AgentNotCopied {
        /// The directory.
        directory: String,
        /// The output of the server's shell.
        output: String,
    },
    /// The server lacks a program that the bootstrap script needs.
    #[error("The server lacks a program that Cutover needs there: {output}")]
    ProgramsMissing {
        /// The output of the server's shell.
        output: String,
    },
    /// `sudo` on the server does not run the agent as another user.
    #[error("`{host}` does not run the agent as `{user}`: {output}")]
    RunAs {
        /// The server.
        host: String,
        /// The user that was to run it.
        user: String,
        /// The user that logs in, if it is known.
        login: Option<String>,
        /// The output of `sudo`.
        output: String,
    },
    /// The agent did not greet.
    #[error("The agent on `{host}` did not answer: {output}")]
    NoGreeting {
        /// The server.
        host: String,
        /// The output that came instead.
        output: String,
    },
}

impl StartError {
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            StartError::NoShell { .. } => ErrorId::NoShell,
            StartError::Noexec { .. } => ErrorId::AgentNoexec,
            StartError::ForeignSystem { .. } => ErrorId::ForeignSystem,
            StartError::AgentMissing { .. } => ErrorId::AgentMissing,
            StartError::AgentNotCopied { .. } => ErrorId::AgentNotCopied,
            StartError::ProgramsMissing { .. } => ErrorId::ProgramsMissing,
            StartError::RunAs { .. } => ErrorId::RunAs,
            StartError::NoGreeting { .. } => ErrorId::AgentSilent,
        }
    }

    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            StartError::NoGreeting { .. } => Kind::Line,
            StartError::NoShell { .. }
            | StartError::Noexec { .. }
            | StartError::ForeignSystem { .. }
            | StartError::AgentMissing { .. }
            | StartError::AgentNotCopied { .. }
            | StartError::RunAs { .. }
            | StartError::ProgramsMissing { .. } => Kind::Refused,
        }
    }

    /// Returns the next step.
    pub(super) fn hint(&self) -> Hint {
        match self {
            // The message of a shell that cannot start a program.
            StartError::NoShell { output, .. } | StartError::AgentNotCopied { output, .. }
                if output.contains("fork") =>
            {
                Hint::FreeThreads
            }
            StartError::NoShell { .. } => Hint::Start(StartHint::GiveShell),
            StartError::Noexec { .. } => Hint::Start(StartHint::ChooseAgentPath),
            StartError::ForeignSystem { .. } => Hint::Start(StartHint::ChooseServer),
            StartError::AgentMissing { file, .. } => Hint::Start(StartHint::InstallAgent { file: file.clone() }),
            StartError::AgentNotCopied { output, .. } if output.contains("No space left") => {
                Hint::Start(StartHint::FreeSpace)
            }
            StartError::AgentNotCopied { directory, .. } => Hint::Start(not_copied(directory)),
            StartError::ProgramsMissing { .. } => Hint::Start(StartHint::InstallPrograms),
            StartError::RunAs { user, login, output, .. } => Hint::Start(without_sudo(user, login.clone(), output)),
            StartError::NoGreeting { host, .. } => Hint::Start(StartHint::QuietLogin { host: host.clone() }),
        }
    }
}

/// Returns the next step if `sudo` does not run the agent.
fn without_sudo(user: &str, login: Option<String>, output: &str) -> StartHint {
    let user = user.to_owned();
    if output.contains("unknown user") {
        StartHint::CorrectRunAs { user }
    } else if output.contains("not found") || output.contains("No such file") {
        StartHint::InstallSudo { user }
    } else if output.contains(" tty") {
        StartHint::AllowNoTty { login }
    } else {
        StartHint::AllowSudo { user, login }
    }
}

/// Returns the next step if the agent cannot be copied into a directory.
fn not_copied(directory: &str) -> StartHint {
    match directory.strip_suffix("/.cutover/bin") {
        Some(deploy_path) if deploy_path.starts_with('/') => StartHint::MakeDeployPath { path: deploy_path.to_owned() },
        Some(_) => StartHint::AllowDeployPath,
        None => StartHint::OwnAgentPath,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_not_copied_has_a_hint_for_its_place() {
        let check = |directory: &str, output: &str, expected: Hint| {
            let error = StartError::AgentNotCopied { directory: directory.into(), output: output.into() };
            assert_eq!(error.hint(), expected, "{directory} {output}");
        };
        let denied = "mkdir: Permission denied";
        let path = "/srv/shop".to_owned();
        check("/srv/shop/.cutover/bin", denied, Hint::Start(StartHint::MakeDeployPath { path }));
        check("shop/.cutover/bin", denied, Hint::Start(StartHint::AllowDeployPath));
        check("/var/lib/cutover", denied, Hint::Start(StartHint::OwnAgentPath));
        check("/srv/shop/.cutover/bin", "sh: Cannot fork", Hint::FreeThreads);
    }
}
