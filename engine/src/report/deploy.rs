//! The result of `deploy`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::release::ReleaseId;

use super::differences::Differences;
use super::preview::PreviewReport;

/// The outcome of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeployState {
    /// The new release is live.
    Live,
    /// The new release is complete and was not switched to.
    Ready,
    /// The live release already has this content.
    Unchanged,
}

/// Seconds spent, by phase. Phases run at once, so they do not add up to the total.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Until the agent's greeting.
    pub connect: f64,
    /// Walking and hashing the source.
    pub scan: f64,
    /// From the first byte of content until the server has the last.
    pub upload: f64,
    /// Making directories and links, on the server.
    pub assemble: f64,
    /// Making content durable and publishing it, on the server.
    pub sync: f64,
    /// Running hooks and checks around the switch, on the server.
    pub hooks: f64,
    /// Pointing `current` at the release, on the server.
    pub switch: f64,
    /// Retention and garbage collection, on the server.
    pub cleanup: f64,
    /// From the start until `current` was switched, or until the answer if nothing was switched.
    pub live: f64,
    /// From the start to the end.
    pub total: f64,
}

/// The result of `deploy`. Its parts are grouped by role here, and flat where it is printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeployReport {
    /// The release that was made, or the live one if nothing changed. None for a dry run that would make a release.
    pub release: Option<ReleaseId>,
    /// The release that was live before.
    pub previous: Option<ReleaseId>,
    /// The outcome. For a dry run, the outcome that a deploy would have.
    pub state: DeployState,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// The tree that was deployed.
    #[serde(flatten)]
    pub tree: TreeReport,
    /// The differences from the live release.
    #[serde(flatten)]
    pub changes: ChangesReport,
    /// The traffic on the wire.
    #[serde(flatten)]
    pub traffic: TrafficReport,
    /// The server's work.
    #[serde(flatten)]
    pub making: MakingReport,
    /// The releases that were removed. For a dry run, those that would be.
    pub removed: Vec<ReleaseId>,
    /// The forecast, for a dry run that would make a release.
    pub preview: Option<PreviewReport>,
    /// The hooks that a deploy would run, in order, for a dry run. Those of failures are not among them.
    pub hooks: Vec<String>,
    /// The differences of the release that was live from its manifest, if the source has not changed.
    pub edited: Option<Differences>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Seconds by phase.
    pub seconds: Seconds,
}

/// The tree that was deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TreeReport {
    /// The root hash of the manifest.
    pub manifest: String,
    /// The commit of the source.
    pub commit: Option<String>,
    /// The branch of the commit, or the name by which it was asked for.
    pub branch: Option<String>,
    /// Whether the source has changes since the commit. None if that is unknown, or there is no commit.
    pub dirty: Option<bool>,
    /// The number of entries other than directories.
    pub files: u64,
    /// The sum of the sizes of its files, in bytes.
    pub bytes: u64,
}

/// The differences of a release from the live one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesReport {
    /// The number of paths that the live release does not have.
    pub files_new: u64,
    /// The number of paths whose kind, content or mode differs.
    pub files_changed: u64,
    /// The number of paths that only the live release has.
    pub files_removed: u64,
}

/// The traffic on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TrafficReport {
    /// The bytes sent to the agent: frames, before SSH.
    pub sent_bytes: u64,
    /// The bytes received from the agent.
    pub received_bytes: u64,
    /// The number of times that the client waited for an answer of the agent before it could go on.
    pub round_trips: u64,
    /// The bytes of sent content by zstd level. Uncompressed content counts under 0.
    pub zstd_levels: BTreeMap<i32, u64>,
    /// The number of connections that content was sent over.
    pub connections: u64,
}

/// The server's work on a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakingReport {
    /// The number of objects that were stored.
    pub objects_new: u64,
    /// The number of files that were linked.
    pub objects_linked: u64,
    /// The release that was turned into this one, if any.
    pub reused: Option<ReuseReport>,
    /// The reason why an existing spare was not reused.
    pub not_reused: Option<String>,
    /// The number of files that are copies and not links, by reason.
    pub copied: BTreeMap<String, u64>,
    /// The shared paths that were filled from the release.
    pub seeded: Vec<SeededReport>,
    /// The first of the files that were carried over from the live release. `copied` counts them.
    pub carried: Vec<String>,
}

/// A shared path that was filled from a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeededReport {
    /// The declared path.
    pub path: String,
    /// The number of files that were copied into it. An empty one was made if there are none.
    pub files: u64,
}

/// A release that was turned into a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReuseReport {
    /// The name that the release had.
    pub release: ReleaseId,
    /// The number of its files and symlinks that were kept.
    pub kept: u64,
    /// The number of its names that were removed.
    pub removed: u64,
    /// The number of its directories that were moved.
    pub moved: u64,
}
