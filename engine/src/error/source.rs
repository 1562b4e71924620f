//! What the source cannot be deployed for. The person at the source mends it, or leaves a path out.

use std::io;
use std::path::PathBuf;

use crate::pattern::pattern_of;

use super::hint::SourceHint;
use super::kind::Kind;

/// The source cannot be deployed as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such directory.
    #[error("There is no source directory `{0}`")]
    Missing(PathBuf),
    /// The source is a file or something else.
    #[error("The source `{0}` is not a directory")]
    NotDirectory(PathBuf),
    /// A file or directory of the source cannot be read.
    #[error("Could not read `{path}`")]
    Unreadable {
        /// The path, shown with escapes.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A socket, fifo or device stands in the source.
    #[error("`{path}` is a {kind}, which cannot be deployed")]
    SpecialFile {
        /// The path, shown with escapes.
        path: String,
        /// `socket`, `fifo`, `device`.
        kind: &'static str,
    },
    /// Directories within directories, more of them than a manifest takes.
    #[error("`{path}` lies below {most} directories within each other, and no more are taken")]
    TooDeep {
        /// The path, shown with escapes.
        path: String,
        /// How many are taken.
        most: u16,
    },
    /// More entries, directories or names than are deployed.
    #[error("The source {0}")]
    TooLarge(String),
    /// A file changed each time that it was read, or between the scan and its sending.
    #[error("`{0}` changes while it is deployed")]
    FileChanging(String),
    /// A file holds other content than it had when it was scanned, and looks as it did then.
    #[error("`{0}` has changed since it was scanned, and its size and times have not")]
    FileChangedUnseen(String),
    /// The source and the local target lie within each other.
    #[error("The source `{source_path}` and the target `{target}` lie within each other")]
    Overlapping {
        /// The source.
        source_path: PathBuf,
        /// The deploy path.
        target: PathBuf,
    },
    /// Something that is no file stands in the place of an ignore file.
    #[error("`{path}` holds no patterns: {reason}")]
    NoPatterns {
        /// The path, shown with escapes.
        path: String,
        /// What it is.
        reason: String,
    },
    /// A list of patterns holds a NUL byte.
    #[error("{place} holds a NUL byte, and no pattern does")]
    NulInPatterns {
        /// The file, or `exclude`.
        place: String,
    },
}

impl SourceError {
    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            SourceError::NulInPatterns { .. } => Kind::Usage,
            SourceError::Missing(_)
            | SourceError::NotDirectory(_)
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

    /// Returns what to do next.
    pub(super) fn hint(&self) -> SourceHint {
        match self {
            SourceError::Missing(_) | SourceError::NotDirectory(_) => SourceHint::NameSource,
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
