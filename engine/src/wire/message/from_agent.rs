//! The messages of the agent: its base and lacking content, progress and warnings, the last answer.

use serde::{Deserialize, Serialize};

use crate::command::CommandEnd;
use crate::error::Refusal;
use crate::event::{CheckEvent, Phase};
use crate::live::LiveNow;
use crate::news::News;
use crate::release::ReleaseId;
use crate::report::RunSummary;
use crate::report::{
    AcquireReport, AdoptReport, ChangesReport, CleanupReport, DeployState, Differences, DiskDiffReport, DiskDifference,
    DiskUseReport, DoctorReport, HookRunReport, LockReport, MakingReport, PinReport, PreviewReport, ReleaseReport,
    ReleasesReport, RunsReport, SetupReport, SharedEntryReport, SharedListReport, SharedWriteReport, StatusReport,
    SurveyReport, SwitchReport, UndoReport, UnlockReport,
};
use crate::wire::bounds::{self, MessageBounds, at_most};
use crate::wire::lane::Ticket;

use super::base::{AgentBase, BaseName};
use super::holding::Holding;
use super::lacks::Lacks;

/// A message from the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromAgent {
    /// The deploy may go on.
    Ready {
        /// The server's store and releases, if the client believes something else.
        holding: Option<Holding>,
        /// The base that the agent uses.
        base: AgentBase,
        /// The live release, which stays live while the lock is held.
        live: LiveNow,
        /// The commit that the base was made from, if its source was a git checkout.
        commit: Option<String>,
    },
    /// A manifest follows in parts of this many bytes together: as a difference from the manifest before it, if there
    /// is one, and with no bytes if the client has it. The agent also sends it unasked if the client knows only an
    /// outline of the base and its tree does not fit the base: the client then sends the tree again.
    Manifest {
        /// The release of the manifest.
        name: BaseName,
        /// Bytes that follow.
        length: u64,
    },
    /// An outline of the base's manifest follows in parts of this many bytes together.
    Outline {
        /// Bytes that follow.
        length: u64,
    },
    /// Signatures follow in parts of this many bytes together: those of the requested files that are lacking.
    Signatures {
        /// Bytes that follow.
        length: u64,
    },
    /// The requested chunk lists, in order; none for content that the server lacks.
    Chunks(#[serde(deserialize_with = "at_most::<{ bounds::CHUNKED_MAX }, _, _>")] Vec<Option<Vec<u8>>>),
    /// Signatures of the requested ranges follow in parts of this many bytes together.
    GapSignatures {
        /// Bytes that follow.
        length: u64,
    },
    /// The content that the server lacks.
    Lacks(Lacks),
    /// Promised content did not come, or differs: the agent asks for its hashes.
    WantHashes,
    /// The requested ticket for lanes; none if the server allows no socket.
    Lanes(Option<Ticket>),
    /// The progress of a phase.
    Progress {
        /// The phase.
        phase: Phase,
        /// Files done.
        files: u64,
        /// Files in all.
        files_total: u64,
    },
    /// The progress of the agent's reading, while it receives.
    Read {
        /// Bytes, on all connections.
        bytes: u64,
        /// Commits.
        commits: u32,
        /// The time in microseconds for which the agent read no blocks since it began to receive, because all
        /// receivers were busy; none while they are busy. It shows the client whether the agent waits for content, or
        /// the content for the agent.
        stalled: Option<u64>,
    },
    /// News of the run.
    News(News),
    /// Asks for the client's verdict on the live release.
    WantsVerdict,
    /// A line of the requested journal, as JSON.
    JournalLine(String),
    /// The last message of a success.
    Done(Reply),
    /// The last message of a failure.
    Failed {
        /// The error.
        refusal: Refusal,
        /// The live release.
        live: LiveNow,
    },
    /// The agent is alive.
    Ping,
    /// A file of `shared/` follows in parts of this many bytes together.
    SharedContent {
        /// Bytes that follow.
        length: u64,
    },
    /// The agent holds the lock and waits for a file of `shared/`.
    WantSharedContent,
}

