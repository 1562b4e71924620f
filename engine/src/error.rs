//! The errors of the engine, one variant for each situation that a user can tell apart.
//!
//! The variants are grouped by who mends them: the person at the source, the administrator of the server, the person
//! who checks the network. Errors that any part can return are in this file.
//!
//! `Display` says which action failed and on what; the cause stays in `source()`, and the command prints it once.
//! [`Error::hint`] returns the next step as data. [`Error::kind`] decides the exit code. [`Error::id`] is a word by which a
//! person finds what the docs say. An error of the agent
//! crosses the wire as a [`Refusal`]: its id, its kind, its text, its causes and its hint.

mod adopt;
mod check;
mod damage;
mod fpm;
mod group_use;
mod hint;
mod hook;
mod http;
mod id;
mod kind;
mod login;
mod reach;
mod refusal;
mod release;
mod shortage;
mod site;
mod source;
mod start;
mod writers;

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::command::CommandEnd;
use crate::hook::Hook;
use crate::path::Shown;
use crate::units::Bytes;

pub use adopt::AdoptError;
pub use check::{CheckError, CheckFault};
pub use damage::{DamageError, NamedDifferences};
pub use fpm::FpmFault;
pub use group_use::GroupNotUsed;
pub use hint::{
    AdoptHint, CheckHint, DamageHint, FpmRemedy, Hint, HookHint, LoginHint, ReachHint, ReleaseHint, RightsHint,
    SiteHint, SourceHint, StartHint,
};
pub use hook::HookError;
pub use http::HttpFault;
pub use id::ErrorId;
pub use kind::Kind;
pub use login::{LoginError, LoginRemedy};
pub use reach::ReachError;
pub use refusal::Refusal;
pub use release::ReleaseError;
pub use shortage::{Shortage, SpaceRemedy};
pub use site::SiteError;
pub use source::SourceError;
pub use start::StartError;
pub use writers::Writers;

