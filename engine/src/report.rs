//! The results of the verbs: the objects that `--json` prints. Their fields are a contract with scripts.

mod adopt;
mod deploy;
mod differences;
mod disk_use;
mod doctor;
mod hook_run;
mod lock;
mod preview;
mod release_state;
mod runs;
mod shared;
mod web;

use serde::{Deserialize, Serialize};

use crate::disk::Usage;
use crate::error::Error;
use crate::live::LiveNow;
use crate::manual_lock::ManualLock;
use crate::pin::Pin;
use crate::release::{Bad, ReleaseId};

pub use adopt::{AdoptReport, FoundKind, FoundPath, FoundSite, SurveyReport, UndoReport};
pub use shared::{SharedEntryReport, SharedKind, SharedListReport, SharedWriteReport};

pub use deploy::{
    ChangesReport, DeployReport, DeployState, MakingReport, ReuseReport, Seconds, SeededReport, TrafficReport,
    TreeReport,
};
pub use differences::{ComparisonReport, Difference, DifferenceKind, Differences, DiskDiffReport, DiskDifference};
pub use disk_use::{DiskUseReport, ReleaseUseReport, UsageReport};
pub use doctor::{CacheRemedy, DoctorReport, Examined, Finding, FindingId, Severity, Subject};

pub use hook_run::HookRunReport;
pub use lock::{AcquireReport, LockHolder, LockReport, UnlockReport};
pub use preview::{PreviewReport, SendReport, SizedPath, SizesReport, SpaceReport};
pub use release_state::{LinkState, ReleaseState};
pub use runs::{RunSummary, RunsReport};
pub use web::{WebAnswer, WebCheckReport};

/// The result of `setup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The identity of the store.
    pub store: String,
    /// The directories that were made, relative to the deploy path. Empty if all of them existed.
    pub created: Vec<String>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// A release, in `releases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseReport {
    /// The name.
    pub id: ReleaseId,
    /// The state.
    pub state: ReleaseState,
    /// The time at which it last went live, in Unix seconds.
    pub live_since: Option<u64>,
    /// The time at which it was made, in Unix seconds.
    pub created: u64,
    /// The commit of its source.
    pub commit: Option<String>,
    /// The branch of its commit, or the name by which that was asked for.
    pub branch: Option<String>,
    /// Whether its source had changes since the commit. None if that is unknown, or there is no commit.
    pub dirty: Option<bool>,
    /// The number of entries other than directories.
    pub files: u64,
    /// The sum of the sizes of its files, in bytes.
    pub bytes: u64,
    /// The bytes of objects that no other release names: removing the release would free them.
    pub own_bytes: u64,
    /// The person who made it, as `user@host`.
    pub who: String,
    /// The root hash of its manifest.
    pub manifest: String,
    /// The reason not to go back to it.
    pub bad: Option<Bad>,
    /// Its pin, while it holds.
    pub pinned: Option<Pin>,
    /// The migrations that ran for it.
    pub migrations: Vec<String>,
}

impl ReleaseReport {
    /// Returns the bytes of its branch, and of the texts in its marks.
    pub(crate) fn noted_bytes(&self) -> usize {
        let bad = self.bad.iter().map(|bad| bad.reason.len() + bad.by.len());
        let pinned = self.pinned.iter().map(|pin| pin.note.as_ref().map_or(0, String::len) + pin.by.len());
        let migrations = self.migrations.iter().map(|name| name.len() + size_of::<String>());
        bad.chain(pinned).chain(migrations).sum::<usize>() + self.branch.as_ref().map_or(0, String::len)
    }
}

/// A release, for an overview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSummary {
    /// The name.
    pub id: ReleaseId,
    /// The commit of its source.
    pub commit: Option<String>,
    /// The seconds since it was made, by the server's clock.
    pub age: u64,
    /// The person who made it, as `user@host`.
    pub who: String,
}

/// The result of `releases`, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasesReport {
    /// The releases.
    pub releases: Vec<ReleaseReport>,
    /// Directories in `releases/` that Cutover did not make.
    pub foreign: Vec<String>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// The trial of the live release, in `status`: the hooks after its switch, its checks, its confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    /// The release that a failure leads back to. None: the live release stays.
    pub back_to: Option<ReleaseId>,
    /// Whether the client must confirm the release.
    pub needs_confirmation: bool,
}

