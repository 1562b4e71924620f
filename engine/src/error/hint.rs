//! What to do next, as data: the facts, without the words of any program.
//!
//! The engine knows no flag and no verb of the command, nor the names of its files. So an error has a `Hint`, which crosses
//! the wire with a refusal, and the command makes a sentence of it (`cli/src/hint.rs`). There is one variant for each thing
//! to do, grouped as the errors are.
//!
//! Paths are texts, with escapes where they need them: they are shown, and must be UTF-8 to cross the wire. A hint that is
//! longer than a report takes is left out and not cut off: half a command may do harm.

use std::io;

use serde::{Deserialize, Serialize};

use super::writers::Writers;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hint {
    /// At the source.
    Source(SourceHint),
    /// At the deploy path.
    Site(SiteHint),
    /// About releases, and about who else is at work.
    Release(ReleaseHint),
    /// About what is damaged.
    Damage(DamageHint),
    /// To reach the server.
    Reach(ReachHint),
    /// To log in.
    Login(LoginHint),
    /// To start the agent on the server.
    Start(StartHint),
    /// Run the command again.
    RunAgain,
    /// Use the same version on both sides.
    SameVersion,
    /// Configure fewer shared paths and patterns, or shorter ones.
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
    /// Returns what to do where a system call failed.
    pub(super) fn of_io(error: &io::Error) -> Option<Hint> {
        use io::ErrorKind as Is;
        match error.kind() {
            Is::PermissionDenied => Some(Hint::Site(SiteHint::Own)),
            Is::StorageFull | Is::QuotaExceeded => Some(Hint::Site(SiteHint::FreeSpace)),
            Is::ReadOnlyFilesystem => Some(Hint::Site(SiteHint::MountedReadOnly)),
            // Of what is done here, only starting a process or a thread fails so.
            Is::WouldBlock => Some(Hint::FreeThreads),
            _ => None,
        }
    }
}

/// What to do at the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceHint {
    /// Name the directory to deploy.
    NameSource,
    /// Make it readable, or leave it out.
    MakeReadable,
    /// Leave it out.
    LeaveOut {
        /// The pattern that does.
        pattern: String,
    },
    /// Leave out a directory above it.
    LeaveOutAbove,
    /// Leave out what the server does not need.
    LeaveOutMore,
    /// Deploy when nothing writes to it, or leave it out.
    LetRest {
        /// The pattern that leaves it out.
        pattern: String,
    },
    /// Deploy again, which reads all files anew; then check this machine.
    DeployAgain,
    /// Deploy to a path outside the source, or leave the target out.
    DeployElsewhere,
    /// Put a file with patterns there.
    PutPatterns,
    /// Save the file as UTF-8.
    SaveAsUtf8,
}

/// What to do at the deploy path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiteHint {
    /// Choose a deploy path that is empty.
    ChooseEmptyPath,
    /// Deploy first, or check the path.
    DeployFirst,
    /// Leave what may be served from there, and deploy to another path.
    LeaveServed {
        /// The directory or file in place of the link.
        path: String,
    },
    /// Leave the link that may be served through, and deploy to another path.
    LeaveServedLink {
        /// The link.
        path: String,
    },
    /// Leave the configured place of the link as it was, until nothing is served through the old one.
    KeepCurrentPath {
        /// The link that stands.
        known: String,
    },
    /// Log in as the owner, or choose another path.
    LogInAsOwner {
        /// The owner.
        owner: String,
    },
    /// Take the right to write from others.
    TakeRight {
        /// The directory.
        path: String,
        /// Those who have it.
        by: Writers,
    },
    /// Replace a symlink by a directory.
    ReplaceByDirectory {
        /// The symlink.
        path: String,
    },
    /// Find out what is mounted there, and unmount it.
    Unmount,
    /// Mount `/proc` on the server.
    MountProc,
    /// Choose a deploy path beside the other one.
    ChooseBeside,
    /// Keep the deploy path on one filesystem.
    KeepOneFilesystem,
    /// Mount the disk, or make the directory that a link leads to.
    MountOrMake {
        /// The directory.
        target: String,
    },
    /// Make a shared directory behind a link.
    MakeShared {
        /// The directory.
        path: String,
    },
    /// Move something away.
    MoveAway {
        /// What.
        path: String,
    },
    /// Put a shared file there.
    PutShared {
        /// The file.
        path: String,
    },
    /// Leave a shared path out of the release.
    LeaveOutShared {
        /// The path.
        path: String,
    },
    /// Remove a path from the source or from `shared/`.
    RemoveOne {
        /// The path.
        path: String,
    },
    /// Free some of what the server has too little of.
    FreeOnServer,
    /// Free space on the disk that is full.
    FreeSpace,
    /// Give the directory to the user.
    Own,
    /// The filesystem is mounted read-only.
    MountedReadOnly,
    /// Use the version that made the store.
    UseOtherVersion,
}

/// What to do about releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReleaseHint {
    /// Wait until another deploy is done.
    Wait,
    /// See how the server stands, and run the command when nothing else is at work.
    SeeStatus,
    /// See which releases there are.
    SeeReleases,
    /// Switch to any release instead.
    SwitchToAny,
    /// Choose another name for the release, or none.
    ChooseName,
}

/// What to do about damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DamageHint {
    /// Have the store file written anew.
    WriteStoreAnew,
    /// Switch to another release, or deploy again.
    UseOtherRelease,
    /// Move a file away, and deploy again.
    MoveAway {
        /// The file.
        path: String,
    },
    /// Deploy again; then check the server.
    CheckServer,
}

/// What to do to reach the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReachHint {
    /// Check the name, or let the system's `ssh` resolve it.
    CheckName,
    /// Check host and port, and whether the server is up.
    CheckHost,
    /// Check the port.
    CheckPort,
    /// Check the port, or wait until fewer log in.
    CheckPortOrWait,
    /// Try the login with the system's `ssh`.
    TrySsh,
}

/// What to do to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginHint {
    /// Compare the fingerprint, then accept it.
    AcceptHostKey {
        /// The command that does.
        command: String,
    },
    /// Forget the old host key, if the server was installed anew.
    ForgetHostKey {
        /// The name as `known_hosts` has it.
        host: String,
        /// The file with the old key.
        file: String,
    },
    /// Give the server a new host key.
    ChangeHostKey,
    /// Use a key that the server takes.
    UseKey,
    /// Load a key with a passphrase into an agent.
    UnlockKey {
        /// The key.
        path: String,
        /// Whether an agent is named, running or not.
        has_agent: bool,
    },
    /// Answer a question, such as for a second factor: only a person can, with `ssh`.
    AnswerQuestion {
        /// The command that logs in.
        login: String,
    },
    /// Mend `ssh_config`, or use another one.
    MendSshConfig,
    /// Install the system's `ssh`, or allow its use.
    InstallOpenssh,
}

/// What to do to start the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartHint {
    /// Give the user a shell that runs commands.
    GiveShell,
    /// Have a directory made where programs may be executed.
    ChooseAgentPath,
    /// Build Cutover for the server's system.
    BuildForServer,
    /// Make the deploy path, and give it to the user.
    MakeDeployPath {
        /// The deploy path, absolute.
        path: String,
    },
    /// Let the user make the deploy path in its login directory.
    AllowDeployPath,
    /// Give the agent's directory to the user.
    OwnAgentPath,
    /// Install the programs that the script needs.
    InstallPrograms,
    /// Let the login print nothing, and run commands.
    QuietLogin {
        /// The server.
        host: String,
    },
}
