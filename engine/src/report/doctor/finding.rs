//! The findings of an examination. Each has an id, which stays, a severity and a subject.
//!
//! No text of a finding is a command, or a part of one that is for the machine of the person who reads it: the server may be
//! hostile. A field has a description where its name does not say enough. Paths are texts with escapes, as in hints: they are shown, and must be UTF-8 to cross the wire.

use serde::{Deserialize, Serialize};

use super::subject::{CacheRemedy, Severity, Subject};
use crate::error::{Refusal, Writers};
use crate::manual_lock::ManualLock;
use crate::release::ReleaseId;
use crate::report::{Differences, LockHolder};

/// The id of a finding, with its severity and its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingId {
    /// The id, such as `others-may-write`.
    pub id: &'static str,
    /// The severity.
    pub severity: Severity,
    /// The subject.
    pub subject: Subject,
}

macro_rules! findings {
    ($(
        $(#[$doc:meta])*
        $finding:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? }
        = $id:literal, $severity:ident, $subject:ident;
    )*) => {
        /// A finding.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Finding {
            $($(#[$doc])* $finding {
                $(
                    #[doc = concat!("The `", stringify!($field), "`.")]
                    $(#[$field_doc])*
                    $field: $kind,
                )*
            },)*
        }

        impl Finding {
            /// The ids of all findings.
            pub const ALL: &'static [FindingId] = &[
                $(FindingId { id: $id, severity: Severity::$severity, subject: Subject::$subject },)*
            ];

            /// Returns the id.
            pub fn id(&self) -> FindingId {
                match self {
                    $(Finding::$finding { .. } => {
                        FindingId { id: $id, severity: Severity::$severity, subject: Subject::$subject }
                    })*
                }
            }
        }
    };
}