/// The result of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The deploy path, absolute.
    pub deploy_path: String,
    /// The link to the live release, absolute.
    pub current_path: String,
    /// What stands there.
    pub link: LinkState,
    /// The live release.
    pub live: Option<ReleaseReport>,
    /// The release that the link leads to, if it is damaged or missing.
    pub broken: Option<ReleaseId>,
    /// The release that a rollback would go to.
    pub rollback: Option<ReleaseId>,
    /// The release that the last rollback left, and that a return would go to.
    pub forward: Option<ReleaseId>,
    /// The trial of the live release, while it has not ended.
    pub trial: Option<TrialReport>,
    /// The holder of the lock.
    pub lock: Option<LockHolder>,
    /// The manual lock, which keeps deploys out.
    pub manual_lock: Option<ManualLock>,
    /// The number of existing releases.
    pub releases: u64,
    /// The number of objects in the store.
    pub store_objects: u64,
    /// The disk space of the objects, in bytes.
    pub store_bytes: u64,
    /// The bytes of interrupted deploys that the next deploy can use.
    pub staging_bytes: u64,
    /// The removed release that the next deploy can reuse.
    pub spare: Option<SpareReport>,
    /// The free bytes for this user on that filesystem.
    pub free_bytes: u64,
    /// The free inodes on that filesystem. None if it does not count them.
    pub free_inodes: Option<u64>,
    /// The identity of the store.
    pub store: String,
    /// Directories in `releases/` that Cutover did not make.
    pub foreign: Vec<String>,
    /// The differences of the releases from their manifests, if they were compared.
    pub comparison: Option<ComparisonReport>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// A removed release that the next deploy can turn into another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpareReport {
    /// The name that the release had.
    pub release: ReleaseId,
    /// About the disk space that it takes, in bytes: a block for each directory, and the content that no other release
    /// has.
    pub disk_bytes: u64,
}

/// The result of `switch` and of `rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchReport {
    /// The release that is live now.
    pub release: ReleaseId,
    /// The release that was live before.
    pub previous: Option<ReleaseId>,
    /// Whether `current` was changed: false if the release was live already.
    pub switched: bool,
    /// The release that was live before, with its origin.
    pub from: Option<ReleaseSummary>,
    /// The release that is live now, with its origin.
    pub to: ReleaseSummary,
    /// The differences from the manifests: of the release that is live now, and of the one that was live before.
    pub differences: Vec<Differences>,
    /// Paths in `shared/` that the release links to and that do not exist, parts of the record of the switch that
    /// could not be written, damaged releases whose record was removed, the reason of a bad release that is live now,
    /// and migrations that are not undone.
    pub warnings: Vec<String>,
}

/// The result of `pin` and of `unpin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinReport {
    /// The release.
    pub release: ReleaseId,
    /// Its pin. None after `unpin`.
    pub pinned: Option<Pin>,
    /// The pin that it had before.
    pub before: Option<Pin>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// The result of `cleanup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupReport {
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// The releases that were removed.
    pub removed: Vec<ReleaseId>,
    /// The releases that are due and stay for now, with the reason.
    pub kept: Vec<KeptRelease>,
    /// The number of objects that were removed.
    pub objects_removed: u64,
    /// The disk space that was freed, in bytes: of objects, of the directories and own files of releases, and of
    /// interrupted uploads.
    pub freed_bytes: u64,
    /// The inodes that were freed.
    pub freed_inodes: u64,
    /// The space of the adopted directory, if it was to be removed and there is one. It is part of what was freed.
    pub original: Option<UsageReport>,
    /// The number of names in removed releases that the user may not remove. The warnings name the first ones.
    pub left_names: u64,
    /// Warnings: failed removals, and other facts worth knowing.
    pub warnings: Vec<String>,
}

impl CleanupReport {
    /// Counts space that was freed.
    pub(crate) fn note_freed(&mut self, freed: Usage) {
        self.freed_bytes += freed.bytes;
        self.freed_inodes += freed.inodes;
    }
}

