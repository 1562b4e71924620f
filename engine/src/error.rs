//! What can go wrong, one variant for each situation that a user can tell from the others.
//!
//! `Display` says what could not be done and to what; the cause stays in `source()` and is printed once, by whoever
//! reports. [`Error::hint`] says what to do next. [`Error::kind`] decides the exit code.
//!
//! An error of the agent crosses the wire as a [`Refusal`]: its kind, its text, its causes and its hint.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::path::Shown;
use crate::pattern::pattern_of;
use crate::release::ReleaseId;
use crate::shell::quoted;
use crate::target::Server;
use crate::units::Bytes;

/// What to do when the line failed.
pub const RUN_AGAIN: &str = "Run the command again";

/// The kinds of failure that scripts tell apart, each with an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Refused, or failed in a way that the user can mend: 1.
    Refused,
    /// Wrong usage or configuration: 2.
    Usage,
    /// The line or the server failed; trying again is safe: 3.
    Line,
    /// Damage was found: 4.
    Damage,
    /// Another deploy holds the lock: 5.
    Locked,
    /// A hook or a check failed: 6.
    Hook,
    /// The user interrupted it: 130 or 143.
    Interrupted,
    /// A fault in Cutover itself: 255.
    Bug,
}

/// Everything that the engine can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The source.
    /// There is no such directory.
    #[error("There is no source directory `{0}`")]
    SourceMissing(PathBuf),
    /// The source is a file or something else.
    #[error("The source `{0}` is not a directory")]
    SourceNotDirectory(PathBuf),
    /// A file or directory of the source cannot be read.
    #[error("Could not read `{path}`")]
    SourceUnreadable {
        /// The path, shown with escapes.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A socket, fifo or device stands in the source.
    #[error("`{path}` is a {kind}, which cannot be deployed")]
    SpecialFile {
        /// The path, shown with escapes.
        path: String,
        /// `socket`, `fifo`, `device`.
        kind: &'static str,
    },
    /// Directories within directories, more of them than a manifest takes.
    #[error("`{path}` lies below {most} directories within each other, and no more are taken")]
    TooDeep {
        /// The path, shown with escapes.
        path: String,
        /// How many are taken.
        most: u16,
    },
    /// More entries, directories or names than are deployed.
    #[error("The source {0}")]
    TreeTooLarge(String),
    /// A file changed each time that it was read, or between the scan and its sending.
    #[error("`{0}` changes while it is deployed")]
    FileChanging(String),
    /// A file holds other content than it had when it was scanned, and looks as it did then.
    #[error("`{0}` has changed since it was scanned, and its size and times have not")]
    FileChangedUnseen(String),
    /// The source and the local target lie within each other.
    #[error("The source `{source_path}` and the target `{target}` lie within each other")]
    Overlapping {
        /// The source.
        source_path: PathBuf,
        /// The deploy path.
        target: PathBuf,
    },
    /// Something that is no file stands in the place of an ignore file.
    #[error("`{path}` holds no patterns: {reason}")]
    NoPatterns {
        /// The path, shown with escapes.
        path: String,
        /// What it is.
        reason: String,
    },
    /// A list of patterns holds a NUL byte.
    #[error("{place} holds a NUL byte, and no pattern does")]
    NulInPatterns {
        /// The file, or `exclude`.
        place: String,
    },

    // The target.
    /// The deploy path holds something that Cutover did not make.
    #[error("The deploy path `{path}` is not empty and was not made by Cutover: it holds `{found}`")]
    NotOurs {
        /// The deploy path.
        path: String,
        /// One of the things that stand there.
        found: String,
    },
    /// There is nothing at the deploy path yet.
    #[error("Nothing was deployed to `{0}` yet")]
    NotSetUp(String),
    /// `current` is a directory or a file.
    #[error("`{0}` is not a symlink, so it cannot be switched")]
    CurrentNotSymlink(String),
    /// `current` leads to something that is not a release here.
    #[error("`{path}` leads to `{target}`, which is no release of this deploy path")]
    CurrentForeign {
        /// The link.
        path: String,
        /// What it points at.
        target: String,
    },
    /// The link to the live release is wanted at another place than where it stands.
    #[error("`current_path` is `{}`, and the link to the live release stands at `{}`", wanted.display(), known.display())]
    CurrentElsewhere {
        /// Where it stands.
        known: PathBuf,
        /// Where it is wanted.
        wanted: PathBuf,
    },
    /// A directory on the way to what is deployed or executed belongs to another user.
    #[error("`{path}` belongs to `{owner}`, who could put other files in the place of what is deployed or run there")]
    OtherOwner {
        /// The directory.
        path: String,
        /// The owner's name, or number where there is no name.
        owner: String,
    },
    /// Others may write to a directory on the way to what is deployed or executed.
    #[error("{by} may write to `{path}`, and so put other files in the place of what is deployed or run there")]
    OthersWrite {
        /// The directory.
        path: String,
        /// Who may write.
        by: Writers,
    },
    /// A directory that Cutover owns was replaced by a symlink, or a path in `shared/` leads through one.
    #[error("`{0}` is a symlink or lies behind one, and could lead elsewhere")]
    SymlinkInside(String),
    /// Something is mounted in a tree of ours.
    #[error("Something is mounted at `{0}`, and is left as it is")]
    MountedInside(String),
    /// Somebody removed the lock of a run that held it.
    #[error("The lock `{0}` was removed or replaced while this run held it: another one may be at work")]
    LockLost(String),
    /// A deploy path lies within another one.
    #[error("The deploy path `{path}` lies within the deploy path `{outer}`")]
    WithinAnother {
        /// The deploy path.
        path: String,
        /// The one that it lies in.
        outer: String,
    },
    /// A part of the deploy path is where files cannot be linked or renamed to from the others.
    #[error(
        "`{path}` is another filesystem or mount than `{deploy_path}`: releases are linked and renamed between the two"
    )]
    OtherFilesystem {
        /// The part.
        path: String,
        /// The directory that it is in.
        deploy_path: String,
    },
    /// A path leads through a symlink to nothing.
    #[error("`{path}` is a symlink to `{target}`, which does not exist")]
    DanglingLink {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A declared shared directory lies behind a symlink, and is not there.
    #[error("The shared directory `{0}` does not exist. It lies behind a symlink, where Cutover makes nothing")]
    MissingBehindLink(String),
    /// The store file is lost or damaged.
    #[error("`{path}` is damaged: {reason}")]
    StoreDamaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be told whether something is mounted on a directory, so nothing in it is changed.
    #[error(
        "Cannot tell whether something is mounted at `{0}`: this kernel has no `openat2`, and `/proc` does not say"
    )]
    MountsUnknown(String),
    /// A release that was given up cannot be turned into a new one.
    #[error("Release {id} is not reused: {reason}")]
    NotReused {
        /// Which.
        id: ReleaseId,
        /// Why.
        reason: String,
    },
    /// Something other than a directory stands where one is needed.
    #[error("`{0}` is not a directory")]
    NotDirectory(String),
    /// A file of `shared_files` is not there.
    #[error("The shared file `{0}` does not exist")]
    SharedMissing(String),
    /// A path is both in `shared/` and in the release.
    #[error("`{0}` is both in the release and in `shared/`")]
    SharedConflict(String),
    /// A path that is to be shared, and that the source has as a file.
    #[error("`{0}` stands in the source, and the configuration says that it is shared")]
    SharedDeclared(String),
    /// There is not room enough, in bytes.
    #[error("Not enough space on the server: {} are needed and {} are free", Bytes(*needed), Bytes(*free))]
    NoSpace {
        /// Bytes needed.
        needed: u64,
        /// Bytes free to this user.
        free: u64,
    },
    /// There are not inodes enough.
    #[error("Not enough inodes on the server: {needed} are needed and {free} are free")]
    NoInodes {
        /// Inodes needed.
        needed: u64,
        /// Inodes free to this user.
        free: u64,
    },
    /// Another deploy is at work.
    #[error("Another deploy is at work: {holder}")]
    Locked {
        /// Who, where, since, and doing what.
        holder: String,
    },
    /// A release of that name exists, or a directory does.
    #[error("There is a release {0} already")]
    ReleaseExists(ReleaseId),
    /// There is no such release.
    #[error("There is no release {0}")]
    ReleaseUnknown(ReleaseId),
    /// There is no earlier release to go back to.
    #[error("There is no earlier release to roll back to")]
    NothingToRollBack,
    /// The release to roll back to was never live or is the live one.
    #[error("A rollback cannot go to release {id}: it {reason}")]
    NotARollback {
        /// The release.
        id: ReleaseId,
        /// `is live already`, `was never live`.
        reason: &'static str,
    },
    /// A release stands, but its record or manifest does not.
    #[error("Release {id} is damaged: {reason}")]
    ReleaseDamaged {
        /// The release.
        id: ReleaseId,
        /// What is missing or wrong.
        reason: String,
    },
    /// The store was written by another version of Cutover.
    #[error("The store is of format {found}, and this version of Cutover knows format {known}")]
    StoreFormat {
        /// The number found.
        found: u64,
        /// The number known.
        known: u32,
    },
    /// A file of the store cannot be understood.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was assembled or stored is not what the manifest says, and sending it again did not help.
    #[error("{objects} objects did not arrive whole: the first is that of `{path}`")]
    NotWhole {
        /// How many.
        objects: u64,
        /// A path that needs the first one.
        path: String,
    },
    /// A system call failed.
    #[error("Could not {action} `{path}`")]
    Io {
        /// The verb, and what it is done to: `create`, `read`, `sync the directory` …
        action: &'static str,
        /// The path, shown with escapes.
        path: String,
        /// Why.
        source: io::Error,
    },

    // The line.
    /// The name of the server does not resolve.
    #[error("Could not resolve the host name of {server}")]
    Unresolved {
        /// The server.
        server: Server,
        /// Why.
        source: io::Error,
    },
    /// The server does not answer.
    #[error("Could not connect to {server}")]
    Unreachable {
        /// The server.
        server: Server,
        /// Why.
        source: io::Error,
    },
    /// Something else than SSH listens at the port.
    #[error("{server} does not speak SSH: it says `{said}`")]
    NotSsh {
        /// The server.
        server: Server,
        /// Its first line.
        said: String,
    },
    /// The server closed the connection before it said anything.
    #[error("{server} closed the connection before it said that it speaks SSH")]
    ClosedEarly {
        /// The server.
        server: Server,
    },
    /// `known_hosts` does not know the server.
    #[error("The host key of `{host}` is not known: {algorithm} {fingerprint}")]
    HostKeyUnknown {
        /// The name as `known_hosts` would have it: `host` or `[host]:port`.
        host: String,
        /// The kind of key.
        algorithm: String,
        /// `SHA256:…`, as `ssh-keygen -l` prints it.
        fingerprint: String,
        /// The files that were searched.
        searched: Vec<PathBuf>,
        /// The user, host and port to try `ssh` with.
        ssh_command: String,
    },
    /// `known_hosts` knows the server under another key.
    #[error("The host key of `{host}` has changed: it is now {algorithm} {fingerprint}")]
    HostKeyChanged {
        /// The name as `known_hosts` has it.
        host: String,
        /// The kind of key that the server showed.
        algorithm: String,
        /// `SHA256:…` of that key.
        fingerprint: String,
        /// The file with the other key.
        file: PathBuf,
    },
    /// The key that the server showed was revoked.
    #[error("The host key of `{host}` was revoked in `{file}`: {algorithm} {fingerprint}")]
    HostKeyRevoked {
        /// The name as `known_hosts` has it.
        host: String,
        /// The kind of key.
        algorithm: String,
        /// `SHA256:…` of that key.
        fingerprint: String,
        /// The file that revokes it.
        file: PathBuf,
    },
    /// No key was accepted.
    #[error("{server} refused the login of `{user}`")]
    LoginRefused {
        /// The user on the server.
        user: String,
        /// The server.
        server: Server,
        /// What was tried, a line each.
        tried: Vec<String>,
        /// What would help.
        remedy: LoginRemedy,
    },
    /// `ssh_config` cannot be read or understood.
    #[error("`{file}` line {line}: {reason}")]
    SshConfig {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's `ssh` does not take `ssh_config`.
    #[error("`ssh` does not take `ssh_config`")]
    SshConfigRefused {
        /// What it printed.
        said: String,
    },
    /// Something that only the system's `ssh` can do, and there is none or it was ruled out.
    #[error("{0} needs the system's `ssh`")]
    NeedsOpenssh(String),
    /// The system's `ssh` ended before the agent answered.
    #[error("`ssh` could not reach {server}")]
    OpensshFailed {
        /// The server.
        server: Server,
        /// The end of what it printed.
        output: String,
    },
    /// The SSH library failed.
    #[error("The SSH connection to {server} failed while trying to {action}")]
    Ssh {
        /// The server.
        server: Server,
        /// What was tried.
        action: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server has no POSIX shell, or its login shell runs no commands.
    #[error("`{host}` runs no shell commands for this user: {output}")]
    NoShell {
        /// The server.
        host: String,
        /// The end of what it printed.
        output: String,
    },
    /// The agent cannot be executed where it was put.
    #[error("The agent cannot be executed from `{directory}` on the server: its filesystem is mounted noexec")]
    Noexec {
        /// The directory.
        directory: String,
    },
    /// The server is not Linux on x86-64.
    #[error("The server runs {found}, and this agent runs on {needed}")]
    ForeignArchitecture {
        /// What `uname -s -m` says.
        found: String,
        /// What this binary was built for.
        needed: &'static str,
    },
    /// The agent could not be copied to the server.
    #[error("The agent could not be copied to `{directory}` on the server: {output}")]
    AgentNotCopied {
        /// The directory.
        directory: String,
        /// What the server's shell said.
        output: String,
    },
    /// The server lacks a program that the shell script there needs.
    #[error("The server lacks a program that Cutover needs there: {output}")]
    ProgramsMissing {
        /// What the server's shell said.
        output: String,
    },
    /// The agent did not greet.
    #[error("The agent on `{host}` did not answer: {output}")]
    NoGreeting {
        /// The server.
        host: String,
        /// What came instead.
        output: String,
    },
    /// The connection ended, or nothing came for too long.
    #[error("The connection to the server was lost")]
    LineLost {
        /// Why, as far as it is known.
        source: io::Error,
    },
    /// What came over the wire is not the protocol.
    #[error("The other side sent something that makes no sense: {0}")]
    Protocol(String),
    /// A message would be longer than the other side takes.
    #[error("{} would have to be said at once, and at most {} are taken", Bytes(*bytes), Bytes(*most))]
    MessageTooLong {
        /// Its length.
        bytes: u64,
        /// The greatest length of its kind.
        most: u64,
    },
    /// The two sides speak different versions of the protocol.
    #[error("The other side speaks protocol {found}, and this side speaks protocol {known}")]
    ProtocolVersion {
        /// The number found.
        found: u16,
        /// The number known.
        known: u16,
    },
    /// The agent refused or failed.
    #[error("{}", .0.message)]
    Agent(Refusal),

    /// Not one more thread can be started.
    #[error("The user may have no more processes and threads on `{host}`")]
    NoThread {
        /// The host on which that is so.
        host: String,
        /// Why.
        source: io::Error,
    },

    // This machine.
    /// The manifest database cannot be used.
    #[error("The manifest database `{path}` cannot be used")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A request that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The user interrupted it.
    #[error("Interrupted")]
    Interrupted,
    /// A fault in Cutover.
    #[error("This is a fault in Cutover: {0}")]
    Bug(String),
}

/// What would help a login that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginRemedy {
    /// A key that the server takes.
    Key,
    /// To load a key with a passphrase into an agent.
    Unlock {
        /// The key.
        path: PathBuf,
        /// Whether an agent is named, running or not.
        has_agent: bool,
    },
    /// To answer a question, such as for a second factor: only a person can, with `ssh`.
    Answer {
        /// The command that logs in.
        login: String,
    },
}

