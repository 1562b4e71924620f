//! What the client says: the hello with its request, and what follows it. Only the client sends these.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::release::{Provenance, ReleaseId};
use crate::target::Policy;
use crate::wire::bounds::{self, Words, at_most};

use super::base::{Against, BaseName};
use super::holding::HoldingMark;

/// From the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ToAgent {
    /// The first message.
    Hello(Box<Hello>),
    /// The manifest follows in parts of this many bytes together, as its difference from the base.
    Tree {
        /// The base.
        against: Against,
        /// Bytes that follow.
        length: u64,
    },
    /// Asks for the manifest of the base that the agent takes.
    WantBase,
    /// Asks for an outline of that manifest in terms of the directories of the new one, which this describes. Where there
    /// is no base it is no question.
    WantOutline(Vec<u8>),
    /// Asks for signatures of the base's files at the paths of files of the tree that follows: runs of entries, as in
    /// [`Lacks`].
    WantSignatures(#[serde(deserialize_with = "at_most::<{ bounds::RUNS_MAX }, _, _>")] Vec<(u32, u32)>),
    /// Asks for the chunks of files of that base, by their entries.
    WantChunks(#[serde(deserialize_with = "at_most::<{ bounds::CHUNKED_MAX }, _, _>")] Vec<u32>),
    /// Asks for signatures of ranges of large files.
    WantGaps(#[serde(deserialize_with = "at_most::<{ bounds::GAPS_MAX }, _, _>")] Vec<GapsOf>),
    /// The hashes that were promised, in the order of their entries.
    Hashes(#[serde(deserialize_with = "at_most::<{ bounds::PROMISED_MAX }, _, _>")] Vec<Hash>),
    /// Everything was sent.
    Commit,
    /// Asks for a ticket for lanes.
    WantLanes,
    /// How many blocks were sent on each lane that stands, by its number. Goes before the commit, which waits for them.
    SentOnLanes(#[serde(deserialize_with = "at_most::<{ bounds::LANES_MAX }, _, _>")] Vec<(u32, u64)>),
    /// Alive.
    Ping,
}

impl Words for ToAgent {
    const BYTES_MAX: &'static [usize] = &[
        /* Hello */ bounds::HELLO_BYTES_MAX,
        /* Tree */ bounds::PLAIN_BYTES_MAX,
        /* WantBase */ bounds::PLAIN_BYTES_MAX,
        /* WantOutline */ bounds::OWN_BYTES_MAX,
        /* WantSignatures */ bounds::RUNS_BYTES_MAX,
        /* WantChunks */ 5 * bounds::CHUNKED_MAX + 64,
        /* WantGaps */ bounds::GAPS_BYTES_MAX,
        /* Hashes */ bounds::HASHES_BYTES_MAX,
        /* Commit */ bounds::PLAIN_BYTES_MAX,
        /* WantLanes */ bounds::PLAIN_BYTES_MAX,
        /* SentOnLanes */ 15 * bounds::LANES_MAX + 64,
        /* Ping */ bounds::PLAIN_BYTES_MAX,
    ];
}

/// What the client opens with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The deploy path.
    pub(crate) path: Vec<u8>,
    /// What the server keeps to.
    pub(crate) policy: Policy,
    /// Who asks.
    pub(crate) provenance: Provenance,
    /// What is asked.
    pub(crate) request: Request,
}

/// What is asked of the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Make the directories.
    Setup,
    /// Make a release.
    Deploy(DeployBegin),
    /// List the releases.
    Releases,
    /// Say how things stand.
    Status,
    /// Point `current` at a release.
    Switch(ReleaseId),
    /// Point `current` at an earlier release.
    Rollback(Option<ReleaseId>),
    /// Retention and garbage collection.
    Cleanup {
        /// Change nothing.
        dry_run: bool,
    },
    /// Send the manifests of releases.
    Manifests {
        /// Of these, in order; none names the live one.
        wanted: Vec<Option<ReleaseId>>,
        /// The roots of those that the client has.
        known: Vec<Hash>,
    },
}

impl Request {
    /// Names the verb, for the lock and the log.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Request::Setup => "setup",
            Request::Deploy(_) => "deploy",
            Request::Releases => "releases",
            Request::Status => "status",
            Request::Switch(_) => "switch",
            Request::Rollback(_) => "rollback",
            Request::Cleanup { .. } => "cleanup",
            Request::Manifests { .. } => "diff",
        }
    }
}

/// What release is to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeployBegin {
    /// Its root.
    pub(crate) root: Hash,
    /// The release that the client would describe it against.
    pub(crate) base: Option<ReleaseId>,
    /// The root of that one, where it is another.
    pub(crate) base_root: Option<Hash>,
    /// The mark of what the client believes the server to hold.
    pub(crate) believed: HoldingMark,
    /// Its name, or the time in UTC where the server may choose a later one.
    pub(crate) release: ReleaseId,
    /// Whether the name must be just that.
    pub(crate) is_named: bool,
    /// The second (Unix time) that its files are to carry as mtime, where the server can take it.
    pub(crate) second: u32,
    /// Leave it ready.
    pub(crate) no_switch: bool,
    /// Make it even where nothing changed.
    pub(crate) force: bool,
    /// Change nothing.
    pub(crate) dry_run: bool,
}

impl DeployBegin {
    /// Returns the base that the client would describe it against.
    pub(crate) fn base(&self) -> Option<BaseName> {
        let release = self.base.clone()?;
        Some(BaseName { release, root: self.base_root.unwrap_or(self.root) })
    }
}

/// The longest range of an old file that is signed, in bytes: both sides hold it in memory.
pub(crate) const GAP_BYTES_MAX: u64 = 8 << 20;

/// Ranges of a file of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GapsOf {
    /// Its hash.
    pub(crate) hash: Hash,
    /// Its mode.
    pub(crate) mode: u16,
    /// Where each begins, and its length in bytes.
    #[serde(deserialize_with = "at_most::<{ bounds::GAPS_MAX }, _, _>")]
    pub(crate) ranges: Vec<(u64, u64)>,
}
