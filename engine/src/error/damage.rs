//! Damage on the server. Nothing damaged is deployed.

use crate::release::ReleaseId;

use super::hint::DamageHint;
use super::id::ErrorId;

/// Differences as the cause of an error: the first ones by name, and the number of the others.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NamedDifferences(pub String);

fn edits(total: u64) -> String {
    if total == 1 { "1 path was changed".into() } else { format!("{total} paths were changed") }
}

fn edited_files(total: u64) -> String {
    if total == 1 { "1 file".into() } else { format!("{total} files") }
}

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
    /// A release differs from its manifest.
    #[error("Release {id} is not what was deployed: {} on the server", edits(*total))]
    Edited {
        /// The release.
        id: ReleaseId,
        /// The number of differences.
        total: u64,
        /// The differences.
        source: NamedDifferences,
    },
    /// A hook changed files of a new release that other releases share.
    #[error("A hook changed {} in place that other releases share", edited_files(*total))]
    EditedByHook {
        /// The number of files.
        total: u64,
        /// The files.
        source: NamedDifferences,
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
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            DamageError::Store { .. } => ErrorId::StoreDamaged,
            DamageError::Release { .. } => ErrorId::ReleaseDamaged,
            DamageError::File { .. } => ErrorId::FileDamaged,
            DamageError::Edited { .. } => ErrorId::ReleaseEdited,
            DamageError::EditedByHook { .. } => ErrorId::EditedByHook,
            DamageError::NotWhole { .. } => ErrorId::ArrivedDamaged,
        }
    }

    /// Returns the next step.
    pub(super) fn hint(&self) -> DamageHint {
        match self {
            DamageError::Store { .. } => DamageHint::WriteStoreAnew,
            DamageError::Release { .. } => DamageHint::UseOtherRelease,
            DamageError::File { path, .. } => DamageHint::MoveAway { path: path.clone() },
            DamageError::Edited { id, .. } => DamageHint::LeaveEdited { id: id.clone() },
            DamageError::EditedByHook { .. } => DamageHint::KeepHooksFromEditing,
            DamageError::NotWhole { .. } => DamageHint::CheckServer,
        }
    }
}