impl LoginRemedy {
    fn hint(&self) -> String {
        match self {
            LoginRemedy::Key => {
                "Add your public key to `~/.ssh/authorized_keys` there, name a key with `--identity FILE`, or start an ssh-agent".into()
            }
            LoginRemedy::Unlock { path, has_agent: true } => format!("Load the key into your agent: `ssh-add {}`", path.display()),
            LoginRemedy::Unlock { path, has_agent: false } => {
                format!("Start an agent and load the key into it: `eval \"$(ssh-agent)\" && ssh-add {}`", path.display())
            }
            LoginRemedy::Answer { login } => format!(
                "A question of the server, such as for a second factor, cannot be answered here. Put `ControlMaster auto`, \
                 `ControlPath ~/.ssh/%C` and `ControlPersist 1h` into `ssh_config` for this host, log in once with \
                 `{login}`, and run the command again"
            ),
        }
    }
}

/// An error of the agent as it crosses the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind, which decides the exit code.
    pub kind: Kind,
    /// What could not be done, and to what.
    pub message: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Error {
    /// Makes an error of a failed system call on `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Error {
        let path = Shown(path.as_ref().as_os_str().as_encoded_bytes()).to_string();
        Error::Io { action, path, source: source.into() }
    }

    /// Tells whether a disk or a quota is full.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Error::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Returns the kind, which decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::SourceMissing(_)
            | Error::SourceNotDirectory(_)
            | Error::SourceUnreadable { .. }
            | Error::SpecialFile { .. }
            | Error::TooDeep { .. }
            | Error::NoPatterns { .. }
            | Error::NoThread { .. }
            | Error::MessageTooLong { .. }
            | Error::TreeTooLarge(_)
            | Error::FileChanging(_)
            | Error::FileChangedUnseen(_)
            | Error::Overlapping { .. }
            | Error::NotOurs { .. }
            | Error::NotSetUp(_)
            | Error::CurrentNotSymlink(_)
            | Error::CurrentForeign { .. }
            | Error::CurrentElsewhere { .. }
            | Error::OtherOwner { .. }
            | Error::OthersWrite { .. }
            | Error::SymlinkInside(_)
            | Error::MountedInside(_)
            | Error::MountsUnknown(_)
            | Error::OtherFilesystem { .. }
            | Error::WithinAnother { .. }
            | Error::DanglingLink { .. }
            | Error::MissingBehindLink(_)
            | Error::NotReused { .. }
            | Error::NotDirectory(_)
            | Error::SharedMissing(_)
            | Error::SharedConflict(_)
            | Error::SharedDeclared(_)
            | Error::NoSpace { .. }
            | Error::NoInodes { .. }
            | Error::ReleaseExists(_)
            | Error::ReleaseUnknown(_)
            | Error::NothingToRollBack
            | Error::NotARollback { .. }
            | Error::StoreFormat { .. }
            | Error::HostKeyUnknown { .. }
            | Error::HostKeyChanged { .. }
            | Error::HostKeyRevoked { .. }
            | Error::LoginRefused { .. }
            | Error::NoShell { .. }
            | Error::Noexec { .. }
            | Error::ForeignArchitecture { .. }
            | Error::AgentNotCopied { .. }
            | Error::ProgramsMissing { .. }
            | Error::ProtocolVersion { .. }
            | Error::Database { .. } => Kind::Refused,
            Error::NulInPatterns { .. }
            | Error::SshConfig { .. }
            | Error::SshConfigRefused { .. }
            | Error::NeedsOpenssh(_)
            | Error::Usage(_) => Kind::Usage,
            Error::OpensshFailed { output, .. } if was_refused(output) => Kind::Refused,
            Error::Unresolved { .. }
            | Error::Unreachable { .. }
            | Error::NotSsh { .. }
            | Error::ClosedEarly { .. }
            | Error::OpensshFailed { .. }
            | Error::Ssh { .. }
            | Error::NoGreeting { .. }
            | Error::LineLost { .. }
            | Error::Protocol(_) => Kind::Line,
            Error::Io { source, .. } => io_kind(source),
            Error::ReleaseDamaged { .. }
            | Error::Damaged { .. }
            | Error::StoreDamaged { .. }
            | Error::NotWhole { .. } => Kind::Damage,
            Error::Locked { .. } | Error::LockLost(_) => Kind::Locked,
            Error::Agent(refusal) => refusal.kind,
            Error::Interrupted => Kind::Interrupted,
            Error::Bug(_) => Kind::Bug,
        }
    }

    /// Returns what to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::SourceMissing(_) | Error::SourceNotDirectory(_) => "Name the directory to deploy with `--source DIR`".into(),
            Error::SourceUnreadable { .. } => {
                "Make it readable for the user that deploys, or leave it out with a line in `.deployignore`".into()
            }
            Error::SpecialFile { path, .. } => {
                format!("Leave it out with a line `{}` in `.deployignore`", pattern_of(path))
            }
            Error::NoPatterns { .. } => {
                "Put a file with the patterns there, or a symlink to a file in the source".into()
            }
            Error::NulInPatterns { .. } => {
                "Save it as UTF-8 text: a file in UTF-16, as some editors save it, holds NUL bytes".into()
            }
            Error::TreeTooLarge(_) => "Leave out what the server does not need with lines in `.deployignore`".into(),
            Error::MessageTooLong { .. } => "Configure fewer shared paths and patterns, or shorter ones".into(),
            Error::NoThread { .. } => NO_THREAD_HINT.into(),
            // What a shell says that may start no program.
            Error::NoShell { output, .. } | Error::AgentNotCopied { output, .. } if output.contains("fork") => {
                NO_THREAD_HINT.into()
            }
            Error::TooDeep { .. } => "Leave out a directory above it with a line in `.deployignore`".into(),
            Error::FileChanging(path) => {
                let pattern = pattern_of(path);
                format!("Deploy again when nothing writes to it, or leave it out with a line `{pattern}` in `.deployignore`")
            }
            Error::FileChangedUnseen(_) => {
                "Deploy again: all files are read anew then. If it happens again, check the disk and the memory of this machine".into()
            }
            Error::Overlapping { .. } => "Deploy to a path outside the source, or make the target's directory first and leave it out with a line in `.deployignore`".into(),
            Error::NotOurs { .. } => "Choose a deploy path that is empty or does not exist yet; `shared/` may stand there".into(),
            Error::NotSetUp(_) => "Run `cutover deploy` first, or check the path in `--target`".into(),
            Error::CurrentNotSymlink(path) => {
                format!(
                    "Something may be served from `{path}`: leave it, deploy to another path, and then point the web server at `current` there"
                )
            }
            Error::CurrentForeign { path, .. } => format!(
                "Something may be served through `{path}`: leave it, deploy to another path, and then point the web server at `current` there"
            ),
            Error::CurrentElsewhere { known, .. } => format!(
                "Leave `current_path` as it was. Once nothing is served through `{}` any more, that link can go, and the new one is made",
                known.display()
            ),
            Error::OtherOwner { owner, .. } => format!(
                "Log in as `{owner}`, or choose a path below directories that belong to root or to the user that logs in"
            ),
            Error::OthersWrite { path, by, .. } => by.hint(path),
            Error::SymlinkInside(path) => {
                format!("Replace `{path}` by a real directory; to keep the data elsewhere, use a bind mount")
            }
            Error::MountedInside(_) => {
                "See with `findmnt` what is mounted there, and whether it is in use. Once it is unmounted, run the command again".into()
            }
            Error::LockLost(_) => "See `cutover status`, and run the command again when nothing else is at work".into(),
            Error::WithinAnother { .. } => "Choose a deploy path beside it".into(),
            Error::OtherFilesystem { .. } => {
                "Unmount it, or mount the whole deploy path there; only `shared/` may be a mount of its own".into()
            }
            Error::DanglingLink { target, .. } => {
                format!("See whether its disk is mounted. If the directory is to be made: `mkdir -p {}`, on the server", quoted(target))
            }
            Error::MissingBehindLink(path) => {
                format!("Make it on the server, `mkdir -p {}`, and run the command again", quoted(path))
            }
            Error::StoreDamaged { .. } => {
                "Run `cutover setup`, or deploy: both write it anew, and no release is lost".into()
            }
            Error::MountsUnknown(_) => "Mount `/proc` on the server, where the agent runs, and run the command again".into(),
            Error::NotDirectory(path) => format!("Move `{path}` away and run the command again"),
            Error::SharedMissing(path) => format!("Put the file at `{path}` on the server and deploy again"),
            Error::SharedDeclared(path) => format!(
                "Leave it out of the release with a line `/{path}` in `.deployignore`. On the server it is taken from `shared/`"
            ),
            Error::SharedConflict(path) => format!(
                "Remove `{path}` from the source (or leave it out with a line in `.deployignore`), or remove it from `shared/`"
            ),
            Error::NoSpace { .. } | Error::NoInodes { .. } => {
                room_hint("Free some on the server")
            }
            Error::Locked { .. } => "Wait until it is done, then run the command again".into(),
            Error::ReleaseExists(_) => "Choose another `--release`, or leave it out".into(),
            Error::NothingToRollBack => {
                "`cutover switch ID` goes to any other release; see `cutover releases`".into()
            }
            Error::ReleaseUnknown(_) | Error::NotARollback { .. } => "See `cutover releases`".into(),
            Error::ReleaseDamaged { .. } => "Switch to another release, or deploy again".into(),
            Error::StoreFormat { .. } => "Use the version of Cutover that made the store, or deploy to a new path".into(),
            Error::Damaged { path, .. } => format!("Move `{path}` away and deploy again"),
            Error::NotWhole { .. } => "Deploy again; if it happens again, check the server's disk and memory".into(),
            Error::Io { source, .. } => return io_hint(source),
            Error::Unresolved { .. } => {
                "Check the name. Names that only this system's resolver knows work with `--transport openssh`".into()
            }
            Error::Unreachable { .. } => "Check the host and the port, and that the server is up".into(),
            Error::NotSsh { .. } => "Check the port: `Port` in `ssh_config`, or `ssh://HOST:PORT/PATH`".into(),
            Error::ClosedEarly { .. } => "Check the port. If it is right, the server may have too many logins under way (`MaxStartups`): run the command again later".into(),
            Error::HostKeyUnknown { ssh_command, .. } => {
                format!("Compare the fingerprint with the server's, then accept it: `{ssh_command}`")
            }
            Error::HostKeyChanged { host, file, .. } => format!(
                "Someone may be intercepting the connection. If you know that the server was installed anew: `ssh-keygen -R '{host}' -f {}`",
                file.display()
            ),
            Error::HostKeyRevoked { .. } => "Do not connect. Give the server a new host key, and make that one known".into(),
            Error::LoginRefused { remedy, .. } => remedy.hint(),
            Error::SshConfigRefused { .. } => "Mend the file, or name another one with `-F FILE`".into(),
            Error::NeedsOpenssh(_) => "Install the OpenSSH client, or use `--transport auto` or `openssh`".into(),
            Error::OpensshFailed { .. } => "Try the same login with `ssh -v`, which also asks about a host key that is not known".into(),
            Error::NoShell { .. } => "The user needs a login shell that runs commands, and `sh` on the server".into(),
            Error::Noexec { .. } => {
                "Have a directory made for the agent where programs may be executed, that belongs to the user that logs in: \
                 `sudo install -d -o USER /var/lib/cutover`, on the server. Then set `agent_path` to it".into()
            }
            Error::ForeignArchitecture { .. } => "Build Cutover for that system, and run it there with a local target".into(),
            Error::AgentNotCopied { directory, .. } => match directory.strip_suffix("/.cutover/bin") {
                Some(deploy_path) if deploy_path.starts_with('/') => format!(
                    "The user must own the deploy path. Where there is none yet, make it on the server: \
                     `sudo mkdir -p {above} && sudo mkdir {path} && sudo chown USER {path}`. Where root made it and it is \
                     empty, the last of these is enough. Where it belongs to another user, log in as that one",
                    above = quoted(deploy_path.rsplit_once('/').map_or("/", |(above, _)| above)),
                    path = quoted(deploy_path)
                ),
                Some(_) => "The user must be able to create the deploy path, from its login directory".into(),
                None => "`agent_path` must belong to the user that logs in, on the server".into(),
            },
            Error::ProgramsMissing { .. } => format!("It needs {PROGRAMS}; busybox has them all. Install what is missing"),
            Error::NoGreeting { host, .. } => format!(
                "The account must be one that may run commands, and not for files alone. See what a login prints: `ssh {host} true` \
                 should print nothing"
            ),
            Error::LineLost { .. } | Error::Ssh { .. } | Error::Protocol(_) => RUN_AGAIN.into(),
            Error::ProtocolVersion { .. } => "Use the same version of Cutover on both sides".into(),
            Error::Database { path, .. } => {
                format!(
                    "Name another directory with `--state-dir`. Where `{}` is Cutover's own, it is only a cache and can go",
                    path.display()
                )
            }
            Error::Agent(refusal) => return refusal.hint.clone(),
            Error::Bug(_) => "Please report it with the command that you ran and what it printed".into(),
            _ => return None,
        };
        Some(hint)
    }

    /// Returns the message with its cause, for a warning.
    pub(crate) fn with_cause(&self) -> String {
        match self.source() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// Turns the error into what crosses the wire.
    pub fn to_refusal(&self) -> Refusal {
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        if let Error::Agent(refusal) = self {
            causes.clone_from(&refusal.causes);
        }
        Refusal { kind: self.kind(), message: self.to_string(), causes, hint: self.hint() }
    }
}

