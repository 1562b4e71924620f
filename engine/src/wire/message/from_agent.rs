//! What the agent says: what it takes and lacks, what only tells, and the last answer. Only the agent sends these.

use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::event::Phase;
use crate::live::LiveNow;
use crate::release::ReleaseId;
use crate::report::{
    ChangesReport, CleanupReport, DeployState, MakingReport, ReleasesReport, SetupReport, StatusReport, SwitchReport,
};
use crate::wire::bounds::{self, Words, at_most};
use crate::wire::lane::Ticket;

use super::base::{BaseName, Taken};
use super::holding::Holding;
use super::lacks::Lacks;

/// From the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromAgent {
    /// The deploy may go on.
    Ready {
        /// What the server holds, where the client believes something else.
        holding: Option<Holding>,
        /// The base that the agent takes.
        base: Taken,
        /// What is live, and stays so while the lock is held.
        live: LiveNow,
        /// The commit that the base was made of, where it was a git checkout.
        commit: Option<String>,
    },
    /// A manifest follows in parts of this many bytes together: as its difference from the one before, where another went
    /// before it, and nothing of one that the client has. Unasked, where the tree that came does not fit the base, of which
    /// the client has an outline only: it is to be sent again.
    Manifest {
        /// The release that it is of.
        name: BaseName,
        /// Bytes that follow.
        length: u64,
    },
    /// An outline of the manifest of the base follows in parts of this many bytes together.
    Outline {
        /// Bytes that follow.
        length: u64,
    },
    /// Signatures follow in parts of this many bytes together: of those files that were asked for and are lacking.
    Signatures {
        /// Bytes that follow.
        length: u64,
    },
    /// The chunks that were asked for, in order; none where the content is not there.
    Chunks(#[serde(deserialize_with = "at_most::<{ bounds::CHUNKED_MAX }, _, _>")] Vec<Option<Vec<u8>>>),
    /// Signatures of the ranges that were asked for follow in parts of this many bytes together.
    GapSignatures {
        /// Bytes that follow.
        length: u64,
    },
    /// What content is wanted.
    Lacks(Lacks),
    /// Content that was promised did not come, or another did: its hashes are wanted.
    WantHashes,
    /// The ticket for lanes that was asked for; none where the server allows no socket.
    Lanes(Option<Ticket>),
    /// How far a phase is.
    Progress {
        /// The phase.
        phase: Phase,
        /// Files done.
        files: u64,
        /// Files in all.
        files_total: u64,
    },
    /// What it has read so far, while it receives.
    Read {
        /// Bytes, on all connections.
        bytes: u64,
        /// Commits.
        commits: u32,
        /// For how long it has taken no blocks since it began to receive, as all receivers were at work, in microseconds;
        /// none where they are at work now. The client sees by it whether the agent waits for content or content for the
        /// agent.
        stalled: Option<u64>,
    },
    /// A phase began or ended.
    Phase {
        /// The phase.
        phase: Phase,
        /// Whether it ended.
        ended: bool,
    },
    /// A dead deploy's lock was taken over.
    LockTakenOver(String),
    /// What the user should know.
    Warning(String),
    /// A release was removed.
    Removed(ReleaseId),
    /// `current` points at the release, durably.
    Live(ReleaseId),
    /// The end.
    Done(Reply),
    /// The end, with an error.
    Failed {
        /// The error.
        refusal: Refusal,
        /// What is live.
        live: LiveNow,
    },
    /// Alive.
    Ping,
}

impl FromAgent {
    /// Makes a message of lists of chunks. A list that there is no room for is left out: that file is sent whole.
    pub(crate) fn chunks(lists: impl Iterator<Item = Option<Vec<u8>>>) -> FromAgent {
        // A list that is there takes up to 6 bytes more, one that is not takes 1.
        let mut room = bounds::CHUNKS_BYTES_MAX - 6 * bounds::CHUNKED_MAX;
        let fitting = |list: Option<Vec<u8>>| {
            let list = list?;
            room = room.checked_sub(list.len())?;
            Some(list)
        };
        FromAgent::Chunks(lists.map(fitting).collect())
    }
}

