//! Failed logins: host keys, keys and `ssh_config`. The person who deploys mends them.

use std::path::PathBuf;

use crate::server::Server;

use super::hint::LoginHint;
use super::id::ErrorId;
use super::kind::Kind;

/// The login is refused, by the server or by this client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// `known_hosts` does not list the server.
    #[error("The host key of `{host}` is not known: {algorithm} {fingerprint}")]
    HostKeyUnknown {
        /// The name for `known_hosts`: `host` or `[host]:port`.
        host: String,
        /// The kind of key.
        algorithm: String,
        /// `SHA256:…`, as `ssh-keygen -l` prints it.
        fingerprint: String,
        /// The files that were searched.
        searched: Vec<PathBuf>,
        /// The `ssh` command that shows the key and asks.
        ssh_command: String,
    },
    /// `known_hosts` lists another key for the server.
    #[error("The host key of `{host}` has changed: it is now {algorithm} {fingerprint}")]
    HostKeyChanged {
        /// The name in `known_hosts`.
        host: String,
        /// The kind of key that the server showed.
        algorithm: String,
        /// `SHA256:…` of that key.
        fingerprint: String,
        /// The file with the other key.
        file: PathBuf,
    },
    /// The server's key is revoked.
    #[error("The host key of `{host}` was revoked in `{file}`: {algorithm} {fingerprint}")]
    HostKeyRevoked {
        /// The name in `known_hosts`.
        host: String,
        /// The kind of key.
        algorithm: String,
        /// `SHA256:…` of that key.
        fingerprint: String,
        /// The file that revokes it.
        file: PathBuf,
    },
    /// The server shows none of the pinned keys.
    #[error("`{host}` shows {}, and the pinned one is {pinned}", shown_key(.shown.as_deref()))]
    HostKeyNotPinned {
        /// The name of the server.
        host: String,
        /// The kind of the key that the server showed, and `SHA256:…`, if they are known.
        shown: Option<String>,
        /// The same of the pinned keys.
        pinned: String,
    },
    /// The server accepted no key.
    #[error("{server} refused the login of `{user}`")]
    Refused {
        /// The user on the server.
        user: String,
        /// The server.
        server: Server,
        /// The attempts, a line each.
        tried: Vec<String>,
        /// The way out.
        remedy: LoginRemedy,
    },
    /// `ssh_config` cannot be read or parsed.
    #[error("`{file}` line {line}: {reason}")]
    SshConfig {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The mistake.
        reason: String,
    },
    /// The system's `ssh` refuses `ssh_config`.
    #[error("`ssh` refuses `ssh_config`")]
    SshConfigRefused {
        /// Its message.
        said: String,
    },
    /// A feature needs the system's `ssh`, which is missing or not allowed.
    #[error("{0} needs the system's `ssh`")]
    NeedsOpenssh(String),
}

impl LoginError {
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            LoginError::HostKeyUnknown { .. } => ErrorId::HostKeyUnknown,
            LoginError::HostKeyChanged { .. } => ErrorId::HostKeyChanged,
            LoginError::HostKeyRevoked { .. } => ErrorId::HostKeyRevoked,
            LoginError::HostKeyNotPinned { .. } => ErrorId::HostKeyNotPinned,
            LoginError::Refused { .. } => ErrorId::LoginRefused,
            LoginError::SshConfig { .. } | LoginError::SshConfigRefused { .. } => ErrorId::SshConfig,
            LoginError::NeedsOpenssh(_) => ErrorId::NeedsOpenssh,
        }
    }

    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            LoginError::SshConfig { .. } | LoginError::SshConfigRefused { .. } | LoginError::NeedsOpenssh(_) => {
                Kind::Usage
            }
            LoginError::HostKeyUnknown { .. }
            | LoginError::HostKeyChanged { .. }
            | LoginError::HostKeyRevoked { .. }
            | LoginError::HostKeyNotPinned { .. }
            | LoginError::Refused { .. } => Kind::Refused,
        }
    }

    /// Returns the next step, if there is one.
    pub(super) fn hint(&self) -> Option<LoginHint> {
        match self {
            LoginError::HostKeyUnknown { ssh_command, .. } => {
                Some(LoginHint::AcceptHostKey { command: ssh_command.clone() })
            }
            LoginError::HostKeyChanged { host, file, .. } => {
                Some(LoginHint::ForgetHostKey { host: host.clone(), file: file.display().to_string() })
            }
            LoginError::HostKeyNotPinned { .. } => Some(LoginHint::ComparePinnedKey),
            LoginError::HostKeyRevoked { .. } => Some(LoginHint::ChangeHostKey),
            LoginError::Refused { remedy, .. } => Some(remedy.hint()),
            LoginError::SshConfig { .. } => None,
            LoginError::SshConfigRefused { .. } => Some(LoginHint::MendSshConfig),
            LoginError::NeedsOpenssh(_) => Some(LoginHint::InstallOpenssh),
        }
    }
}

fn shown_key(shown: Option<&str>) -> String {
    shown.map_or_else(|| "another host key".to_owned(), |shown| format!("the host key {shown}"))
}

/// The way out of a refused login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginRemedy {
    /// Use a key that the server accepts.
    Key,
    /// Load a key with a passphrase into an SSH agent.
    Unlock {
        /// The key.
        path: PathBuf,
        /// Whether an SSH agent is configured, running or not.
        has_agent: bool,
    },
    /// Answer the questions again: the answers were wrong.
    AnswerAgain,
    /// Answer a question of the server, for example for a second factor: only a person at a terminal can.
    Answer {
        /// The command for that login.
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
            LoginRemedy::AnswerAgain => LoginHint::AnswerAgain,
            LoginRemedy::Answer { login } => LoginHint::AnswerQuestion { login: login.clone() },
        }
    }
}