impl FromAgent {
    /// Makes the message of chunk lists. A list that does not fit is left out: the client then sends the file whole.
    pub(crate) fn chunks(lists: impl Iterator<Item = Option<Vec<u8>>>) -> FromAgent {
        // A list takes up to 6 bytes beside its own; a missing list takes 1.
        let mut room = bounds::CHUNKS_BYTES_MAX - 6 * bounds::CHUNKED_MAX;
        let fitting = |list: Option<Vec<u8>>| {
            let list = list?;
            room = room.checked_sub(list.len())?;
            Some(list)
        };
        FromAgent::Chunks(lists.map(fitting).collect())
    }
}

impl News {
    /// Cuts off text that is longer than a message may carry.
    pub(crate) fn fitting(self) -> News {
        let cut_off = |text| bounds::cut_off(text, bounds::REPORTED_TEXT_BYTES_MAX);
        match self {
            News::Warning(text) => News::Warning(cut_off(text)),
            News::LockWait(text) => News::LockWait(cut_off(text)),
            News::Check(CheckEvent::Failed { name, attempt, reason }) => {
                News::Check(CheckEvent::Failed { name, attempt, reason: cut_off(reason) })
            }
            news => news,
        }
    }
}

impl MessageBounds for FromAgent {
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
        /* News */ bounds::TEXT_MESSAGE_BYTES_MAX,
        /* WantsVerdict */ bounds::PLAIN_BYTES_MAX,
        /* JournalLine */ bounds::TEXT_MESSAGE_BYTES_MAX,
        /* Done */ bounds::ANSWER_BYTES_MAX,
        /* Failed */ bounds::ANSWER_BYTES_MAX,
        /* Ping */ bounds::PLAIN_BYTES_MAX,
        /* SharedContent */ bounds::PLAIN_BYTES_MAX,
        /* WantSharedContent */ bounds::PLAIN_BYTES_MAX,
    ];
}

/// The result of a deploy as the agent knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeployDone {
    /// The new release, or the live one if nothing changed.
    pub(crate) release: Option<ReleaseId>,
    /// The release that was live before.
    pub(crate) previous: Option<ReleaseId>,
    /// The outcome.
    pub(crate) state: DeployState,
    /// The difference from the live release before.
    pub(crate) changes: ChangesReport,
    /// The parts that the release was made of.
    pub(crate) making: MakingReport,
    /// Removed releases.
    pub(crate) removed: Vec<ReleaseId>,
    /// The forecast, for a dry run that would make a release.
    pub(crate) preview: Option<PreviewReport>,
    /// The hooks of the server that would run, for a dry run.
    pub(crate) hooks: Vec<String>,
    /// The edits of the live release, if its manifest is the one that was asked for.
    pub(crate) edited: Option<Differences>,
    /// Warnings for the user.
    pub(crate) warnings: Vec<String>,
    /// The server's store and releases, if they do not follow from the former ones and the releases made and removed.
    pub(crate) holding: Option<Holding>,
    /// Seconds by phase.
    pub(crate) seconds: Vec<(Phase, f32)>,
}

impl DeployDone {
    /// Makes a result with a state and nothing else.
    pub(crate) fn of(state: DeployState) -> DeployDone {
        DeployDone {
            release: None,
            previous: None,
            state,
            changes: ChangesReport::default(),
            making: MakingReport::default(),
            removed: Vec::new(),
            preview: None,
            hooks: Vec::new(),
            edited: None,
            warnings: Vec::new(),
            holding: None,
            seconds: Vec::new(),
        }
    }
}

/// The last answer of the agent.
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
    /// To `Doctor`.
    Doctor(Box<DoctorReport>),
    /// To `Switch` and `Rollback`.
    Switch(SwitchReport),
    /// To `Pin`.
    Pin(PinReport),
    /// To `Cleanup`.
    Cleanup(CleanupReport),
    /// To `Runs`.
    Runs(RunsReport),
    /// To `Journal`, after the last of its lines.
    Journal(RunSummary),
    /// To `RunHook`, of a hook that succeeded.
    RanHook(HookRunReport),
    /// To `Exec`.
    Exec(CommandEnd),
    /// To `DiskUse`.
    DiskUse(Box<DiskUseReport>),
    /// To `LockStatus`.
    LockStatus(LockReport),
    /// To `AcquireLock`.
    AcquireLock(AcquireReport),
    /// To `Unlock`.
    Unlock(UnlockReport),
    /// To `Manifests`, after the last of them.
    Manifests,
    /// To `Survey`.
    Survey(Box<SurveyReport>),
    /// To `Adopt`.
    Adopt(Box<AdoptReport>),
    /// To `UndoAdoption`.
    UndoAdoption(UndoReport),
    /// To `DiskDiff`.
    DiskDiff(DiskDiffReport),
    /// To `SharedList`.
    SharedList(SharedListReport),
    /// To `SharedRead`, after the content.
    SharedRead,
    /// To `SharedWrite`.
    SharedWrite(SharedWriteReport),
}

