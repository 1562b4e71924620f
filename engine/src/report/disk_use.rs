//! The result of `du`.

use serde::{Deserialize, Serialize};

use crate::disk::Usage;
use crate::release::ReleaseId;

use super::release_state::ReleaseState;

/// Bytes and inodes on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// Bytes.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

impl From<Usage> for UsageReport {
    fn from(usage: Usage) -> UsageReport {
        UsageReport { bytes: usage.bytes, inodes: usage.inodes }
    }
}

/// The space that a release takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseUseReport {
    /// The release.
    pub id: ReleaseId,
    /// Its state.
    pub state: ReleaseState,
    /// The number of entries other than directories.
    pub files: u64,
    /// The sum of the sizes of its files, in bytes.
    pub bytes: u64,
    /// The part that removing it would free: its directories, its own files, and objects that no other release names.
    pub own: UsageReport,
    /// The objects that other releases name too.
    pub shared: UsageReport,
}

/// The space that a deploy path takes, by its parts. They add up to `total`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUseReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The releases, those that would free the most first.
    pub releases: Vec<ReleaseUseReport>,
    /// The objects, which all releases share, with their directories.
    pub store: UsageReport,
    /// The number of objects.
    pub objects: u64,
    /// The directories and the own files of all releases.
    pub trees: UsageReport,
    /// `shared/`.
    pub shared: UsageReport,
    /// `cache/`.
    pub cache: UsageReport,
    /// Content of interrupted deploys.
    pub staging: UsageReport,
    /// Removed releases that are not deleted yet, and the spare.
    pub trash: UsageReport,
    /// The release that the next deploy can turn into a new one. It is part of `trash`.
    pub spare: Option<ReleaseId>,
    /// Records and manifests of releases, those of removed ones too.
    pub records: UsageReport,
    /// The removed releases that a rollback makes again, if all their objects still exist.
    pub removed: Vec<ReleaseId>,
    /// Names in `releases/` that Cutover did not make.
    pub foreign: UsageReport,
    /// The adopted directory.
    pub original: UsageReport,
    /// Everything else: the agent, journals, the log, and the space that is set apart for a full disk.
    pub other: UsageReport,
    /// All of it.
    pub total: UsageReport,
    /// The free bytes for this user on that filesystem.
    pub free_bytes: u64,
    /// The free inodes on that filesystem. None if it does not count them.
    pub free_inodes: Option<u64>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}