/// A release that is due for removal and stays for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRelease {
    /// The release.
    pub id: ReleaseId,
    /// `grace`, the process that lives in the release, or the other place where it is mounted.
    pub reason: String,
}

/// The way in which a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the second side has it.
    New,
    /// Both have it, with different content.
    Content,
    /// Both have it, with different modes.
    Mode,
    /// Both have it, as different kinds.
    Kind,
    /// The first side has its content at another path, which the second side does not have.
    Moved,
    /// Only the first side has it.
    Removed,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedPath {
    /// The path. Bytes that are not UTF-8 or not printable are escaped.
    pub path: String,
    /// The path before, of a file that moved.
    pub from: Option<String>,
    /// The way in which it differs.
    pub change: Change,
    /// The size before, for files.
    pub bytes_before: Option<u64>,
    /// The size after, for files.
    pub bytes_after: Option<u64>,
}

/// The result of `diff`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiffReport {
    /// The first side: a release, `live` or `source`.
    pub before: String,
    /// The second side.
    pub after: String,
    /// The number of paths that only the second side has.
    pub files_new: u64,
    /// The number of paths that differ.
    pub files_changed: u64,
    /// The number of paths that only the first side has.
    pub files_removed: u64,
    /// The number of files that moved. They count as neither new nor removed.
    pub files_moved: u64,
    /// The sizes of the new files.
    pub new: SizesReport,
    /// The sizes of the files that differ, on the second side.
    pub changed: SizesReport,
    /// The sizes of the files that only the first side has.
    pub gone: SizesReport,
    /// The sizes of the files that moved.
    pub moved: SizesReport,
    /// The paths, sorted, up to about a million.
    pub paths: Vec<ChangedPath>,
    /// The number of further paths, which are counted and not listed.
    pub paths_left_out: u64,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// A report with the warnings of its verb.
pub(crate) trait HasWarnings {
    /// Returns the warnings.
    fn warnings(&mut self) -> &mut Vec<String>;
}

macro_rules! has_warnings {
    ($($report:ty),* $(,)?) => {
        $(impl HasWarnings for $report {
            fn warnings(&mut self) -> &mut Vec<String> {
                &mut self.warnings
            }
        })*
    };
}

has_warnings!(
    SurveyReport,
    AdoptReport,
    UndoReport,
    DeployReport,
    SetupReport,
    ReleasesReport,
    RunsReport,
    HookRunReport,
    StatusReport,
    SwitchReport,
    PinReport,
    CleanupReport,
    DiskUseReport,
    DiskDiffReport,
    DiffReport,
    DoctorReport,
    LockReport,
    AcquireReport,
    UnlockReport,
    SharedListReport,
    SharedWriteReport,
    WebCheckReport
);

/// A deploy, switch or rollback that failed, with what is live now.
#[derive(Debug)]
pub struct DeployFailure {
    /// The error.
    pub error: Error,
    /// The state that is live.
    pub live: LiveNow,
}

impl<E: Into<Error>> From<E> for DeployFailure {
    fn from(error: E) -> DeployFailure {
        DeployFailure { error: error.into(), live: LiveNow::Unchanged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_told_with_all_that_is_known_of_it() {
        let check = |holder: &LockHolder, expected: &str| assert_eq!(holder.to_string(), expected);
        let mut holder = LockHolder {
            who: "anna".into(),
            from: "laptop".into(),
            since: 1_774_447_200,
            pid: 4711,
            verb: "deploy".into(),
            commit: None,
            job: None,
            hook: None,
        };
        check(&holder, "anna@laptop since 2026-03-25 14:00:00Z: deploy (process 4711)");
        holder.commit = Some("0123456789abcdef".into());
        holder.job = Some("https://ci.example.com/7".into());
        holder.hook = Some("migrate".into());
        let all = "anna@laptop since 2026-03-25 14:00:00Z: deploy of 0123456789ab (process 4711), in the hook `migrate`, \
                   https://ci.example.com/7";
        check(&holder, all);
        holder.commit = Some("ä".repeat(9));
        holder.since = u64::MAX;
        assert!(holder.to_string().starts_with("anna@laptop since second 18446744073709551615: deploy of äää"));
    }
}
