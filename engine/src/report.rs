//! What each verb returns: the objects that `--json` prints. Their fields are a contract with scripts.

mod deploy;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::live::LiveNow;
use crate::release::ReleaseId;

pub use deploy::{ChangesReport, DeployReport, DeployState, MakingReport, Reused, Seconds, TrafficReport, TreeReport};

/// The result of `setup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The identity of the store.
    pub store: String,
    /// The directories that were made, relative to the deploy path; empty when everything stood.
    pub created: Vec<String>,
    /// What the user should know, each once.
    pub warnings: Vec<String>,
}

/// The state of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseState {
    /// `current` points at it.
    Live,
    /// Complete, and never switched to.
    Ready,
    /// It was live earlier.
    Earlier,
    /// Its record, manifest or tree is missing or damaged.
    Damaged,
}

/// One release, in `releases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseReport {
    /// Its name.
    pub id: ReleaseId,
    /// Its state.
    pub state: ReleaseState,
    /// When it last went live, Unix time in seconds.
    pub live_since: Option<u64>,
    /// When it was made, Unix time in seconds.
    pub created: u64,
    /// The commit it was made of.
    pub commit: Option<String>,
    /// Its entries other than directories.
    pub files: u64,
    /// The sum of the sizes of its files.
    pub bytes: u64,
    /// The bytes of objects that no other release names: what removing it would free.
    pub own_bytes: u64,
    /// Who made it, as `user@host`.
    pub who: String,
    /// The root hash of its manifest.
    pub manifest: String,
}

/// The result of `releases`, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasesReport {
    /// The releases.
    pub releases: Vec<ReleaseReport>,
    /// Directories in `releases/` that Cutover did not make.
    pub foreign: Vec<String>,
    /// What the user should know, each once.
    pub warnings: Vec<String>,
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// The user that deploys.
    pub who: String,
    /// The host that the deploy runs on.
    pub from: String,
    /// Since when, Unix time in seconds.
    pub since: u64,
    /// The agent's process on the server.
    pub pid: u32,
    /// The verb.
    pub verb: String,
}

/// The result of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The link to the live release, absolute.
    pub current_path: String,
    /// The live release.
    pub live: Option<ReleaseReport>,
    /// The release that the link leads to, where it is damaged or gone.
    pub broken: Option<ReleaseId>,
    /// Where a rollback would go.
    pub rollback: Option<ReleaseId>,
    /// Who holds the lock now.
    pub lock: Option<LockHolder>,
    /// How many releases stand.
    pub releases: u64,
    /// The objects in the store.
    pub store_objects: u64,
    /// The disk that they take, in bytes.
    pub store_bytes: u64,
    /// Bytes received by interrupted deploys, waiting to be used.
    pub staging_bytes: u64,
    /// The release that was given up and waits for the next deploy.
    pub spare: Option<SpareReport>,
    /// Bytes free to this user on that filesystem.
    pub free_bytes: u64,
    /// Inodes free on that filesystem; none where it does not count them.
    pub free_inodes: Option<u64>,
    /// The identity of the store.
    pub store: String,
    /// Directories in `releases/` that Cutover did not make.
    pub foreign: Vec<String>,
    /// What the user should know, each once.
    pub warnings: Vec<String>,
}

/// A release that waits for the next deploy to make another one of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpareReport {
    /// Which it was.
    pub release: ReleaseId,
    /// About the disk that it takes, in bytes: its directories, a block each, and the content that no other release has.
    pub disk_bytes: u64,
}

/// The result of `switch` and of `rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchReport {
    /// The release that is live now.
    pub release: ReleaseId,
    /// What was live before.
    pub previous: Option<ReleaseId>,
    /// Whether `current` was changed: false when the release was live already.
    pub switched: bool,
    /// What could not be written down of the switch.
    pub warnings: Vec<String>,
}

/// The result of `cleanup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupReport {
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// Releases removed.
    pub removed: Vec<ReleaseId>,
    /// Releases that are due and stay for now, with the reason.
    pub kept: Vec<KeptRelease>,
    /// Objects removed.
    pub objects_removed: u64,
    /// The disk that removing objects and interrupted uploads freed, in bytes.
    pub freed_bytes: u64,
    /// What could not be removed, and other things worth knowing.
    pub warnings: Vec<String>,
}

/// A release that retention would remove, and that stays for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRelease {
    /// The release.
    pub id: ReleaseId,
    /// `grace`, the process that lives in it, or where else it is mounted.
    pub reason: String,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the second has it.
    New,
    /// Both have it, with other content.
    Content,
    /// Both have it, with another mode.
    Mode,
    /// Both have it, and it is another kind of thing.
    Kind,
    /// Only the first has it.
    Removed,
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedPath {
    /// The path; what is not UTF-8 or not printable is escaped.
    pub path: String,
    /// How it differs.
    pub change: Change,
    /// Its size before, for files.
    pub bytes_before: Option<u64>,
    /// Its size after, for files.
    pub bytes_after: Option<u64>,
}

/// The result of `diff`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiffReport {
    /// The first side: a release, `live` or `source`.
    pub before: String,
    /// The second side.
    pub after: String,
    /// Paths only in the second.
    pub files_new: u64,
    /// Paths that differ.
    pub files_changed: u64,
    /// Paths only in the first.
    pub files_removed: u64,
    /// The paths, sorted, up to about a million.
    pub paths: Vec<ChangedPath>,
    /// Paths beyond them, which are counted and not listed.
    pub paths_left_out: u64,
    /// What the user should know, each once.
    pub warnings: Vec<String>,
}

/// A report that has the warnings of its verb.
pub(crate) trait Warned {
    /// Returns them.
    fn warnings(&mut self) -> &mut Vec<String>;
}

macro_rules! warned {
    ($($report:ty),*) => {
        $(impl Warned for $report {
            fn warnings(&mut self) -> &mut Vec<String> {
                &mut self.warnings
            }
        })*
    };
}

warned!(DeployReport, SetupReport, ReleasesReport, StatusReport, SwitchReport, CleanupReport, DiffReport);

/// A deploy, switch or rollback that failed, with what is live now.
#[derive(Debug)]
pub struct DeployFailure {
    /// What went wrong.
    pub error: Error,
    /// What is live.
    pub live: LiveNow,
}

impl<E: Into<Error>> From<E> for DeployFailure {
    fn from(error: E) -> DeployFailure {
        DeployFailure { error: error.into(), live: LiveNow::Unchanged }
    }
}
