//! The state of a release.

use serde::{Deserialize, Serialize};

/// The state of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseState {
    /// `current` points at it.
    Live,
    /// It was live or failed to become it, and no rollback goes to it unless it is named.
    Bad,
    /// Complete, and never switched to.
    Ready,
    /// The release was live earlier.
    Earlier,
    /// The record, the manifest or the tree is missing or damaged.
    Damaged,
    /// It was live and was removed. A rollback to it makes it again, if all its content is still on the server.
    Removed,
}

/// What stands in the place of the link to the live release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// A link to a release.
    Release,
    /// Nothing.
    Missing,
    /// A link to something else.
    Elsewhere,
    /// A directory or a file.
    NotALink,
    /// A site whose adoption did not end.
    AdoptionUnfinished,
}
