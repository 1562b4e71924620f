//! What was found damaged on the server. Nothing that is damaged is deployed.

use crate::release::ReleaseId;

use super::hint::DamageHint;

/// Something is damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DamageError {
    /// The store file is lost or damaged.
    #[error("`{path}` is damaged: {reason}")]
    Store {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A release stands, but its record or manifest does not.
    #[error("Release {id} is damaged: {reason}")]
    Release {
        /// The release.
        id: ReleaseId,
        /// What is missing or wrong.
        reason: String,
    },
    /// A file of the store cannot be understood.
    #[error("`{path}` is damaged: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was assembled or stored is not what the manifest says, and sending it again did not help.
    #[error("{objects} objects did not arrive whole: the first is that of `{path}`")]
    NotWhole {
        /// How many.
        objects: u64,
        /// A path that needs the first one.
        path: String,
    },
}

impl DamageError {
    /// Returns what to do next.
    pub(super) fn hint(&self) -> DamageHint {
        match self {
            DamageError::Store { .. } => DamageHint::WriteStoreAnew,
            DamageError::Release { .. } => DamageHint::UseOtherRelease,
            DamageError::File { path, .. } => DamageHint::MoveAway { path: path.clone() },
            DamageError::NotWhole { .. } => DamageHint::CheckServer,
        }
    }
}
