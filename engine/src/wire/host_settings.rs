//! How to reach one host: what `ssh_config` and the command line come to.
//!
//! `resolver` makes these settings of raw values, once; `resolution` says where the values come from. A keyword is never
//! ignored silently: where it is not obeyed, [`Standing`](super::standing::Standing) says why, and whether the system's
//! `ssh` must take over.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, LoginError};
use crate::target::Server;
use crate::wire::algorithms::Algorithms;
use crate::wire::ssh_config::Value;

/// What only the system's `ssh` can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need(String);

impl Need {
    pub(super) fn of(value: &Value) -> Need {
        match &value.place {
            Some((file, _)) => Need::keyword(&value.keyword, &file.display().to_string()),
            None => Need::keyword(&value.keyword, "ssh_config"),
        }
    }

    /// What a keyword in a file asks for.
    pub(super) fn keyword(keyword: &str, file: &str) -> Need {
        Need(format!("`{keyword}` in `{file}`"))
    }

    /// Something else.
    pub(super) fn other(what: impl Into<String>) -> Need {
        Need(what.into())
    }

    /// Makes the error that says so.
    pub(super) fn into_error(self) -> Error {
        Error::from(LoginError::NeedsOpenssh(self.0))
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What to do about a host that `known_hosts` does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Refuse. `ask` is this too: nobody may be there to ask.
    Refuse,
    /// Add it, and refuse one that has changed.
    AcceptNew,
    /// Accept all.
    Off,
}

/// Which addresses to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    Inet,
    Inet6,
}

/// How to reach one host.
#[derive(Debug, Clone)]
pub(super) struct HostSettings {
    /// The name or address to connect to, and the name that the user wrote.
    pub(super) server: Server,
    /// The user to log in as.
    pub(super) user: String,
    /// What to log in with.
    pub(super) login: LoginSettings,
    /// Which server is the right one.
    pub(super) known: KnownSettings,
    /// The algorithms that may be used.
    pub(super) algorithms: Algorithms,
    /// How patient to be with the line.
    pub(super) line: LineSettings,
    /// What is left to the system's `ssh`.
    pub(super) openssh: OpensshSettings,
}

/// What to log in with.
#[derive(Debug, Clone)]
pub(super) struct LoginSettings {
    /// The key files to try, in order: private keys, or public ones that choose a key of the agent.
    pub(super) identity_files: Vec<IdentityFile>,
    /// Certificates that do not lie beside their key.
    pub(super) certificate_files: Vec<PathBuf>,
    /// Offer only those keys of the agent that are among the files.
    pub(super) identities_only: bool,
    /// The agent's socket.
    pub(super) agent: Option<PathBuf>,
}

/// Which server is the right one.
#[derive(Debug, Clone)]
pub(super) struct KnownSettings {
    /// The user's `known_hosts`; a new server is added to the first.
    pub(super) user_files: Vec<PathBuf>,
    /// The system's.
    pub(super) global_files: Vec<PathBuf>,
    /// What to do about a server that is not known.
    pub(super) strictness: Strictness,
    /// Names are hashed when they are added.
    pub(super) hashes_names: bool,
    /// The name in `known_hosts`: `host`, `[host]:port`, or an alias.
    pub(super) name: String,
    /// The name without the port, which counts where the other is not known.
    pub(super) plain_name: Option<String>,
}

impl KnownSettings {
    /// Iterates over the files in which servers are looked up.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.user_files.iter().chain(&self.global_files)
    }
}

/// How patient to be with the line.
#[derive(Debug, Clone)]
pub(super) struct LineSettings {
    /// Which addresses to try.
    pub(super) family: Family,
    /// How long to try.
    pub(super) connect_timeout: Option<Duration>,
    /// How long the line may be silent until a sign of life is asked for.
    pub(super) alive_interval: Option<Duration>,
    /// How many of these may stay without an answer.
    pub(super) alive_maximum: Option<u32>,
}

/// What is left to the system's `ssh`.
#[derive(Debug, Clone)]
pub(super) struct OpensshSettings {
    /// Keywords that change what a session is, each with the value of a plain one.
    pub(super) overruled: Vec<(String, &'static str)>,
    /// What only it can do, from the start.
    pub(super) need: Option<Need>,
    /// What it can do when the built-in login is refused.
    pub(super) login_aid: Option<Need>,
}

/// A key file to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdentityFile {
    pub(super) path: PathBuf,
    /// It is one that `ssh` tries unasked. That it does not exist is no news.
    pub(super) is_usual: bool,
}