impl Reply {
    /// Drops the elements that do not fit a message from lists that may be as long as a directory of the server, beyond
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
                bounds::fitting(&mut report.warnings);
                // Drop the oldest releases: nobody goes back to them.
                let mut left = bounds::RELEASES_BYTES_MAX;
                let fits = |report: &&ReleaseReport| {
                    left = left.saturating_sub(bounds::RELEASE_BYTES_MAX + report.noted_bytes());
                    left > 0
                };
                let kept = report.releases.iter().rev().take_while(fits).count();
                report.releases.drain(..report.releases.len() - kept);
            }
            Reply::Status(report) => {
                bounds::fitting(&mut report.foreign);
                bounds::fitting(&mut report.warnings);
            }
            Reply::Doctor(report) => {
                bounds::fitting(&mut report.warnings);
                // The findings that weigh most stay.
                report.findings.sort_by_key(|finding| finding.id().severity);
                let mut room = 4 * bounds::REPORTED_BYTES_MAX;
                report.findings.retain(|finding| {
                    let bytes = super::to_bytes(finding).len();
                    let fits = bytes <= room;
                    room = room.saturating_sub(bytes);
                    fits
                });
            }
            Reply::Switch(report) => bounds::fitting(&mut report.warnings),
            Reply::Cleanup(report) => {
                bounds::fitting(&mut report.warnings);
                report.kept.iter_mut().for_each(|kept| {
                    kept.reason =
                        bounds::cut_off(std::mem::take(&mut kept.reason), bounds::REPORTED_TEXT_BYTES_MAX >> 6);
                });
            }
            Reply::Survey(report) => bounds::fitting(&mut report.warnings),
            Reply::Adopt(report) => bounds::fitting(&mut report.warnings),
            Reply::UndoAdoption(report) => bounds::fitting(&mut report.warnings),
            Reply::Runs(report) => report.runs.truncate(bounds::RUNS_REPORTED_MAX),
            Reply::DiskUse(report) => {
                bounds::fitting(&mut report.warnings);
                report.releases.truncate(bounds::RELEASES_BYTES_MAX / bounds::RELEASE_BYTES_MAX);
            }
            Reply::DiskDiff(report) => {
                let bytes = |found: &DiskDifference| found.path.len() + size_of::<DiskDifference>();
                report.paths_left_out += cut_list(&mut report.paths, bounds::RELEASES_BYTES_MAX, bytes);
            }
            Reply::Pin(report) => bounds::fitting(&mut report.warnings),
            Reply::SharedList(report) => {
                let bytes = |entry: &SharedEntryReport| entry.path.len();
                report.paths_left_out += cut_list(&mut report.paths, bounds::REPORTED_BYTES_MAX, bytes);
            }
            Reply::LockStatus(_)
            | Reply::AcquireLock(_)
            | Reply::Unlock(_)
            | Reply::Manifests
            | Reply::RanHook(_)
            | Reply::Exec(_)
            | Reply::Journal(_)
            | Reply::SharedRead
            | Reply::SharedWrite(_) => {}
        }
        self
    }
}

/// Drops what does not fit from the end of a list, and returns the number of it.
fn cut_list<T>(list: &mut Vec<T>, mut room: usize, bytes: impl Fn(&T) -> usize) -> u64 {
    let mut fits = |element: &T| {
        room = room.saturating_sub(bytes(element));
        room > 0
    };
    let kept = list.iter().take_while(|element| fits(element)).count();
    let dropped = (list.len() - kept) as u64;
    list.truncate(kept);
    dropped
}
