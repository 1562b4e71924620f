//! What a deploy returns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::release::ReleaseId;

/// What a deploy came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeployState {
    /// The new release is live.
    Live,
    /// The new release is complete and was not switched to.
    Ready,
    /// What is live is what was to be deployed.
    Unchanged,
}

/// Seconds spent, by phase. Phases run at once, so they do not add up to the total.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Until the agent greeted.
    pub connect: f64,
    /// Walking and hashing the source.
    pub scan: f64,
    /// From the first byte of content until the server has the last.
    pub upload: f64,
    /// Making directories and links, on the server.
    pub assemble: f64,
    /// Making content durable and publishing it, on the server.
    pub sync: f64,
    /// Pointing `current` at the release, on the server.
    pub switch: f64,
    /// Retention and garbage collection, on the server.
    pub cleanup: f64,
    /// From the start until `current` was switched (or the answer, where nothing was).
    pub live: f64,
    /// From the start to the end.
    pub total: f64,
}

/// The result of `deploy`. Its parts are grouped by role here, and flat where it is printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeployReport {
    /// The release that was made, or the live one when nothing changed; none for a dry run that would make one.
    pub release: Option<ReleaseId>,
    /// What was live before.
    pub previous: Option<ReleaseId>,
    /// What it came to; for a dry run, what it would come to.
    pub state: DeployState,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// What was deployed.
    #[serde(flatten)]
    pub tree: TreeReport,
    /// How it differs from what was live.
    #[serde(flatten)]
    pub changes: ChangesReport,
    /// What crossed the wire.
    #[serde(flatten)]
    pub traffic: TrafficReport,
    /// What the server made it of.
    #[serde(flatten)]
    pub making: MakingReport,
    /// Releases that were removed.
    pub removed: Vec<ReleaseId>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Seconds by phase.
    pub seconds: Seconds,
}

/// What was deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TreeReport {
    /// The root hash of the manifest.
    pub manifest: String,
    /// The commit of the source.
    pub commit: Option<String>,
    /// Entries of the release other than directories.
    pub files: u64,
    /// The sum of the sizes of its files.
    pub bytes: u64,
}

/// How a release differs from the live one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesReport {
    /// Paths that the live release does not have.
    pub files_new: u64,
    /// Paths whose kind, content or mode differs.
    pub files_changed: u64,
    /// Paths that only the live release has.
    pub files_removed: u64,
}

/// What crossed the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TrafficReport {
    /// Bytes sent to the agent: frames, before SSH.
    pub sent_bytes: u64,
    /// Bytes received from the agent.
    pub received_bytes: u64,
    /// Times that the client waited for an answer of the agent before it could go on.
    pub round_trips: u64,
    /// Bytes of content that were sent, by the zstd level that they were packed at; what was sent as it is under 0.
    pub zstd_levels: BTreeMap<i32, u64>,
    /// Connections that content was sent over.
    pub connections: u64,
}

/// What the server made a release of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakingReport {
    /// Objects that were stored.
    pub objects_new: u64,
    /// Files that were linked.
    pub objects_linked: u64,
    /// The release that it was made of, if it was.
    pub reused: Option<Reused>,
    /// Why no release was reused, where one could have been.
    pub not_reused: Option<String>,
    /// Files that are copies and not links, by reason.
    pub copied: BTreeMap<String, u64>,
}

/// A release that was turned into a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reused {
    /// Which it was.
    pub release: ReleaseId,
    /// Files and symlinks of it that were kept.
    pub kept: u64,
    /// Names in it that were removed.
    pub removed: u64,
    /// Directories of it that were moved.
    pub moved: u64,
}
