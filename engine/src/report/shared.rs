//! The results of the verbs on files in `shared/`.

use serde::{Deserialize, Serialize};

/// The kind of a path in `shared/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SharedKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
    /// A socket, fifo or device.
    Other,
}

/// A path in `shared/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedEntryReport {
    /// The path. Bytes that are not UTF-8 or not printable are escaped.
    pub path: String,
    /// The kind.
    pub kind: SharedKind,
    /// Bytes of content, of a file.
    pub bytes: Option<u64>,
    /// The permission bits, in octal.
    pub mode: String,
    /// Whether the live release has a link to it.
    pub linked: bool,
}

/// The paths in `shared/`: those with links, and the others beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedListReport {
    /// The paths, sorted.
    pub paths: Vec<SharedEntryReport>,
    /// Further paths, which are only counted.
    pub paths_left_out: u64,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// A file in `shared/` that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedWriteReport {
    /// The path in `shared/`.
    pub path: String,
    /// Whether it was written. It is not if it had that content.
    pub written: bool,
    /// Whether it is new.
    pub created: bool,
    /// Bytes of content.
    pub bytes: u64,
    /// The permission bits, in octal.
    pub mode: String,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}
