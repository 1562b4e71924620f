//! The messages of the client: the hello with its request, and those that follow.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::hash::Hash;
use crate::hook::Command;
use crate::manual_lock::LockMessage;
use crate::path::RelativePath;
use crate::pin::PinTerms;
use crate::procedure::Procedure;
use crate::release::{Provenance, ReleaseId};
use crate::request::LockRequest;
use crate::rollback::Rollback;
use crate::target::Policy;
use crate::wire::bounds::{self, MessageBounds, at_most};

use super::base::{BaseName, TreeBase};
use super::holding::HoldingMark;

/// A message from the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ToAgent {
    /// The first message.
    Hello(Box<Hello>),
    /// The manifest follows in parts of this many bytes together, as a difference from a base.
    Tree {
        /// The base.
        against: TreeBase,
        /// Bytes that follow.
        length: u64,
    },
    /// Asks for the manifest of the base that the agent uses.
    WantBase,
    /// Asks for an outline of that manifest by the directories of the new one, which this describes. The agent does
    /// not answer it if there is no base.
    WantOutline(Vec<u8>),
    /// Asks for signatures of the base's files at the paths of these files of the following tree: runs of entries, as
    /// in [`Lacks`].
    WantSignatures(#[serde(deserialize_with = "at_most::<{ bounds::RUNS_MAX }, _, _>")] Vec<(u32, u32)>),
    /// Asks for the chunks of files of that base, by their entries.
    WantChunks(#[serde(deserialize_with = "at_most::<{ bounds::CHUNKED_MAX }, _, _>")] Vec<u32>),
    /// Asks for signatures of ranges of large files.
    WantGaps(#[serde(deserialize_with = "at_most::<{ bounds::GAPS_MAX }, _, _>")] Vec<FileGaps>),
    /// The promised hashes, in the order of their entries.
    Hashes(#[serde(deserialize_with = "at_most::<{ bounds::PROMISED_MAX }, _, _>")] Vec<Hash>),
    /// The client has sent everything.
    Commit,
    /// Asks for a ticket for lanes.
    WantLanes,
    /// The number of blocks sent on each open lane, by the number of the lane. It goes before the commit, which waits
    /// for these blocks.
    SentOnLanes(#[serde(deserialize_with = "at_most::<{ bounds::LANES_MAX }, _, _>")] Vec<(u32, u64)>),
    /// The client is alive.
    Ping,
    /// The user interrupted: end the hook that runs, and fail.
    Stop,
    /// The verdict on the live release: the reason why it is not good, if there is one.
    Verdict(Option<Box<Refusal>>),
    /// A hello for a deploy to this path will follow: the agent compares the live release with its manifest meanwhile.
    Look(Vec<u8>),
}

impl MessageBounds for ToAgent {
    const BYTES_MAX: &'static [usize] = &[
        /* Hello */ bounds::HELLO_BYTES_MAX,
        /* Tree */ bounds::PLAIN_BYTES_MAX,
        /* WantBase */ bounds::PLAIN_BYTES_MAX,
        /* WantOutline */ bounds::CLIENT_DIRECTORIES_BYTES_MAX,
        /* WantSignatures */ bounds::RUNS_BYTES_MAX,
        /* WantChunks */ 5 * bounds::CHUNKED_MAX + 64,
        /* WantGaps */ bounds::GAPS_BYTES_MAX,
        /* Hashes */ bounds::HASHES_BYTES_MAX,
        /* Commit */ bounds::PLAIN_BYTES_MAX,
        /* WantLanes */ bounds::PLAIN_BYTES_MAX,
        /* SentOnLanes */ 15 * bounds::LANES_MAX + 64,
        /* Ping */ bounds::PLAIN_BYTES_MAX,
        /* Stop */ bounds::PLAIN_BYTES_MAX,
        /* Verdict */ bounds::TEXT_MESSAGE_BYTES_MAX,
        /* Look */ bounds::PATH_BYTES_MAX,
    ];
}

/// The first message of the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The deploy path. Empty: that of the `Look` before.
    pub(crate) path: Vec<u8>,
    /// The rules for the server.
    pub(crate) policy: Policy,
    /// The hooks and checks.
    pub(crate) procedure: Procedure,
    /// The way to the lock.
    pub(crate) lock: LockRequest,
    /// The user and machine of the client.
    pub(crate) provenance: Provenance,
    /// The request.
    pub(crate) request: Request,
}

/// A request to the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Create the directories.
    Setup,
    /// Make a release.
    Deploy(DeployBegin),
    /// List the releases.
    Releases {
        /// Whether to list removed ones too.
        all: bool,
    },
    /// Report the state of the deploy path, and compare the releases with their manifests.
    Status(Option<CheckDepth>),
    /// Examine the deploy path and the server.
    Doctor(DoctorOrder),
    /// Point `current` at a release.
    Switch {
        /// The release.
        to: ReleaseId,
        /// Whether to switch even if it differs from its manifest.
        force: bool,
    },
    /// Point `current` at an earlier release.
    Rollback {
        /// The goal and the reason.
        rollback: Rollback,
        /// Whether to switch even if it differs from its manifest.
        force: bool,
    },
    /// Pin a release, or unpin it.
    Pin {
        /// The release.
        release: ReleaseId,
        /// The terms of the pin; none unpins.
        pin: Option<PinTerms>,
    },
    /// Remove releases by retention, then collect garbage.
    Cleanup {
        /// Whether to change nothing.
        dry_run: bool,
        /// Whether to remove the adopted directory too.
        original: bool,
    },
    /// Report the runs that have a journal.
    Runs,
    /// Send the journal of a run.
    Journal {
        /// Its number. None: the newest one.
        run: Option<u64>,
        /// Whether to send further lines until the run has ended.
        follow: bool,
    },
    /// Run a hook by its name.
    RunHook(String),
    /// Run a command in the live release.
    Exec(Command),
    /// Report the space that the parts of the deploy path take.
    DiskUse,
    /// Report who has the lock.
    LockStatus,
    /// Take a manual lock.
    AcquireLock(LockMessage),
    /// Remove the manual lock.
    Unlock,
    /// Send the manifests of releases.
    Manifests {
        /// The releases, in order; none means the live one.
        wanted: Vec<Option<ReleaseId>>,
        /// The roots of the manifests that the client has.
        known: Vec<Hash>,
    },
    /// Look at a site to adopt. The manifest of the source follows, without a base, in parts of this many bytes together.
    Survey {
        /// The request of the adoption.
        begin: AdoptBegin,
        /// Bytes that follow.
        length: u64,
    },
    /// Adopt a site. The manifest of its source follows in parts.
    Adopt {
        /// What to adopt.
        begin: AdoptBegin,
        /// Bytes that follow.
        length: u64,
    },
    /// Undo the adoption of a site.
    UndoAdoption {
        /// Its path, absolute or from the directory in which a login begins.
        site: Vec<u8>,
        /// Whether nothing is to change, and the reply says what would.
        dry_run: bool,
    },
    /// Compare a release with its manifest.
    DiskDiff {
        /// The release. None: the live one.
        release: Option<ReleaseId>,
        /// The depth.
        depth: CheckDepth,
    },
    /// List `shared/`.
    SharedList,
    /// Send a file of `shared/`.
    SharedRead(RelativePath),
    /// Receive a file of `shared/`.
    SharedWrite {
        /// Its path.
        path: RelativePath,
        /// The hash of the content that the client knows. None: the file does not exist.
        known: Option<Hash>,
        /// Bytes of the new content.
        length: u64,
    },
}

/// The order of an examination.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DoctorOrder {
    /// Whether to read all objects, and not only a sample.
    pub(crate) full: bool,
    /// The user whose rights are examined, instead of the users of the web server.
    pub(crate) web_user: Option<String>,
    /// The directory of the agent. None: the agent is a part of the client.
    pub(crate) agent_path: Option<AgentPath>,
    /// The client's time, in Unix seconds.
    pub(crate) second: u64,
    /// The space that the next deploy needs at most, if it is known.
    pub(crate) need: Option<Need>,
}