/// Any error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source cannot be deployed as it is.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The deploy path cannot be used as it is.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A site cannot be adopted, or given back.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// A release cannot be made, switched to or reused now.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// Something is damaged.
    #[error(transparent)]
    Damage(#[from] DamageError),
    /// The server cannot be reached.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The login is refused, by the server or by this client.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The agent cannot be started on the server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A hook or a check failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// A check failed.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A system call failed.
    #[error("Could not {action} `{path}`")]
    Io {
        /// The action, for example `create`, `read`, `sync the directory`.
        action: &'static str,
        /// The path, shown with escapes.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The connection ended, or nothing arrived for too long.
    #[error("The connection to the server was lost")]
    LineLost {
        /// The cause, if it is known.
        source: io::Error,
    },
    /// The bytes on the wire do not follow the protocol.
    #[error("The other side broke the protocol: {0}")]
    Protocol(String),
    /// A message is longer than the other side accepts.
    #[error("A message of {} is too long: at most {} are allowed", Bytes(*bytes), Bytes(*most))]
    MessageTooLong {
        /// The length of the message.
        bytes: u64,
        /// The greatest length of its kind.
        most: u64,
    },
    /// The two sides speak different versions of the protocol.
    #[error("The other side speaks protocol {found}, and this side speaks protocol {known}")]
    ProtocolVersion {
        /// The version of the other side.
        found: u16,
        /// The version of this side.
        known: u16,
    },
    /// The agent refused or failed.
    #[error("{}", .0.message)]
    Agent(Refusal),
    /// No more threads can be started.
    #[error("The user has reached the limit of processes and threads on `{host}`")]
    NoThread {
        /// The host with the limit.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// The manifest database cannot be used.
    #[error("The manifest database `{path}` cannot be used")]
    Database {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The user interrupted the run.
    #[error("Interrupted")]
    Interrupted,
    /// A fault in Cutover.
    #[error("This is a fault in Cutover: {0}")]
    Bug(String),
}

impl Error {
    /// Makes the error for a failed system call on `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Error {
        let path = Shown(path.as_ref().as_os_str().as_encoded_bytes()).to_string();
        Error::Io { action, path, source: source.into() }
    }

    /// Returns the outcome of a hook whose command ended, or could not be run.
    pub(crate) fn of_hook(hook: &Hook, ran: Result<CommandEnd, Error>) -> Result<(), Error> {
        let (name, phase) = (hook.name.clone(), hook.phase);
        match ran {
            Ok(CommandEnd::Done) => Ok(()),
            Ok(CommandEnd::Stopped) => Err(Error::Interrupted),
            Ok(end) => Err(HookError::Failed { name, phase, end, stays_live: false }.into()),
            Err(Error::Hook(error @ HookError::NotReset { .. })) => Err(error.into()),
            Err(source) => Err(HookError::NotRun { name, phase, source: Box::new(source), stays_live: false }.into()),
        }
    }

    /// Notes that the release of a hook that failed, or whose runner ended, is good and stays live.
    pub(crate) fn with_good_release(mut self) -> Error {
        use HookError::{Failed, NotReset, NotRun, RunnerEnded};
        if let Error::Hook(
            Failed { stays_live, .. }
            | NotRun { stays_live, .. }
            | NotReset { stays_live, .. }
            | RunnerEnded { stays_live },
        ) = &mut self
        {
            *stays_live = true;
        }
        self
    }

    /// Returns whether a disk or a quota is full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Error::Io { source, .. } if ErrorId::of_io(source) == ErrorId::DiskFull)
    }

    /// Returns the kind, which decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Source(error) => error.kind(),
            Error::Release(error) => error.kind(),
            Error::Damage(_) => Kind::Damage,
            Error::Reach(error) => error.kind(),
            Error::Login(error) => error.kind(),
            Error::Start(error) => error.kind(),
            Error::Hook(_) => Kind::Hook,
            Error::Check(_) => Kind::Hook,
            Error::Io { source, .. } => Kind::of_io(source),
            Error::Site(_)
            | Error::Adopt(_)
            | Error::MessageTooLong { .. }
            | Error::ProtocolVersion { .. }
            | Error::NoThread { .. }
            | Error::Database { .. } => Kind::Refused,
            Error::LineLost { .. } | Error::Protocol(_) => Kind::Line,
            Error::Agent(refusal) => refusal.kind,
            Error::Usage(_) => Kind::Usage,
            Error::Interrupted => Kind::Interrupted,
            Error::Bug(_) => Kind::Bug,
        }
    }

    /// Returns the id.
    pub fn id(&self) -> ErrorId {
        match self {
            Error::Source(error) => error.id(),
            Error::Site(error) => error.id(),
            Error::Adopt(error) => error.id(),
            Error::Release(error) => error.id(),
            Error::Damage(error) => error.id(),
            Error::Reach(error) => error.id(),
            Error::Login(error) => error.id(),
            Error::Start(error) => error.id(),
            Error::Hook(error) => error.id(),
            Error::Check(_) => ErrorId::CheckFailed,
            Error::Io { source, .. } => ErrorId::of_io(source),
            Error::LineLost { .. } => ErrorId::ConnectionLost,
            Error::Protocol(_) => ErrorId::ProtocolBroken,
            Error::MessageTooLong { .. } => ErrorId::MessageTooLong,
            Error::ProtocolVersion { .. } => ErrorId::OtherVersion,
            Error::Agent(refusal) => refusal.id,
            Error::NoThread { .. } => ErrorId::TooManyProcesses,
            Error::Database { .. } => ErrorId::ManifestDatabase,
            Error::Usage(_) => ErrorId::Usage,
            Error::Interrupted => ErrorId::Interrupted,
            Error::Bug(_) => ErrorId::Bug,
        }
    }

    /// Returns the next step, if there is one.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Error::Source(error) => Some(Hint::Source(error.hint())),
            Error::Site(error) => Some(Hint::Site(error.hint())),
            Error::Adopt(error) => Some(Hint::Adopt(error.hint())),
            Error::Release(error) => error.hint().map(Hint::Release),
            Error::Damage(error) => Some(Hint::Damage(error.hint())),
            Error::Reach(error) => Some(error.hint()),
            Error::Login(error) => error.hint().map(Hint::Login),
            Error::Start(error) => Some(error.hint()),
            Error::Hook(error) => Some(Hint::Hook(error.hint())),
            Error::Check(error) => error.hint(),
            Error::Io { source, .. } => Hint::of_io(source),
            Error::LineLost { .. } | Error::Protocol(_) => Some(Hint::RunAgain),
            Error::MessageTooLong { .. } => Some(Hint::ShortenConfig),
            Error::ProtocolVersion { .. } => Some(Hint::SameVersion),
            Error::Agent(refusal) => refusal.hint.clone(),
            Error::NoThread { .. } => Some(Hint::FreeThreads),
            Error::Database { path, .. } => Some(Hint::MoveState { path: path.display().to_string() }),
            Error::Usage(_) | Error::Interrupted => None,
            Error::Bug(_) => Some(Hint::Report),
        }
    }

    /// Returns the message with its causes, for a warning.
    pub fn with_cause(&self) -> String {
        self.to_refusal().text()
    }

    /// Returns the error as it crosses the wire.
    pub fn to_refusal(&self) -> Refusal {
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        if let Error::Agent(refusal) = self {
            causes.clone_from(&refusal.causes);
        }
        Refusal { id: self.id(), kind: self.kind(), message: self.to_string(), causes, hint: self.hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_agent_is_the_same_on_the_other_side() {
        let error = Error::from(SiteError::OthersWrite { path: "/srv".into(), by: Writers::Group("staff".into()) });
        let refusal = error.to_refusal();
        let bytes = postcard::to_stdvec(&refusal).unwrap();
        let heard = Error::Agent(postcard::from_bytes(&bytes).unwrap());
        assert_eq!(heard.to_refusal(), refusal);
        assert_eq!((heard.kind(), heard.hint()), (error.kind(), error.hint()));
        assert_eq!(heard.to_string(), error.to_string());
    }

    #[test]
    fn a_cause_is_told_once_whatever_group_the_error_is_of() {
        let source = || io::Error::from_raw_os_error(13);
        let causes = |error: Error| error.to_refusal().causes;
        let expected = ["Permission denied (os error 13)"];
        assert_eq!(causes(Error::io("read", "/srv", source())), expected);
        assert_eq!(causes(SourceError::Unreadable { path: "a".into(), source: source() }.into()), expected);
    }

    #[test]
    fn a_system_call_that_failed_has_a_kind_and_a_hint_by_its_reason() {
        let check = |number: i32, kind: Kind, hint: Option<Hint>| {
            let error = Error::io("write", "/srv", io::Error::from_raw_os_error(number));
            assert_eq!((error.kind(), error.hint()), (kind, hint), "{number}");
        };
        check(13, Kind::Refused, Some(Hint::Site(SiteHint::Own)));
        check(28, Kind::Refused, Some(Hint::Site(SiteHint::FreeSpace)));
        check(30, Kind::Refused, Some(Hint::Site(SiteHint::MountedReadOnly)));
        check(11, Kind::Line, Some(Hint::FreeThreads));
        check(5, Kind::Line, None);
    }
}