impl Words for FromAgent {
    const BYTES_MAX: &'static [usize] = &[
        /* Ready */ bounds::READY_BYTES_MAX,
        /* Manifest */ bounds::PLAIN_BYTES_MAX,
        /* Outline */ bounds::PLAIN_BYTES_MAX,
        /* Signatures */ bounds::PLAIN_BYTES_MAX,
        /* Chunks */ bounds::CHUNKS_BYTES_MAX,
        /* GapSignatures */ bounds::PLAIN_BYTES_MAX,
        /* Lacks */ bounds::LACKS_BYTES_MAX,
        /* WantHashes */ bounds::PLAIN_BYTES_MAX,
        /* Lanes */ bounds::PLAIN_BYTES_MAX,
        /* Progress */ bounds::PLAIN_BYTES_MAX,
        /* Read */ bounds::PLAIN_BYTES_MAX,
        /* Phase */ bounds::PLAIN_BYTES_MAX,
        /* LockTakenOver */ bounds::TEXT_MESSAGE_BYTES_MAX,
        /* Warning */ bounds::TEXT_MESSAGE_BYTES_MAX,
        /* Removed */ bounds::PLAIN_BYTES_MAX,
        /* Live */ bounds::PLAIN_BYTES_MAX,
        /* Done */ bounds::ANSWER_BYTES_MAX,
        /* Failed */ bounds::ANSWER_BYTES_MAX,
        /* Ping */ bounds::PLAIN_BYTES_MAX,
    ];
}

/// What a deploy came to, as far as the agent knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeployDone {
    /// The release made, or the live one where nothing changed.
    pub(crate) release: Option<ReleaseId>,
    /// What was live before.
    pub(crate) previous: Option<ReleaseId>,
    /// What it came to.
    pub(crate) state: DeployState,
    /// How it differs from what was live.
    pub(crate) changes: ChangesReport,
    /// What it was made of.
    pub(crate) making: MakingReport,
    /// Releases removed.
    pub(crate) removed: Vec<ReleaseId>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
    /// What the server holds now, where that does not follow from what it held and the releases made and removed.
    pub(crate) holding: Option<Holding>,
    /// Seconds, by phase.
    pub(crate) seconds: Vec<(Phase, f32)>,
}

impl DeployDone {
    /// Begins with a state and nothing done.
    pub(crate) fn of(state: DeployState) -> DeployDone {
        DeployDone {
            release: None,
            previous: None,
            state,
            changes: ChangesReport::default(),
            making: MakingReport::default(),
            removed: Vec::new(),
            warnings: Vec::new(),
            holding: None,
            seconds: Vec::new(),
        }
    }
}

/// What the agent answers in the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// To `Setup`.
    Setup(SetupReport),
    /// To `Deploy`.
    Deploy(Box<DeployDone>),
    /// To `Releases`.
    Releases(ReleasesReport),
    /// To `Status`.
    Status(Box<StatusReport>),
    /// To `Switch` and `Rollback`.
    Switch(SwitchReport),
    /// To `Cleanup`.
    Cleanup(CleanupReport),
    /// To `Manifests`, after the last of them.
    Manifests,
}

impl Reply {
    /// Leaves out what does not fit a message: of lists that may be as long as a directory of the server, what is beyond
    /// some thousands.
    pub(crate) fn fitting(mut self) -> Reply {
        match &mut self {
            Reply::Setup(report) => bounds::fitting(&mut report.created),
            Reply::Deploy(done) => {
                bounds::fitting(&mut done.warnings);
                let not_reused = &mut done.making.not_reused;
                *not_reused = not_reused.take().map(|why| bounds::cut_off(why, bounds::REPORTED_TEXT_BYTES_MAX));
            }
            Reply::Releases(report) => {
                bounds::fitting(&mut report.foreign);
                // Oldest first: what is left out is what nobody goes back to.
                report.releases.drain(..report.releases.len().saturating_sub(bounds::RELEASES_MAX));
            }
            Reply::Status(report) => bounds::fitting(&mut report.foreign),
            Reply::Switch(report) => bounds::fitting(&mut report.warnings),
            Reply::Cleanup(report) => {
                bounds::fitting(&mut report.warnings);
                report.kept.iter_mut().for_each(|kept| {
                    kept.reason =
                        bounds::cut_off(std::mem::take(&mut kept.reason), bounds::REPORTED_TEXT_BYTES_MAX >> 6);
                });
            }
            Reply::Manifests => {}
        }
        self
    }
}
