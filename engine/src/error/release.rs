//! Refusals about releases. The user names another release, or waits for another run.

use std::time::Duration;

use crate::release::ReleaseId;
use crate::units::Span;

use super::hint::ReleaseHint;
use super::kind::Kind;

/// A release cannot be made, switched to or reused now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A release or a directory of that name exists.
    #[error("There is a release {0} already")]
    Exists(ReleaseId),
    /// No such release exists.
    #[error("There is no release {0}")]
    Unknown(ReleaseId),
    /// No earlier release exists to go back to.
    #[error("No release was live before this one, so there is nothing to roll back to")]
    NothingToRollBack,
    /// The release to roll back to is live, or was never live.
    #[error("A rollback cannot go to release {id}: it {reason}")]
    NotARollback {
        /// The release.
        id: ReleaseId,
        /// `is live already`, `was never live`.
        reason: &'static str,
    },
    /// A spare cannot be turned into a new release.
    #[error("Release {id} cannot be reused: {reason}")]
    NotReused {
        /// The spare.
        id: ReleaseId,
        /// The reason.
        reason: String,
    },
    /// Another run holds the lock.
    #[error("Another deploy is at work: {holder}")]
    Locked {
        /// Its user, host, start and verb.
        holder: String,
    },
    /// Another run still holds the lock after the time that this one was to wait.
    #[error("Another deploy is still at work after {}: {holder}", Span(*waited))]
    StillLocked {
        /// Its user, host, start and verb.
        holder: String,
        /// The time.
        waited: Duration,
    },
    /// The holder of the lock shows no sign of life, and cannot be ended.
    #[error("Another deploy has the lock and has been silent for {}: {holder}. It could not be ended: {reason}", Span(*silence))]
    Stuck {
        /// Its user, host, start and verb.
        holder: String,
        /// The time since its last sign of life.
        silence: Duration,
        /// The reason why it could not be ended.
        reason: String,
        /// The directory that it has locked.
        path: String,
    },
    /// The holder of the lock cannot be interrupted.
    #[error("The lock is held by {holder}. That run was not interrupted: {reason}")]
    NotInterrupted {
        /// Its user, host, start and verb.
        holder: String,
        /// The reason.
        reason: String,
    },
    /// Another run interrupted this one.
    #[error("{by} interrupted this {interrupted} with a {verb}")]
    InterruptedBy {
        /// The verb of this run.
        interrupted: String,
        /// The user and host of that run.
        by: String,
        /// Its verb.
        verb: String,
    },
    /// A person has locked the deploy path.
    #[error("The deploy path is locked by {held}")]
    LockedManually {
        /// The user, host, time and message.
        held: String,
    },
    /// Somebody removed the lock while this run held it.
    #[error("The lock `{0}` was removed or replaced while this run held it: another run may be at work")]
    LockLost(String),
}

impl ReleaseError {
    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            ReleaseError::Locked { .. }
            | ReleaseError::StillLocked { .. }
            | ReleaseError::Stuck { .. }
            | ReleaseError::NotInterrupted { .. }
            | ReleaseError::InterruptedBy { .. }
            | ReleaseError::LockedManually { .. }
            | ReleaseError::LockLost(_) => Kind::Locked,
            ReleaseError::Exists(_)
            | ReleaseError::Unknown(_)
            | ReleaseError::NothingToRollBack
            | ReleaseError::NotARollback { .. }
            | ReleaseError::NotReused { .. } => Kind::Refused,
        }
    }

    /// Returns the next step, if there is one.
    pub(super) fn hint(&self) -> Option<ReleaseHint> {
        match self {
            ReleaseError::Exists(_) => Some(ReleaseHint::ChooseName),
            ReleaseError::Unknown(_) | ReleaseError::NotARollback { .. } => Some(ReleaseHint::SeeReleases),
            ReleaseError::NothingToRollBack => Some(ReleaseHint::SwitchToAny),
            ReleaseError::NotReused { .. } => None,
            ReleaseError::Locked { .. } | ReleaseError::NotInterrupted { .. } => Some(ReleaseHint::Wait),
            ReleaseError::StillLocked { .. } => Some(ReleaseHint::WaitLonger),
            ReleaseError::Stuck { path, .. } => Some(ReleaseHint::SeeHolder { path: path.clone() }),
            ReleaseError::InterruptedBy { .. } => Some(ReleaseHint::DeployAgain),
            ReleaseError::LockedManually { .. } => Some(ReleaseHint::Unlock),
            ReleaseError::LockLost(_) => Some(ReleaseHint::SeeStatus),
        }
    }
}