findings! {
    /// The login prints something before the command that it runs.
    LoginNoise {
        host: String,
        /// The first line.
        text: String,
    } = "login-noise", Note, Login;

    /// A warning about the source, which a deploy gives too.
    SourceWarning { text: String } = "source-warning", Note, Source;

    /// The source cannot be deployed.
    SourceRefused { refusal: Refusal } = "source-refused", Error, Source;

    /// The clocks differ.
    ClockDiffers {
        /// The seconds by which the server is ahead of this machine.
        ahead: i64,
    } = "clock-differs", Warning, Clock;

    /// The user may have few more processes and threads.
    FewProcesses {
        user: String,
        /// The number that it can still start.
        left: u64,
    } = "few-processes", Warning, Limits;

    /// A process of the user may open few files.
    FewFiles { user: String, limit: u64 } = "few-files", Warning, Limits;

    /// The login shell sets a umask that hides new files from others.
    Umask {
        user: String, umask: u32,
        /// The file of the user that sets it, if it was found.
        file: Option<String>,
    } = "umask", Note, Limits;

    /// The filesystem of the agent's directory runs no programs.
    AgentNoexec { path: String, user: String } = "agent-noexec", Error, AgentPath;

    /// The user cannot make or use the agent's directory.
    AgentPathNotWritable { path: String, user: String } = "agent-path-not-writable", Error, AgentPath;

    /// The deploy path does not exist, and the user cannot make it.
    DeployPathNotCreatable {
        path: String,
        /// The nearest directory that exists.
        above: String,
        user: String,
    } = "deploy-path-not-creatable", Error, DeployPath;

    /// The user cannot enter a directory above the deploy path.
    PathNotEnterable { path: String, user: String } = "path-not-enterable", Error, DeployPath;

    /// The user cannot write to a directory of the deploy path.
    PathNotWritable {
        path: String, user: String,
        /// Its owner, if it is another user.
        owner: Option<String>,
        /// Whether the user may get it: it is empty, or in a deploy path of the user.
        is_to_give: bool,
    } = "path-not-writable", Error, DeployPath;

    /// A directory may not be changed by anybody.
    Immutable { path: String } = "immutable", Error, DeployPath;

    /// The filesystem is mounted read-only.
    ReadOnly {
        path: String,
        /// The place where it is mounted.
        mount: String,
    } = "read-only", Error, DeployPath;

    /// Others may write to a directory that leads to the deployed files.
    OthersMayWrite {
        path: String, by: Writers,
        /// Whether the user owns the directory.
        is_own: bool,
    } = "others-may-write", Error, DeployPath;

    /// A directory that leads to the deployed files belongs to another user.
    OtherOwner {
        path: String, owner: String, user: String,
        /// Whether it is the deploy path itself, and empty.
        is_empty: bool,
    } = "other-owner", Error, DeployPath;

    /// The deploy path has content that Cutover did not make.
    DeployPathNotEmpty {
        path: String,
        /// One name of that content.
        found: String,
    } = "deploy-path-not-empty", Error, DeployPath;

    /// A deploy would refuse the deploy path for another reason.
    Refused { refusal: Refusal } = "refused", Error, DeployPath;

    /// The store file is missing or damaged.
    StoreDamaged { refusal: Refusal } = "store-damaged", Warning, DeployPath;

    /// Directories of the deploy path are missing.
    PartsMissing {
        path: String,
        /// Their paths in the deploy path.
        parts: Vec<String>,
    } = "parts-missing", Note, DeployPath;

    /// The filesystem has no hardlinks.
    NoHardlinks { path: String, reason: String } = "no-hardlinks", Error, Filesystem;

    /// The filesystem has no symlinks.
    NoSymlinks { path: String, reason: String } = "no-symlinks", Error, Filesystem;

    /// The filesystem has no reflinks, and the configuration asks for them.
    NoReflinks { path: String } = "no-reflinks", Error, Filesystem;

    /// A part of the deploy path is on another filesystem or mount.
    OtherMount { path: String, deploy_path: String } = "other-mount", Error, Filesystem;

    /// A trial directory could not be made.
    TrialFailed { path: String, user: String, reason: String } = "trial-failed", Error, Filesystem;

    /// The disk has no space for anything.
    DiskFull { path: String } = "disk-full", Error, Space;

    /// The user has used up its quota.
    QuotaReached { path: String, user: String } = "quota-reached", Error, Space;

    /// The first deploy cannot fit.
    NotEnoughSpace {
        /// The bytes of its files.
        needed: u64, free: u64 } = "not-enough-space", Error, Space;

    /// A deploy of new content alone would have too little space.
    SpaceTight {
        /// About so many bytes are needed.
        needed: u64,
        free: u64,
    } = "space-tight", Warning, Space;

    /// The first deploy cannot fit.
    NotEnoughInodes {
        /// The number of its different files, and of its directories and symlinks.
        needed: u64, free: u64 } = "not-enough-inodes", Error, Space;

    /// A deploy of new content alone would have too few inodes.
    InodesTight {
        /// About so many inodes are needed.
        needed: u64,
        free: u64,
    } = "inodes-tight", Warning, Space;

    /// `current` is a directory or a file.
    CurrentNotALink {
        path: String,
        /// Whether it is a directory.
        is_directory: bool,
    } = "current-not-a-link", Error, Current;

    /// An adoption did not end.
    AdoptionUnfinished { site: String } = "adoption-unfinished", Error, Current;

    /// `current` leads to something else than a release.
    CurrentLeadsElsewhere { path: String, target: String } = "current-leads-elsewhere", Error, Current;

    /// The link is missing, though releases were live.
    CurrentMissing {
        path: String,
        /// The release that a rollback goes to.
        release: ReleaseId,
    } = "current-missing", Warning, Current;

    /// `current` leads to a release that is gone.
    CurrentDangling {
        path: String, release: ReleaseId,
        /// The release that a rollback goes to.
        rollback: Option<ReleaseId>,
    } = "current-dangling", Warning, Current;

    /// `current_path` is another one than before.
    CurrentPathChanged { refusal: Refusal } = "current-path-changed", Error, Current;

    /// The user cannot write to the directory of the link.
    CurrentNotWritable {
        path: String, user: String,
        /// Whether it is missing.
        is_missing: bool,
    } = "current-not-writable", Error, Current;

    /// A temporary link of an interrupted switch is left.
    LinkLeft { path: String } = "link-left", Note, Current;

    /// Another run has the lock.
    AnotherRun { holder: LockHolder } = "another-run", Warning, Lock;

    /// A hook of a run that was killed still runs.
    HookStillRuns { holder: LockHolder, hook: String } = "hook-still-runs", Error, Lock;

    /// A person keeps deploys out.
    DeploysLocked { lock: ManualLock } = "deploys-locked", Error, Lock;

    /// A run was killed while it had the lock.
    LockLeft { holder: LockHolder } = "lock-left", Note, Lock;

    /// The trial of the live release did not end.
    TrialOpen {
        release: ReleaseId,
        /// The release that the next run switches back to.
        back_to: Option<ReleaseId>,
    } = "trial-open", Warning, Lock;

    /// Interrupted deploys left content.
    StagingLeft { path: String, bytes: u64 } = "staging-left", Note, Leftovers;

    /// A removed release cannot be deleted.
    TrashStuck {
        /// A directory in it that the user cannot empty.
        path: String,
        owner: String, user: String,
    } = "trash-stuck", Warning, Leftovers;

    /// A directory in `releases/` that Cutover did not make.
    ReleaseForeign { path: String } = "release-foreign", Note, Releases;

    /// A release is damaged.
    ReleaseDamaged {
        release: ReleaseId, path: String, reason: String, is_live: bool,
        /// Whether only its record is left, which the next cleanup removes.
        is_remnant: bool,
    } = "release-damaged", Warning, Releases;

    /// Releases differ from what was deployed.
    ReleaseEdited {
        differences: Differences,
        /// Whether the live release is among them.
        is_live: bool,
        /// Whether names were added and nothing else was changed.
        is_only_added: bool,
    } = "release-edited", Warning, Trees;

    /// A release has a directory that the user will not be able to remove.
    ReleaseNotRemovable {
        release: ReleaseId, path: String, owner: String, user: String,
    } = "release-not-removable", Warning, Trees;

    /// An object has other content than its name says.
    ObjectDamaged {
        path: String,
        /// A file of a release that has it, if one has.
        file: Option<String>,
        /// Whether that release is live.
        is_live: bool,
        /// The damaged objects beside this one.
        further: u64,
    } = "object-damaged", Warning, Content;

    /// An object belongs to another user, so it cannot be linked.
    ObjectOtherOwner {
        path: String, owner: String, user: String,
        /// Whether the kernel protects hardlinks.
        is_protected: bool,
    } = "object-other-owner", Warning, Content;

    /// A process lives in a release that is not live.
    ProcessInOldRelease { name: String, pid: u32, release: ReleaseId } = "process-in-old-release", Warning, Processes;

    /// A cache of the application names another release.
    OldPathInCache {
        file: String,
        /// The release that it names.
        release: ReleaseId,
        /// What makes the cache anew, in the live release. None: its framework is not known.
        remedy: Option<CacheRemedy>,
        /// The files beside this one.
        further: u64,
    } = "old-path-in-cache", Warning, Caches;

    /// A declared path of `shared/` is missing.
    SharedMissing {
        path: String,
        /// The whole path.
        whole: String,
        /// Whether it is a directory.
        is_directory: bool,
    } = "shared-missing", Error, Shared;

    /// The live release links to a path in `shared/` that is gone.
    SharedLinkBroken { release: ReleaseId, whole: String } = "shared-link-broken", Warning, Shared;

    /// A user may write to a SQLite database and make no files beside it.
    DatabaseNotWritable {
        user: String, path: String,
        /// The directory of the database.
        directory: String,
        /// Whether that is `shared/` itself.
        is_top: bool,
        /// The databases beside this one.
        further: u64,
    } = "database-not-writable", Warning, Shared;

    /// There is no such user.
    WebUserUnknown { user: String } = "web-user-unknown", Warning, WebUsers;

    /// A user of the web server cannot enter a directory above the release.
    WebUserCannotEnter { user: String, path: String } = "web-user-cannot-enter", Warning, WebUsers;

    /// A user of the web server cannot read a file.
    WebUserCannotRead {
        user: String, path: String,
        /// The files and directories beside this one.
        further: u64,
        /// Whether it is in `shared/`, and not in a release.
        is_shared: bool,
    } = "web-user-cannot-read", Warning, WebUsers;

    /// A user of the web server cannot write to a directory.
    WebUserCannotWrite {
        user: String, path: String,
        /// Whether it is in `shared/`, and not in a release.
        is_shared: bool,
    } = "web-user-cannot-write", Warning, WebUsers;

    /// SELinux restricts programs.
    Selinux {
        /// The context of the live release, or of the deploy path.
        context: Option<String>,
        path: String,
    } = "selinux", Note, SecurityModules;

    /// AppArmor restricts a web server.
    Apparmor { name: String, profile: String, path: String } = "apparmor", Note, SecurityModules;

    /// A hook names a program that is not there.
    ProgramMissing {
        hook: String, program: String, user: String,
        /// Whether a login shell finds it.
        is_in_login_shell: bool,
    } = "program-missing", Warning, Programs;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_one_of_its_own_and_in_kebab_case() {
        let mut ids: Vec<&str> = Finding::ALL.iter().map(|known| known.id).collect();
        let is_kebab = |id: &&str| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(ids.iter().all(is_kebab), "{ids:?}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Finding::ALL.len());
    }
}