/// The directory of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AgentPath {
    /// The usual one, in the deploy path.
    InDeployPath,
    /// Another one.
    Elsewhere(Vec<u8>),
}

impl AgentPath {
    /// Returns the path, for a deploy path.
    pub(crate) fn under(&self, deploy_path: &Path) -> PathBuf {
        match self {
            AgentPath::Elsewhere(path) => PathBuf::from(OsStr::from_bytes(path)),
            AgentPath::InDeployPath => deploy_path.join(".cutover/bin"),
        }
    }
}

/// The space that the content of a source needs, if the server has none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Need {
    /// The sum of the sizes of its different files, in bytes.
    pub(crate) bytes: u64,
    /// The number of its different files.
    pub(crate) objects: u64,
    /// The number of its directories, symlinks and empty files.
    pub(crate) others: u64,
}

/// The depth of the comparison of releases with their manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CheckDepth {
    /// Every entry, without reading content.
    Entries,
    /// Every entry and all content.
    Content,
}

impl Request {
    /// Returns the verb, for the lock and the log.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Request::Setup => "setup",
            Request::Deploy(_) => "deploy",
            Request::Releases { .. } => "releases",
            Request::Status(_) => "status",
            Request::Doctor(_) => "doctor",
            Request::Switch { .. } => "switch",
            Request::Rollback { .. } => "rollback",
            Request::Pin { pin: Some(_), .. } => "pin",
            Request::Pin { pin: None, .. } => "unpin",
            Request::Cleanup { .. } => "cleanup",
            Request::Runs | Request::Journal { .. } => "log",
            Request::RunHook(_) => "hooks run",
            Request::Exec(_) => "exec",
            Request::DiskUse => "du",
            Request::LockStatus => "lock status",
            Request::AcquireLock(_) => "lock acquire",
            Request::Unlock => "unlock",
            Request::Manifests { .. } | Request::DiskDiff { .. } => "diff",
            Request::Survey { .. } | Request::Adopt { .. } => "adopt",
            Request::UndoAdoption { .. } => "undo of adopt",
            Request::SharedList => "shared list",
            Request::SharedRead(_) => "shared pull",
            Request::SharedWrite { .. } => "shared push",
        }
    }
}

