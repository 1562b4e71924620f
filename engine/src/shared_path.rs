//! A path in `shared/` that the configuration declares, and its rules.
//!
//! A declared directory is one that the application writes to, so each release has a link to it, and never a directory
//! of its own. A declared file, such as `.env`, belongs to the server alone.

use serde::{Deserialize, Serialize};

use crate::path::RelativePath;

/// What happens if the release has something at the path of a shared one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conflict {
    /// The link takes the place of the release's path.
    Link,
    /// As `Link`. Before, each deploy copies the release's files that `shared/` lacks.
    Seed,
    /// As `Link`. Before, a deploy copies the release's files that are new since the live release and that `shared/`
    /// lacks. So a file that was removed on the server does not come back.
    Merge,
    /// The release's path stays, and no link is made.
    Keep,
    /// The deploy is refused.
    Error,
}

/// What happens if `shared/` lacks a declared path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The deploy is refused.
    Required,
    /// No link is made.
    Optional,
    /// An empty one is made: a directory, or a file for this user alone.
    Create,
}

/// A declared path in `shared/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPath {
    /// The path, in `shared/` and in each release.
    pub path: RelativePath,
    /// The rule for a release that has the path too.
    pub conflict: Conflict,
    /// The rule for a `shared/` that lacks it.
    pub missing: Missing,
}

impl SharedPath {
    /// Declares a directory, with the default rules.
    pub fn directory(path: RelativePath) -> SharedPath {
        SharedPath { path, conflict: Conflict::Merge, missing: Missing::Create }
    }

    /// Declares a file, with the default rules.
    pub fn file(path: RelativePath) -> SharedPath {
        SharedPath { path, conflict: Conflict::Error, missing: Missing::Required }
    }
}
