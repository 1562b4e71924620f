//! The next step after an error, as data: the facts, without the words of any program.
//!
//! The engine knows no flag, verb or file name of the command. So an error has a `Hint`, which crosses the wire with
//! a refusal, and the command words it (`cli/src/hint.rs`). There is one variant for each step, grouped like the
//! errors.
//!
//! Paths are texts with escapes, because a hint is shown and must be UTF-8 to cross the wire. A hint that is too long
//! for a report is left out, not cut off: half a command may do harm.

mod adopt;
mod hook;
mod server;

use std::io;

use serde::{Deserialize, Serialize};

use super::id::ErrorId;
use super::shortage::SpaceRemedy;
use super::writers::Writers;
use crate::release::ReleaseId;

pub use adopt::{AdoptHint, RightsHint};
pub use hook::{CheckHint, FpmRemedy, HookHint};
pub use server::{LoginHint, ReachHint, StartHint};

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hint {
    /// At the source.
    Source(SourceHint),
    /// At the deploy path.
    Site(SiteHint),
    /// About a site to adopt.
    Adopt(AdoptHint),
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
    /// Tells whether a server may name the step. It has no reason to name a step at the machine of the client. And no text of a
    /// server may be an option of a command.
    pub(super) fn may_be_of_server(&self) -> bool {
        use SourceHint as Of;
        let is_word = |text: &str| !text.starts_with('-');
        match self {
            Hint::Reach(_) | Hint::Login(_) | Hint::Start(_) | Hint::MoveState { .. } => false,
            Hint::Source(
                Of::FetchCommit { .. }
                | Of::FetchSubmodules { .. }
                | Of::ConfigureFilter { .. }
                | Of::MendCheckout { .. },
            ) => false,
            Hint::Hook(HookHint::RunHook { name } | HookHint::RunWithKeys { name }) => is_word(name),
            Hint::Hook(HookHint::MendFpm { alone: Some(name), .. }) => is_word(name),
            Hint::Release(ReleaseHint::DeployCommit { commit: Some(commit) }) => is_word(commit),
            Hint::Check(CheckHint::SeeAnswer { url }) => is_word(url),
            _ => true,
        }
    }

    /// Returns the next step after a failed system call.
    pub(super) fn of_io(error: &io::Error) -> Option<Hint> {
        match ErrorId::of_io(error) {
            ErrorId::PermissionDenied => Some(Hint::Site(SiteHint::Own)),
            ErrorId::DiskFull => Some(Hint::Site(SiteHint::FreeSpace)),
            ErrorId::ReadOnly => Some(Hint::Site(SiteHint::MountedReadOnly)),
            ErrorId::TooManyProcesses => Some(Hint::FreeThreads),
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
    /// Make the release live again that was live last, or deploy.
    MakeLive,
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
    /// Free space on the server.
    FreeSpaceOnServer(SpaceRemedy),
    /// Free inodes on the server.
    FreeInodesOnServer(SpaceRemedy),
    /// Free space on the full disk.
    FreeSpace,
    /// Give the directory to the user.
    Own,
    /// Look for an error of the disk, and mount the filesystem for writing.
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
