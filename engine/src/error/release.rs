//! Refusals about releases. The user names another release, or waits for another run.

use crate::release::ReleaseId;

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
    /// No run has that number.
    #[error("There is no journal of a run {0}")]
    UnknownRun(u64),
    /// No run has a journal yet.
    #[error("There is no journal of any run yet")]
    NoRuns,
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
    /// Somebody removed the lock while this run held it.
    #[error("The lock `{0}` was removed or replaced while this run held it: another run may be at work")]
    LockLost(String),
}

impl ReleaseError {
    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            ReleaseError::Locked { .. } | ReleaseError::LockLost(_) => Kind::Locked,
            ReleaseError::Exists(_)
            | ReleaseError::UnknownRun(_)
            | ReleaseError::NoRuns
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
            ReleaseError::UnknownRun(_) => Some(ReleaseHint::SeeRuns),
            ReleaseError::NoRuns => Some(ReleaseHint::DeployFirst),
            ReleaseError::NothingToRollBack => Some(ReleaseHint::SwitchToAny),
            ReleaseError::NotReused { .. } => None,
            ReleaseError::Locked { .. } => Some(ReleaseHint::Wait),
            ReleaseError::LockLost(_) => Some(ReleaseHint::SeeStatus),
        }
    }
}
