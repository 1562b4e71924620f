//! The next step after an error, as data: the facts, without the words of any program.
//!
//! The engine knows no flag, verb or file name of the command. So an error has a `Hint`, which crosses the wire with
//! a refusal, and the command words it (`cli/src/hint.rs`). There is one variant for each step, grouped like the
//! errors.
//!
//! Paths are texts with escapes, because a hint is shown and must be UTF-8 to cross the wire. A hint that is too long
//! for a report is left out, not cut off: half a command may do harm.

mod server;

use std::io;

use serde::{Deserialize, Serialize};

use super::writers::Writers;
use crate::release::ReleaseId;

pub use server::{LoginHint, ReachHint, StartHint};

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hint {
    /// At the source.
    Source(SourceHint),
    /// At the deploy path.
    Site(SiteHint),
    /// About releases, and other runs.
    Release(ReleaseHint),
    /// About damage.
    Damage(DamageHint),
    /// To reach the server.
    Reach(ReachHint),
    /// To log in.
    Login(LoginHint),
    /// To start the agent on the server.
    Start(StartHint),
    /// About hooks.
    Hook(HookHint),
    /// About a check.
    Check(CheckHint),
    /// Run the command again.
    RunAgain,
    /// Use the same version on both sides.
    SameVersion,
    /// Move long commands into scripts, or configure fewer shared paths and patterns.
    ShortenConfig,
    /// End other processes of the user, or raise the limit of threads.
    FreeThreads,
    /// Use another directory for the manifest database, or remove it.
    MoveState {
        /// The database.
        path: String,
    },
    /// Report a fault.
    Report,
}

impl Hint {
    /// Returns the next step after a failed system call.
    pub(super) fn of_io(error: &io::Error) -> Option<Hint> {
        use io::ErrorKind as Is;
        match error.kind() {
            Is::PermissionDenied => Some(Hint::Site(SiteHint::Own)),
            Is::StorageFull | Is::QuotaExceeded => Some(Hint::Site(SiteHint::FreeSpace)),
            Is::ReadOnlyFilesystem => Some(Hint::Site(SiteHint::MountedReadOnly)),
            // Of Cutover's calls, only the start of a process or a thread fails so.
            Is::WouldBlock => Some(Hint::FreeThreads),
            _ => None,
        }
    }
}

/// The next step at the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceHint {
    /// Name the directory to deploy.
    NameSource,
    /// Make the path readable, or exclude it.
    MakeReadable,
    /// Exclude the path.
    LeaveOut {
        /// The pattern that excludes it.
        pattern: String,
    },
    /// Exclude a directory above the path.
    LeaveOutAbove,
    /// Exclude everything that the server does not need.
    LeaveOutMore,
    /// Deploy when no process writes to the file, or exclude it.
    LetRest {
        /// The pattern that excludes it.
        pattern: String,
    },
    /// Deploy again, which reads all files again; then check this machine.
    DeployAgain,
    /// Deploy to a path outside the source, or exclude the target.
    DeployElsewhere,
    /// Replace it by a file with patterns.
    PutPatterns,
    /// Save the file as UTF-8.
    SaveAsUtf8,
    /// Name a source in a checkout or clone, or deploy the directory as it is.
    NameRepository,
    /// Name the commit otherwise, or fetch it.
    FetchCommit {
        /// The repository.
        repository: String,
        /// A name that may be meant.
        near: Option<String>,
        /// Whether the repository lacks older commits.
        is_shallow: bool,
    },
    /// Fetch the submodules.
    FetchSubmodules {
        /// The repository.
        repository: String,
    },
    /// Put the filter into the user's own configuration of git.
    ConfigureFilter {
        /// The filter.
        name: String,
    },
    /// Mend the reason, for example free some space; the directory can be removed.
    MendCheckout {
        /// The directory.
        directory: String,
    },
    /// Let git answer, or deploy ignored files too.
    LetGitAnswer,
}

