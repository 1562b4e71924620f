//! What cannot be done with a release, or not now: another one is named, or another deploy is waited for.

use crate::release::ReleaseId;

use super::hint::ReleaseHint;
use super::kind::Kind;

/// A release cannot be made, switched to or turned into another one, or not now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A release of that name exists, or a directory does.
    #[error("There is a release {0} already")]
    Exists(ReleaseId),
    /// There is no such release.
    #[error("There is no release {0}")]
    Unknown(ReleaseId),
    /// There is no earlier release to go back to.
    #[error("There is no earlier release to roll back to")]
    NothingToRollBack,
    /// The release to roll back to was never live or is the live one.
    #[error("A rollback cannot go to release {id}: it {reason}")]
    NotARollback {
        /// The release.
        id: ReleaseId,
        /// `is live already`, `was never live`.
        reason: &'static str,
    },
    /// A release that was given up cannot be turned into a new one.
    #[error("Release {id} is not reused: {reason}")]
    NotReused {
        /// Which.
        id: ReleaseId,
        /// Why.
        reason: String,
    },
    /// Another deploy is at work.
    #[error("Another deploy is at work: {holder}")]
    Locked {
        /// Who, where, since, and doing what.
        holder: String,
    },
    /// Somebody removed the lock of a run that held it.
    #[error("The lock `{0}` was removed or replaced while this run held it: another one may be at work")]
    LockLost(String),
}

impl ReleaseError {
    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            ReleaseError::Locked { .. } | ReleaseError::LockLost(_) => Kind::Locked,
            ReleaseError::Exists(_)
            | ReleaseError::Unknown(_)
            | ReleaseError::NothingToRollBack
            | ReleaseError::NotARollback { .. }
            | ReleaseError::NotReused { .. } => Kind::Refused,
        }
    }

    /// Returns what to do next, where there is something to do.
    pub(super) fn hint(&self) -> Option<ReleaseHint> {
        match self {
            ReleaseError::Exists(_) => Some(ReleaseHint::ChooseName),
            ReleaseError::Unknown(_) | ReleaseError::NotARollback { .. } => Some(ReleaseHint::SeeReleases),
            ReleaseError::NothingToRollBack => Some(ReleaseHint::SwitchToAny),
            ReleaseError::NotReused { .. } => None,
            ReleaseError::Locked { .. } => Some(ReleaseHint::Wait),
            ReleaseError::LockLost(_) => Some(ReleaseHint::SeeStatus),
        }
    }
}
