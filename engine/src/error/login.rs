//! Why nobody is logged in: host keys, keys and `ssh_config`. The person who deploys mends it.

use std::path::PathBuf;

use crate::target::Server;

use super::hint::LoginHint;
use super::kind::Kind;

/// The login is refused, by the server or by this side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// `known_hosts` does not know the server.
    #[error("The host key of `{host}` is not known: {algorithm} {fingerprint}")]
    HostKeyUnknown {
        /// The name as `known_hosts` would have it: `host` or `[host]:port`.
        host: String,
        /// The kind of key.
        algorithm: String,
        /// `SHA256:…`, as `ssh-keygen -l` prints it.
        fingerprint: String,
        /// The files that were searched.
        searched: Vec<PathBuf>,
        /// The user, host and port to try `ssh` with.
        ssh_command: String,
    },
    /// `known_hosts` knows the server under another key.
    #[error("The host key of `{host}` has changed: it is now {algorithm} {fingerprint}")]
    HostKeyChanged {
        /// The name as `known_hosts` has it.
        host: String,
        /// The kind of key that the server showed.
        algorithm: String,
        /// `SHA256:…` of that key.
        fingerprint: String,
        /// The file with the other key.
        file: PathBuf,
    },
    /// The key that the server showed was revoked.
    #[error("The host key of `{host}` was revoked in `{file}`: {algorithm} {fingerprint}")]
    HostKeyRevoked {
        /// The name as `known_hosts` has it.
        host: String,
        /// The kind of key.
        algorithm: String,
        /// `SHA256:…` of that key.
        fingerprint: String,
        /// The file that revokes it.
        file: PathBuf,
    },
    /// No key was accepted.
    #[error("{server} refused the login of `{user}`")]
    Refused {
        /// The user on the server.
        user: String,
        /// The server.
        server: Server,
        /// What was tried, a line each.
        tried: Vec<String>,
        /// What would help.
        remedy: LoginRemedy,
    },
    /// `ssh_config` cannot be read or understood.
    #[error("`{file}` line {line}: {reason}")]
    SshConfig {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's `ssh` does not take `ssh_config`.
    #[error("`ssh` does not take `ssh_config`")]
    SshConfigRefused {
        /// What it printed.
        said: String,
    },
    /// Something that only the system's `ssh` can do, and there is none or it was ruled out.
    #[error("{0} needs the system's `ssh`")]
    NeedsOpenssh(String),
}

impl LoginError {
    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            LoginError::SshConfig { .. } | LoginError::SshConfigRefused { .. } | LoginError::NeedsOpenssh(_) => {
                Kind::Usage
            }
            LoginError::HostKeyUnknown { .. }
            | LoginError::HostKeyChanged { .. }
            | LoginError::HostKeyRevoked { .. }
            | LoginError::Refused { .. } => Kind::Refused,
        }
    }

    /// Returns what to do next, where there is something to do.
    pub(super) fn hint(&self) -> Option<LoginHint> {
        match self {
            LoginError::HostKeyUnknown { ssh_command, .. } => {
                Some(LoginHint::AcceptHostKey { command: ssh_command.clone() })
            }
            LoginError::HostKeyChanged { host, file, .. } => {
                Some(LoginHint::ForgetHostKey { host: host.clone(), file: file.display().to_string() })
            }
            LoginError::HostKeyRevoked { .. } => Some(LoginHint::ChangeHostKey),
            LoginError::Refused { remedy, .. } => Some(remedy.hint()),
            LoginError::SshConfig { .. } => None,
            LoginError::SshConfigRefused { .. } => Some(LoginHint::MendSshConfig),
            LoginError::NeedsOpenssh(_) => Some(LoginHint::InstallOpenssh),
        }
    }
}

/// What would help a login that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginRemedy {
    /// A key that the server takes.
    Key,
    /// To load a key with a passphrase into an agent.
    Unlock {
        /// The key.
        path: PathBuf,
        /// Whether an agent is named, running or not.
        has_agent: bool,
    },
    /// To answer a question, such as for a second factor: only a person can, with `ssh`.
    Answer {
        /// The command that logs in.
        login: String,
    },
}

impl LoginRemedy {
    fn hint(&self) -> LoginHint {
        match self {
            LoginRemedy::Key => LoginHint::UseKey,
            LoginRemedy::Unlock { path, has_agent } => {
                LoginHint::UnlockKey { path: path.display().to_string(), has_agent: *has_agent }
            }
            LoginRemedy::Answer { login } => LoginHint::AnswerQuestion { login: login.clone() },
        }
    }
}
