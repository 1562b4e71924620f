//! The ids of errors: a word for each situation, which stays the same. A person looks it up, and a script relies on it.
//!
//! Situations with the same way out share an id. The list has those of the command too, as [`Kind`](super::Kind) has its
//! kinds.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident = $word:literal;)*) => {
        /// The id of an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ErrorId {
            $($(#[$doc])* $id,)*
        }

        impl ErrorId {
            /// All ids.
            pub const ALL: &'static [ErrorId] = &[$(ErrorId::$id,)*];

            /// Returns its word, such as `not-enough-space`.
            pub fn word(self) -> &'static str {
                match self {
                    $(ErrorId::$id => $word,)*
                }
            }
        }
    };
}

ids! {
    /// The command line makes no sense.
    Usage = "usage";
    /// The config has a mistake.
    Config = "config";
    /// Others could change the config.
    ConfigNotPrivate = "config-not-private";
    /// No target is named.
    NoTarget = "no-target";
    /// The config has no such stage, or several and none is named.
    Stage = "stage";
    /// A question cannot be asked.
    NoTerminal = "no-terminal";
    /// The user did not agree.
    Declined = "declined";
    /// A file that would be written exists.
    FileExists = "file-exists";
    /// A local file or stdout cannot be written.
    OutputFailed = "output-failed";
    /// The editor failed.
    EditorFailed = "editor-failed";
    /// The user interrupted the run.
    Interrupted = "interrupted";

    /// There is no source directory.
    SourceMissing = "source-missing";
    /// A file of the source cannot be read.
    SourceUnreadable = "source-unreadable";
    /// The source has a socket, a fifo or a device.
    SpecialFile = "special-file";
    /// The source is too large or too deep.
    SourceTooLarge = "source-too-large";
    /// A file changes during the deploy.
    FileChanging = "file-changing";
    /// Source and target lie within each other.
    SourceOverlapsTarget = "source-overlaps-target";
    /// There is no git repository.
    NoRepository = "no-repository";
    /// There is no such commit.
    NoCommit = "no-commit";
    /// A submodule is missing.
    NoSubmodule = "no-submodule";
    /// A filter of git is missing.
    FilterMissing = "filter-missing";
    /// Git could not check the commit out.
    CheckoutFailed = "checkout-failed";
    /// Git does not say which files it tracks.
    TrackedUnknown = "tracked-unknown";
    /// An ignore file cannot be used.
    IgnoreFile = "ignore-file";

    /// The name of the server does not resolve.
    HostUnresolved = "host-unresolved";
    /// The server does not answer.
    HostUnreachable = "host-unreachable";
    /// Something else than SSH listens.
    NotSsh = "not-ssh";
    /// The SSH connection failed.
    SshFailed = "ssh-failed";
    /// The connection was lost.
    ConnectionLost = "connection-lost";
    /// The host key is not known.
    HostKeyUnknown = "host-key-unknown";
    /// The host key is another one.
    HostKeyChanged = "host-key-changed";
    /// The host key was revoked.
    HostKeyRevoked = "host-key-revoked";
    /// The host key is not the pinned one.
    HostKeyNotPinned = "host-key-not-pinned";
    /// The server refused the login.
    LoginRefused = "login-refused";
    /// `ssh_config` cannot be used.
    SshConfig = "ssh-config";
    /// The system's `ssh` is needed.
    NeedsOpenssh = "needs-openssh";
    /// The login user has no shell that runs commands.
    NoShell = "no-shell";
    /// The agent's directory runs no programs.
    AgentNoexec = "agent-noexec";
    /// The server is another system.
    ForeignSystem = "foreign-system";
    /// The agent for the architecture of the server is not installed on this machine.
    AgentMissing = "agent-missing";
    /// The agent could not be copied.
    AgentNotCopied = "agent-not-copied";
    /// The server lacks a program.
    ProgramsMissing = "programs-missing";
    /// `sudo` does not run the agent.
    RunAs = "run-as";
    /// The agent did not answer.
    AgentSilent = "agent-silent";

    /// The deploy path has other content.
    DeployPathNotEmpty = "deploy-path-not-empty";
    /// Nothing was deployed yet.
    NothingDeployed = "nothing-deployed";
    /// `current` is no symlink.
    CurrentNotALink = "current-not-a-link";
    /// `current` leads to no release of the deploy path.
    CurrentLeadsElsewhere = "current-leads-elsewhere";
    /// `current_path` names another place.
    CurrentPathChanged = "current-path-changed";
    /// A directory belongs to another user.
    OtherOwner = "other-owner";
    /// Others may write to a directory.
    OthersMayWrite = "others-may-write";
    /// A symlink stands within the deploy path.
    SymlinkInside = "symlink-inside";
    /// Something is mounted within the deploy path.
    MountedInside = "mounted-inside";
    /// A deploy path lies within another one.
    DeployPathInAnother = "deploy-path-in-another";
    /// A part of the deploy path is on another filesystem.
    OtherFilesystem = "other-filesystem";
    /// A symlink leads to nothing.
    LinkLeadsNowhere = "link-leads-nowhere";
    /// A path is no directory.
    NotADirectory = "not-a-directory";
    /// The store has another format.
    StoreFormat = "store-format";
    /// There are no reflinks.
    NoReflinks = "no-reflinks";
    /// A path of `writable_dirs` is a file.
    WritableIsAFile = "writable-is-a-file";
    /// The group cannot be given.
    WritableGroup = "writable-group";

    /// A shared path does not exist.
    SharedMissing = "shared-missing";
    /// A path is in `shared/` and in the release.
    SharedConflict = "shared-conflict";
    /// A shared file is in the source.
    SharedInSource = "shared-in-source";
    /// A shared path appeared during the deploy.
    SharedAppeared = "shared-appeared";
    /// A shared file was changed meanwhile.
    SharedChanged = "shared-changed";
    /// A shared file belongs to another user.
    SharedOwner = "shared-owner";
    /// A shared path is no file, or too large a one.
    SharedNotAFile = "shared-not-a-file";

    /// Too little space is free.
    NotEnoughSpace = "not-enough-space";
    /// Too few inodes are free.
    NotEnoughInodes = "not-enough-inodes";
    /// A disk or a quota is full.
    DiskFull = "disk-full";
    /// This user may not do it.
    PermissionDenied = "permission-denied";
    /// The filesystem is mounted read-only.
    ReadOnly = "read-only";
    /// A file or directory is not there.
    NotFound = "not-found";
    /// A system call failed.
    SystemCallFailed = "system-call-failed";
    /// The user has too many processes.
    TooManyProcesses = "too-many-processes";

    /// There is a release of that name.
    ReleaseExists = "release-exists";
    /// There is no such release.
    ReleaseUnknown = "release-unknown";
    /// No release is of that commit, or several commits begin so.
    CommitOfNoRelease = "commit-of-no-release";
    /// There is no such run.
    RunUnknown = "run-unknown";
    /// No earlier release to go back to.
    NothingToRollBack = "nothing-to-roll-back";
    /// A rollback cannot go to the release.
    NotARollback = "not-a-rollback";
    /// All earlier releases are bad.
    AllReleasesBad = "all-releases-bad";
    /// The content of a removed release is gone.
    ContentGone = "content-gone";
    /// Migrations ran since.
    MigrationsRan = "migrations-ran";
    /// The pin would be over.
    PinIsOver = "pin-is-over";
    /// A removed release cannot be reused.
    ReleaseNotReused = "release-not-reused";

    /// Another run is at work.
    AnotherRun = "another-run";
    /// The command runs in a hook.
    InsideAHook = "inside-a-hook";
    /// A hook of a killed run lives on.
    HookStillRuns = "hook-still-runs";
    /// The holder of the lock cannot be ended.
    LockStuck = "lock-stuck";
    /// The other run cannot be interrupted.
    NotInterrupted = "not-interrupted";
    /// Another run interrupted this one.
    InterruptedByAnother = "interrupted-by-another";
    /// A person keeps deploys out.
    DeploysLocked = "deploys-locked";
    /// The lock was lost.
    LockLost = "lock-lost";

    /// A hook failed.
    HookFailed = "hook-failed";
    /// A hook could not be run.
    HookNotRun = "hook-not-run";
    /// OPcache was not reset.
    OpcacheNotReset = "opcache-not-reset";
    /// A hook removed its release.
    HookRemovedRelease = "hook-removed-release";
    /// The release was not confirmed.
    NotConfirmed = "not-confirmed";
    /// The runner ended.
    RunnerEnded = "runner-ended";
    /// A check failed.
    CheckFailed = "check-failed";
    /// The web server serves another release.
    NotServed = "not-served";
    /// The examination found errors.
    DeployWillFail = "deploy-will-fail";

    /// The store file is damaged.
    StoreDamaged = "store-damaged";
    /// A release is damaged.
    ReleaseDamaged = "release-damaged";
    /// A file of the store is damaged.
    FileDamaged = "file-damaged";
    /// A release was changed on the server.
    ReleaseEdited = "release-edited";
    /// A hook changed shared content.
    EditedByHook = "edited-by-hook";
    /// Content arrived damaged.
    ArrivedDamaged = "arrived-damaged";

    /// There is no site to adopt.
    SiteNotFound = "site-not-found";
    /// The site is adopted already.
    SiteIsAdopted = "site-is-adopted";
    /// The deploy path lies in the site.
    DeployPathInSite = "deploy-path-in-site";
    /// A mount point is in the way.
    SiteIsMounted = "site-is-mounted";
    /// The site is on another filesystem than its deploy path.
    SiteOnOtherFilesystem = "site-on-other-filesystem";
    /// The filesystem cannot exchange names.
    NoExchange = "no-exchange";
    /// The directory above the site does not let this user exchange it.
    SiteParentNotWritable = "site-parent-not-writable";
    /// This user may not move names out of the site.
    SiteNotWritable = "site-not-writable";
    /// This user may not read files of the site.
    SiteUnreadable = "site-unreadable";
    /// A path of the site cannot be shared.
    CannotShare = "cannot-share";
    /// The site and the source have different configuration.
    ConfigDiffers = "config-differs";
    /// The site keeps changing.
    SiteKeepsChanging = "site-keeps-changing";
    /// The web server could not read a release.
    WebServerLockedOut = "web-server-locked-out";
    /// A database was written to all the time.
    DatabaseBusy = "database-busy";
    /// A program was killed in a transaction on a database that moves.
    TransactionCutShort = "transaction-cut-short";
    /// A database cannot be locked.
    DatabaseNotLockable = "database-not-lockable";
    /// The owner of a database could not write at its new place.
    DatabaseNotWritable = "database-not-writable";
    /// Another tool is at work.
    ToolAtWork = "tool-at-work";
    /// Nothing was adopted.
    NotAdopted = "not-adopted";
    /// An adoption was begun and is not finished.
    AdoptionUnfinished = "adoption-unfinished";
    /// The deploy path is not free: it has another adoption, or a live release.
    OtherAdoption = "other-adoption";
    /// The adoption cannot be undone.
    CannotUndo = "cannot-undo";

    /// The two sides are of different versions.
    OtherVersion = "other-version";
    /// The other side broke the protocol.
    ProtocolBroken = "protocol-broken";
    /// A message is too long.
    MessageTooLong = "message-too-long";
    /// The manifest database cannot be used.
    ManifestDatabase = "manifest-database";
    /// A fault in Cutover.
    Bug = "bug";
}

impl fmt::Display for ErrorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl ErrorId {
    /// Returns the id of a failed system call, by its reason.
    pub(super) fn of_io(error: &std::io::Error) -> ErrorId {
        use std::io::ErrorKind as Is;
        match error.kind() {
            Is::PermissionDenied => ErrorId::PermissionDenied,
            Is::StorageFull | Is::QuotaExceeded => ErrorId::DiskFull,
            Is::ReadOnlyFilesystem => ErrorId::ReadOnly,
            Is::NotFound => ErrorId::NotFound,
            Is::NotADirectory => ErrorId::NotADirectory,
            // Of Cutover's calls, only the start of a process or a thread fails so.
            Is::WouldBlock => ErrorId::TooManyProcesses,
            _ => ErrorId::SystemCallFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_words_of_small_letters_and_hyphens() {
        let words: BTreeSet<&str> = ErrorId::ALL.iter().map(|id| id.word()).collect();
        assert_eq!(words.len(), ErrorId::ALL.len());
        for word in words {
            let parts = word.split('-');
            assert!(
                parts.clone().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase())),
                "{word}"
            );
        }
    }
}
