//! Reasons that the source cannot be deployed. The person at the source mends them, or excludes a path.

use std::io;
use std::path::PathBuf;

use crate::pattern::pattern_of;

use super::hint::SourceHint;
use super::id::ErrorId;
use super::kind::Kind;

/// The source cannot be deployed as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The directory does not exist.
    #[error("There is no source directory `{0}`")]
    Missing(PathBuf),
    /// The source is not a directory.
    #[error("The source `{0}` is not a directory")]
    NotDirectory(PathBuf),
    /// A file or directory of the source cannot be read.
    #[error("Could not read `{path}`")]
    Unreadable {
        /// The path, shown with escapes.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The source contains a socket, fifo or device.
    #[error("`{path}` is a {kind}, which cannot be deployed")]
    SpecialFile {
        /// The path, shown with escapes.
        path: String,
        /// `socket`, `fifo`, `device`.
        kind: &'static str,
    },
    /// Directories are nested more deeply than a manifest allows.
    #[error("`{path}` is nested more than {most} directories deep")]
    TooDeep {
        /// The path, shown with escapes.
        path: String,
        /// The depth that a manifest allows.
        most: u16,
    },
    /// The source has more entries, directories or names than Cutover deploys.
    #[error("The source {0}")]
    TooLarge(String),
    /// A file changed at each reading, or between scan and upload.
    #[error("`{0}` changes while it is deployed")]
    FileChanging(String),
    /// The content of a file has changed since the scan, and its size and times have not.
    #[error("`{0}` has changed since it was scanned, and its size and times have not")]
    FileChangedUnseen(String),
    /// The source and the local target overlap.
    #[error("The source `{source_path}` and the target `{target}` lie within each other")]
    Overlapping {
        /// The source.
        source_path: PathBuf,
        /// The deploy path.
        target: PathBuf,
    },
    /// The source lies in no repository that git can use, and a commit is to be deployed.
    #[error("There is no git repository at `{source_path}` to deploy a commit of: {reason}")]
    NoRepository {
        /// The source.
        source_path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The repository has no commit of this name.
    #[error("There is no commit `{name}` in the repository `{repository}`")]
    NoCommit {
        /// The name.
        name: String,
        /// The repository.
        repository: String,
        /// A name that may be meant.
        near: Option<String>,
        /// Whether the repository lacks older commits.
        is_shallow: bool,
    },
    /// The commit does not have the directory of the source.
    #[error("There is no directory `{path}` in commit {commit}")]
    NotInCommit {
        /// The path in the repository, shown with escapes.
        path: String,
        /// The commit.
        commit: String,
    },
    /// The repository does not have a submodule, or not at this commit.
    #[error("The submodule `{path}` is not here at commit {commit}")]
    NoSubmodule {
        /// Its path.
        path: String,
        /// The commit of the submodule.
        commit: String,
        /// The repository that names it.
        repository: String,
    },
    /// A file of a commit needs a filter of git that does not run.
    #[error("`{path}` needs git's filter `{name}`, which your configuration of git does not have")]
    FilterMissing {
        /// The file, shown with escapes.
        path: String,
        /// The filter.
        name: String,
    },
    /// Git could not check a commit out.
    #[error("Could not check the commit out into `{directory}`: {reason}")]
    CheckoutFailed {
        /// The directory.
        directory: String,
        /// The reason.
        reason: String,
    },
    /// Ignored files are to be left out, and git does not say which files it tracks.
    #[error("Could not find out which files git tracks: {reason}")]
    TrackedUnknown {
        /// The reason.
        reason: String,
    },
    /// The path of an ignore file is not a file.
    #[error("`{path}` holds no patterns: {reason}")]
    NoPatterns {
        /// The path, shown with escapes.
        path: String,
        /// The reason.
        reason: String,
    },
    /// A list of patterns contains a NUL byte.
    #[error("{place} contains a NUL byte, which no pattern may contain")]
    NulInPatterns {
        /// The file, or `exclude`.
        place: String,
    },
}

impl SourceError {
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            SourceError::Missing(_) | SourceError::NotDirectory(_) => ErrorId::SourceMissing,
            SourceError::Unreadable { .. } => ErrorId::SourceUnreadable,
            SourceError::SpecialFile { .. } => ErrorId::SpecialFile,
            SourceError::TooDeep { .. } | SourceError::TooLarge(_) => ErrorId::SourceTooLarge,
            SourceError::FileChanging(_) | SourceError::FileChangedUnseen(_) => ErrorId::FileChanging,
            SourceError::Overlapping { .. } => ErrorId::SourceOverlapsTarget,
            SourceError::NoRepository { .. } => ErrorId::NoRepository,
            SourceError::NoCommit { .. } | SourceError::NotInCommit { .. } => ErrorId::NoCommit,
            SourceError::NoSubmodule { .. } => ErrorId::NoSubmodule,
            SourceError::FilterMissing { .. } => ErrorId::FilterMissing,
            SourceError::CheckoutFailed { .. } => ErrorId::CheckoutFailed,
            SourceError::TrackedUnknown { .. } => ErrorId::TrackedUnknown,
            SourceError::NoPatterns { .. } | SourceError::NulInPatterns { .. } => ErrorId::IgnoreFile,
        }
    }

    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            SourceError::NulInPatterns { .. } => Kind::Usage,
            SourceError::Missing(_)
            | SourceError::NotDirectory(_)
            | SourceError::NoRepository { .. }
            | SourceError::NoCommit { .. }
            | SourceError::NotInCommit { .. }
            | SourceError::NoSubmodule { .. }
            | SourceError::FilterMissing { .. }
            | SourceError::CheckoutFailed { .. }
            | SourceError::TrackedUnknown { .. }
            | SourceError::Unreadable { .. }
            | SourceError::SpecialFile { .. }
            | SourceError::TooDeep { .. }
            | SourceError::TooLarge(_)
            | SourceError::FileChanging(_)
            | SourceError::FileChangedUnseen(_)
            | SourceError::Overlapping { .. }
            | SourceError::NoPatterns { .. } => Kind::Refused,
        }
    }

    /// Returns the next step.
    pub(super) fn hint(&self) -> SourceHint {
        match self {
            SourceError::Missing(_) | SourceError::NotDirectory(_) => SourceHint::NameSource,
            SourceError::NoRepository { .. } => SourceHint::NameRepository,
            SourceError::NoCommit { repository, near, is_shallow, .. } => {
                SourceHint::FetchCommit { repository: repository.clone(), near: near.clone(), is_shallow: *is_shallow }
            }
            SourceError::NotInCommit { .. } => SourceHint::NameSource,
            SourceError::NoSubmodule { repository, .. } => {
                SourceHint::FetchSubmodules { repository: repository.clone() }
            }
            SourceError::FilterMissing { name, .. } => SourceHint::ConfigureFilter { name: name.clone() },
            SourceError::CheckoutFailed { directory, .. } => SourceHint::MendCheckout { directory: directory.clone() },
            SourceError::TrackedUnknown { .. } => SourceHint::LetGitAnswer,
            SourceError::Unreadable { .. } => SourceHint::MakeReadable,
            SourceError::SpecialFile { path, .. } => SourceHint::LeaveOut { pattern: pattern_of(path) },
            SourceError::TooDeep { .. } => SourceHint::LeaveOutAbove,
            SourceError::TooLarge(_) => SourceHint::LeaveOutMore,
            SourceError::FileChanging(path) => SourceHint::LetRest { pattern: pattern_of(path) },
            SourceError::FileChangedUnseen(_) => SourceHint::DeployAgain,
            SourceError::Overlapping { .. } => SourceHint::DeployElsewhere,
            SourceError::NoPatterns { .. } => SourceHint::PutPatterns,
            SourceError::NulInPatterns { .. } => SourceHint::SaveAsUtf8,
        }
    }
}