/// The programs that the script on the server cannot do without, beside `sh`.
pub const PROGRAMS: &str = "`cat`, `chmod`, `ls`, `mkdir`, `mv`, `rm` and `wc`";

/// Those who may write to a directory beside its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writers {
    /// The members of a group, by its name or number.
    Group(String),
    /// Every user.
    All,
}

impl std::fmt::Display for Writers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Writers::Group(group) => write!(f, "The group `{group}`"),
            Writers::All => f.write_str("Everyone"),
        }
    }
}

impl Writers {
    fn hint(&self, path: &str) -> String {
        let path = quoted(path);
        match self {
            Writers::Group(_) => format!(
                "Take that right from the group: `chmod g-w {path}`. It may read there all the same, and can write to \
                 directories in `shared/`"
            ),
            Writers::All => format!("Take that right from them: `chmod go-w {path}`"),
        }
    }
}

/// What to do where a limit keeps threads and processes from being started.
const NO_THREAD_HINT: &str = "Some 20 of them are needed, and few more are of use: end other processes of that user there, \
                              or have its limit raised (`ulimit -u`; `TasksMax` or `pids.max` of its control group)";

/// What to do where the disk is full. `free` says what to free, and where.
fn room_hint(free: &str) -> String {
    format!(
        "{free} and deploy again: what arrived is kept until then. Where old releases take the room, lower \
         `keep_releases` and run `cutover cleanup`: that removes what arrived too"
    )
}

/// Tells whether `ssh` says that the login or the host key is refused, which no second try changes.
fn was_refused(output: &str) -> bool {
    output.contains("Permission denied (") || output.contains("Host key verification failed")
}

fn io_kind(error: &io::Error) -> Kind {
    use io::ErrorKind as Is;
    match error.kind() {
        Is::PermissionDenied
        | Is::StorageFull
        | Is::QuotaExceeded
        | Is::ReadOnlyFilesystem
        | Is::NotFound
        | Is::NotADirectory => Kind::Refused,
        _ => Kind::Line,
    }
}

fn io_hint(error: &io::Error) -> Option<String> {
    use io::ErrorKind as Is;
    match error.kind() {
        Is::PermissionDenied => Some("The user that runs this must own the directory; check with `ls -ld`".into()),
        Is::StorageFull | Is::QuotaExceeded => Some(room_hint("Free some space")),
        Is::ReadOnlyFilesystem => Some("The filesystem is mounted read-only".into()),
        // Of what is done here, only starting a process or a thread fails so.
        Is::WouldBlock => Some(NO_THREAD_HINT.into()),
        _ => None,
    }
}
