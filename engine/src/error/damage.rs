//! Damage on the server. Nothing damaged is deployed.

use crate::release::ReleaseId;

use super::hint::DamageHint;

/// Something is damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DamageError {
    /// The store file is missing or damaged.
    #[error("`{path}` is damaged: {reason}")]
    Store {
        /// The file.
        path: String,
        /// The damage.
        reason: String,
    },
    /// The record or the manifest of an existing release is missing or damaged.
    #[error("Release {id} is damaged: {reason}")]
    Release {
        /// The release.
        id: ReleaseId,
        /// The damage.
        reason: String,
    },
    /// A file of the store cannot be parsed.
    #[error("`{path}` is damaged: {reason}")]
    File {
        /// The file.
        path: String,
        /// The damage.
        reason: String,
    },
    /// Objects do not match the manifest, even after they were sent again.
    #[error("{objects} objects arrived damaged: the first belongs to `{path}`")]
    NotWhole {
        /// The number of these objects.
        objects: u64,
        /// A path in the release that has the first of them as content.
        path: String,
    },
}

impl DamageError {
    /// Returns the next step.
    pub(super) fn hint(&self) -> DamageHint {
        match self {
            DamageError::Store { .. } => DamageHint::WriteStoreAnew,
            DamageError::Release { .. } => DamageHint::UseOtherRelease,
            DamageError::File { path, .. } => DamageHint::MoveAway { path: path.clone() },
            DamageError::NotWhole { .. } => DamageHint::CheckServer,
        }
    }
}