/// The site to adopt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdoptBegin {
    /// Its path, absolute or from the directory in which a login begins.
    pub(crate) site: Vec<u8>,
    /// The paths that become shared, beside those of the configuration.
    pub(crate) share: Vec<RelativePath>,
    /// The paths that stay in the release, whatever their names say.
    pub(crate) keep: Vec<RelativePath>,
    /// Whether to link files and not to copy them.
    pub(crate) link: bool,
}

/// The release to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeployBegin {
    /// The root of its manifest.
    pub(crate) root: Hash,
    /// The release that the client proposes as base.
    pub(crate) base: Option<ReleaseId>,
    /// The root of the base, if it differs from `root`.
    pub(crate) base_root: Option<Hash>,
    /// The mark of the server's holding as the client believes it.
    pub(crate) believed: HoldingMark,
    /// The release's name, or the time in UTC if the server may choose a later one.
    pub(crate) release: ReleaseId,
    /// Whether the release must have that name.
    pub(crate) is_named: bool,
    /// The second (Unix time) for the mtime of its files, if the server can use it.
    pub(crate) second: u32,
    /// Whether to leave the release ready.
    pub(crate) no_switch: bool,
    /// Whether to make the release even if nothing changed.
    pub(crate) force: bool,
    /// Whether to change nothing.
    pub(crate) dry_run: bool,
    /// Whether to leave the free space unchecked.
    pub(crate) no_space_check: bool,
    /// The agent that a deploy would copy first, for a dry run that was only lent one.
    pub(crate) missing_agent: Option<MissingAgent>,
}

/// An agent that is not at its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MissingAgent {
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// Its directory.
    pub(crate) directory: AgentPath,
}

impl DeployBegin {
    /// Returns the base that the client proposes.
    pub(crate) fn base(&self) -> Option<BaseName> {
        let release = self.base.clone()?;
        Some(BaseName { release, root: self.base_root.unwrap_or(self.root) })
    }
}

/// The longest range of an old file that is signed, in bytes: both sides hold it in memory.
pub(crate) const GAP_BYTES_MAX: u64 = 8 << 20;

/// Ranges of a stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileGaps {
    /// The file's hash.
    pub(crate) hash: Hash,
    /// The file's mode.
    pub(crate) mode: u16,
    /// The offset and length of each range in bytes.
    #[serde(deserialize_with = "at_most::<{ bounds::GAPS_MAX }, _, _>")]
    pub(crate) ranges: Vec<(u64, u64)>,
}
