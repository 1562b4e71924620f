//! The settings for one host, resolved from `ssh_config` and the command line.
//!
//! `resolver` makes these settings of raw values, once; `resolution` chooses where the values come from. No keyword
//! is ignored silently: if the built-in transport does not obey it, [`KeywordSupport`](super::keyword_support::KeywordSupport) has the
//! reason, and whether the system's `ssh` must take over.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, LoginError};
use crate::server::Server;
use crate::wire::algorithms::Algorithms;
use crate::wire::ssh_config::Value;

/// A feature that only the system's `ssh` has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need(String);

impl Need {
    pub(super) fn of(value: &Value) -> Need {
        match &value.place {
            Some((file, _)) => Need::keyword(&value.keyword, &file.display().to_string()),
            None => Need::keyword(&value.keyword, "ssh_config"),
        }
    }

    /// The feature that a keyword in a file asks for.
    pub(super) fn keyword(keyword: &str, file: &str) -> Need {
        Need(format!("`{keyword}` in `{file}`"))
    }

    /// Another feature.
    pub(super) fn other(what: impl Into<String>) -> Need {
        Need(what.into())
    }

    /// Makes the error for a system without `ssh`.
    pub(super) fn into_error(self) -> Error {
        Error::from(LoginError::NeedsOpenssh(self.0))
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The treatment of a host that `known_hosts` does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Refuse it. `ask` means this too, because nobody may be there to answer.
    Refuse,
    /// Add it, and refuse a host whose key has changed.
    AcceptNew,
    /// Accept every key.
    Off,
}

/// The addresses to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    Inet,
    Inet6,
}

/// The settings for one host.
#[derive(Debug, Clone)]
pub(super) struct HostSettings {
    /// The name or address to connect to, and the name that the user wrote.
    pub(super) server: Server,
    /// The user to log in as.
    pub(super) user: String,
    /// The means to log in.
    pub(super) login: LoginSettings,
    /// The check of the host key.
    pub(super) known: KnownSettings,
    /// The allowed algorithms.
    pub(super) algorithms: Algorithms,
    /// Timeouts and addresses of the connection.
    pub(super) line: LineSettings,
    /// The parts that only the system's `ssh` handles.
    pub(super) openssh: OpensshSettings,
}

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// With a key.
    PublicKey,
    /// With answers to the server's questions.
    KeyboardInteractive,
    /// With a password.
    Password,
}

impl Method {
    /// The ways, in the order in which `ssh` tries them.
    pub(super) const ALL: [Method; 3] = [Method::PublicKey, Method::KeyboardInteractive, Method::Password];

    /// Returns the name, on the wire and in `ssh_config`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::PublicKey => "publickey",
            Method::KeyboardInteractive => "keyboard-interactive",
            Method::Password => "password",
        }
    }
}

/// The means to log in.
#[derive(Debug, Clone)]
pub(super) struct LoginSettings {
    /// The allowed ways, in order.
    pub(super) methods: Vec<Method>,
    /// Whether a person may be asked: not with `BatchMode`.
    pub(super) may_ask: bool,
    /// The number of tries for an answer.
    pub(super) tries: u32,
    /// The key files to try, in order: private keys, or public keys that select a key of the SSH agent.
    pub(super) identity_files: Vec<IdentityFile>,
    /// Certificates that are not beside their key.
    pub(super) certificate_files: Vec<PathBuf>,
    /// Whether the SSH agent's keys are used only if they are among the files.
    pub(super) identities_only: bool,
    /// The SSH agent's socket.
    pub(super) agent: Option<PathBuf>,
}

/// The check of the host key.
#[derive(Debug, Clone)]
pub(super) struct KnownSettings {
    /// The user's `known_hosts` files. A new server is added to the first.
    pub(super) user_files: Vec<PathBuf>,
    /// The system's `known_hosts` files.
    pub(super) global_files: Vec<PathBuf>,
    /// Whether a command prints further keys, for the system's `ssh`.
    pub(super) has_command: bool,
    /// The treatment of a server that is not listed.
    pub(super) strictness: Strictness,
    /// Whether the name of a new server is hashed.
    pub(super) hashes_names: bool,
    /// The name in `known_hosts`: `host`, `[host]:port`, or an alias.
    pub(super) name: String,
    /// The name without the port, which counts if the other name is not listed.
    pub(super) plain_name: Option<String>,
}

impl KnownSettings {
    /// Iterates over the files in which the server is looked up.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.user_files.iter().chain(&self.global_files)
    }
}

/// Timeouts and addresses of the connection.
#[derive(Debug, Clone)]
pub(super) struct LineSettings {
    /// The addresses to try.
    pub(super) family: Family,
    /// The time limit of a connection.
    pub(super) connect_timeout: Option<Duration>,
    /// The silence after which the client asks the server for a sign of life.
    pub(super) alive_interval: Option<Duration>,
    /// The number of such questions that may stay without an answer.
    pub(super) alive_maximum: Option<u32>,
}

/// The parts that only the system's `ssh` handles.
#[derive(Debug, Clone)]
pub(super) struct OpensshSettings {
    /// Keywords that change the kind of session, each with the value for a plain session.
    pub(super) overruled: Vec<(String, &'static str)>,
    /// A feature that requires the system's `ssh` from the start.
    pub(super) need: Option<Need>,
    /// A login method of the system's `ssh` to try if the built-in login is refused.
    pub(super) login_aid: Option<Need>,
}

/// A key file to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdentityFile {
    pub(super) path: PathBuf,
    /// Whether `ssh` tries this file by default. If it does not exist, nothing is reported.
    pub(super) is_usual: bool,
}