/// The next step at the deploy path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiteHint {
    /// Choose a deploy path that is empty.
    ChooseEmptyPath,
    /// Deploy first, or check the path.
    DeployFirst,
    /// Make the directories first, or check the path.
    SetUpFirst,
    /// Leave the directory or file at the link's place, which may be served, and deploy to another path.
    LeaveServed {
        /// The directory or file.
        path: String,
    },
    /// Leave the link, which may be served through, and deploy to another path.
    LeaveServedLink {
        /// The link.
        path: String,
    },
    /// Keep the configured place of the link until nothing is served through the old link.
    KeepCurrentPath {
        /// The existing link.
        known: String,
    },
    /// Log in as the owner, or choose another path.
    LogInAsOwner {
        /// The owner.
        owner: String,
    },
    /// Change a shared file as its owner.
    EditAsOwner {
        /// The owner.
        owner: String,
    },
    /// Take write permission from others.
    TakeRight {
        /// The directory.
        path: String,
        /// The others.
        by: Writers,
    },
    /// Replace a symlink by a directory.
    ReplaceByDirectory {
        /// The symlink.
        path: String,
    },
    /// Find out which mount is there, and unmount it.
    Unmount,
    /// Mount `/proc` on the server.
    MountProc,
    /// Choose a deploy path beside the existing one.
    ChooseBeside,
    /// Keep the deploy path on one filesystem.
    KeepOneFilesystem,
    /// Mount the disk, or make the directory that a link points to.
    MountOrMake {
        /// The directory.
        target: String,
    },
    /// Make a shared directory behind a symlink.
    MakeShared {
        /// The directory.
        path: String,
    },
    /// Move a path away.
    MoveAway {
        /// The path.
        path: String,
    },
    /// Put the shared file there.
    PutShared {
        /// The file.
        path: String,
    },
    /// Exclude a shared path from the release.
    LeaveOutShared {
        /// The path.
        path: String,
    },
    /// Remove a path from the source, or from `shared/`.
    RemoveOne {
        /// The path.
        path: String,
    },
    /// Look at the new content, and write again.
    LookAgain,
    /// Name a file, or copy the path with another program.
    CopyByHand,
    /// Name a directory of the release.
    NameWritable,
    /// Make a group, or name another.
    MakeGroup {
        /// The group.
        group: String,
    },
    /// Put the user into the group.
    JoinGroup {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
    /// Deploy again: the next run takes what is there.
    DeployOnceMore,
    /// Free space or inodes on the server.
    FreeOnServer,
    /// Free space on the full disk.
    FreeSpace,
    /// Give the directory to the user.
    Own,
    /// The filesystem is mounted read-only.
    MountedReadOnly,
    /// Use the version that made the store.
    UseOtherVersion,
    /// Use hardlinks.
    UseHardlinks,
}

/// The next step with releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReleaseHint {
    /// Look at the list of runs.
    SeeRuns,
    /// Deploy first: runs that change something have a journal.
    DeployFirst,
    /// Wait until another deploy is done.
    Wait,
    /// Wait longer, or see what the other run does.
    WaitLonger,
    /// Run the command after the deploy, not in one of its hooks.
    LeaveHook,
    /// Wait for the end of a hook, or end it on the server.
    WaitForHook {
        /// Its process, which leads a group.
        pid: u32,
    },
    /// See which process has the lock, and end it as its user.
    SeeHolder {
        /// The directory that it has locked.
        path: String,
    },
    /// Deploy again, once the run that interrupted this one is done.
    DeployAgain,
    /// Remove the manual lock when nobody needs it.
    Unlock,
    /// Check the state of the server, and run the command when no other run is at work.
    SeeStatus,
    /// List the releases.
    SeeReleases,
    /// Switch to any release instead.
    SwitchToAny,
    /// Return to the release that the last rollback left.
    Return {
        /// The release.
        left: ReleaseId,
    },
    /// Name a bad release, to go back to it all the same.
    NameBad,
    /// Deploy the source of a removed release again.
    DeployCommit {
        /// Its commit, if it is known.
        commit: Option<String>,
    },
    /// Name more digits of the commit.
    NameMoreDigits,
    /// Check that the older release works with what the migrations made, and accept that.
    AcceptMigrations,
    /// Name a later day.
    NameLaterDay,
    /// Choose another name for the release, or none.
    ChooseName,
}

/// The next step after damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DamageHint {
    /// Write the store file again.
    WriteStoreAnew,
    /// Switch to another release, or deploy again.
    UseOtherRelease,
    /// Move a file away, and deploy again.
    MoveAway {
        /// The file.
        path: String,
    },
    /// Deploy the source of the release again, or insist on the release as it is.
    LeaveEdited {
        /// The release.
        id: ReleaseId,
    },
    /// List the files as private copies, or use reflinks.
    KeepHooksFromEditing,
    /// Deploy again; then check the server.
    CheckServer,
}

/// The next step after a failed hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookHint {
    /// Read the output of the hook, and mend its command.
    SeeOutput,
    /// Mend the hook, and run it alone: the release is live.
    RunHook {
        /// The hook.
        name: String,
    },
    /// Mend the place where the hook runs, or its shell.
    MendKeys,
    /// The same, and run it alone: the release is live.
    RunWithKeys {
        /// The hook.
        name: String,
    },
    /// Find who ended the process, and run the hooks that did not run: the release is live.
    RunRest,
    /// Take the removal out of the hook, and deploy again.
    KeepRelease,
    /// Allow more time, or look for the reason why the client could not confirm.
    AllowMoreTime,
    /// Read the journal, and find who ended the process.
    SeeJournal,
}

/// The next step after a failed check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckHint {
    /// Let the client ask, or ask without TLS.
    AskFromClient,
    /// Make the authority of the certificate known.
    TrustAuthority,
    /// See the answer with another program.
    SeeAnswer {
        /// The address.
        url: String,
    },
}
