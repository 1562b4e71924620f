//! The messages, and the order in which they go.
//!
//! The client speaks first, and sends all that it can without waiting. A deploy, when what the client believes of the
//! server is right and little is to be sent, is one flight:
//!
//! ```text
//! client                                   agent
//! Hello { Deploy }                         takes the lock, checks, finds a base
//! Tree, parts, blocks, Commit        ───►  Ready                what it holds, and which base it takes
//!                                    ◄───  Lacks                the files of the tree that it has no content for
//!                                    ◄───  Live, Done
//! ```
//!
//! Where the client does not know the base that the agent takes, it waits for `Ready`, asks for an outline of that
//! release's manifest if need be, and sends the tree (again). Where much is to be sent, or the last upload was cut off, it waits for
//! `Lacks` and sends just that. When something is lacking at `Commit`, the agent says `Lacks` again, and the client
//! sends what is named there and commits again.
//!
//! A `Failed` ends it at any time. A side that hears nothing for long takes the other for dead: `Ping` says that it is not.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Refusal};
use crate::event::Phase;
use crate::hash::Hash;
use crate::release::{Provenance, ReleaseId};
use crate::report::{
    ChangesReport, CleanupReport, DeployState, MakingReport, ReleasesReport, SetupReport, StatusReport, SwitchReport,
};
use crate::target::Policy;
use crate::wire::bounds::{self, Words, at_most};
use crate::wire::lane::Ticket;

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

/// A release that new ones are described against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseName {
    /// The release.
    pub(crate) release: ReleaseId,
    /// The root of its manifest.
    pub(crate) root: Hash,
}

/// What a manifest is described against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Against {
    /// Nothing: all of it follows.
    Nothing,
    /// The base that the client named when it began.
    Named,
    /// The base that the agent said it takes.
    Taken,
}

/// The base that the agent takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Taken {
    /// None.
    Nothing,
    /// None, and nothing is stored either: all content is lacking.
    Empty,
    /// The one that the client named.
    Named,
    /// Another.
    Another(BaseName),
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

/// What the server holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holding {
    /// The store.
    pub(crate) store: String,
    /// The releases that stand.
    #[serde(deserialize_with = "at_most::<{ bounds::STANDING_MAX }, _, _>")]
    pub(crate) standing: Vec<ReleaseId>,
}

/// Tells one [`Holding`] from another in few bytes: what the other side has right need not be said.
pub(crate) type HoldingMark = [u8; 8];

impl Holding {
    /// Returns the first bytes of its hash.
    pub(crate) fn mark(&self) -> HoldingMark {
        let mut mark = HoldingMark::default();
        mark.copy_from_slice(&Hash::of(&to_bytes(self)).as_bytes()[..size_of::<HoldingMark>()]);
        mark
    }

    /// Returns what is held after a deploy that made one release, if any, and removed others.
    pub(crate) fn after(mut self, made: Option<&ReleaseId>, removed: &[ReleaseId]) -> Holding {
        self.standing.extend(made.cloned());
        self.standing.retain(|release| !removed.contains(release));
        self.standing.sort_unstable();
        self.standing.dedup();
        self
    }
}

/// Files of the new manifest whose content is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lacks {
    /// How many commits the agent had read when it said so.
    pub(crate) after_commits: u32,
    /// Runs of entries: how many to skip since the last run, and how many are meant.
    #[serde(deserialize_with = "at_most::<{ bounds::RUNS_MAX }, _, _>")]
    pub(crate) runs: Vec<(u32, u32)>,
    /// Entries of which the beginning is there, and how many bytes.
    #[serde(deserialize_with = "at_most::<{ bounds::PARTIAL_MAX }, _, _>")]
    pub(crate) partial: Vec<(u32, u64)>,
}

impl Lacks {
    /// Packs entries, which ascend.
    pub(crate) fn pack(entries: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        let mut next = 0;
        for entry in entries {
            match runs.last_mut() {
                Some((_, count)) if entry == next => *count += 1,
                _ => runs.push((entry - next, 1)),
            }
            next = entry + 1;
        }
        runs
    }

    /// Returns the entries, none at or beyond `limit`.
    pub(crate) fn entries(&self, limit: u32) -> Result<Vec<u32>, Error> {
        Lacks::unpack(&self.runs, limit)
    }

    /// Unpacks entries, none at or beyond `limit`.
    pub(crate) fn unpack(runs: &[(u32, u32)], limit: u32) -> Result<Vec<u32>, Error> {
        let beyond = || Error::Protocol("a file beyond the manifest".into());
        let mut entries = Vec::new();
        let mut next = 0_u32;
        for &(skip, count) in runs {
            let first = next.checked_add(skip).ok_or_else(beyond)?;
            next = first.checked_add(count).filter(|&next| next <= limit).ok_or_else(beyond)?;
            entries.extend(first..next);
        }
        Ok(entries)
    }
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

/// What is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Live {
    /// This release, as before.
    Release(ReleaseId),
    /// This release, since the switch that was asked for.
    Switched(ReleaseId),
    /// Nothing yet.
    Nothing,
    /// It could not be found out, and nothing was switched.
    Unchanged,
    /// It could not be found out, and the switch had begun.
    Unknown,
}

impl From<Option<&ReleaseId>> for Live {
    fn from(release: Option<&ReleaseId>) -> Live {
        release.cloned().map_or(Live::Nothing, Live::Release)
    }
}

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
        live: Live,
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
        live: Live,
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

/// Returns a message as bytes.
pub(crate) fn to_bytes<M: Serialize>(message: &M) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages can always be serialized")
}

/// Returns a message as bytes, where it is no longer than the other side takes.
pub(crate) fn to_bounded_bytes<M: Serialize + Words>(message: &M) -> Result<Vec<u8>, Error> {
    let bytes = to_bytes(message);
    let bytes_max = bytes.first().and_then(|&kind| M::BYTES_MAX.get(usize::from(kind))).copied().unwrap_or_default();
    if bytes.len() > bytes_max {
        return Err(Error::MessageTooLong { bytes: bytes.len() as u64, most: bytes_max as u64 });
    }
    Ok(bytes)
}

/// Reads a message.
pub(crate) fn from_bytes<'a, M: Deserialize<'a>>(bytes: &'a [u8]) -> Result<M, Error> {
    postcard::from_bytes(bytes).map_err(|error| Error::Protocol(format!("a message that cannot be read ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ReleaseReport;

    fn id(text: &str) -> ReleaseId {
        text.parse().unwrap()
    }

    fn hello() -> ToAgent {
        let request = Request::Status;
        let (path, policy, provenance) = (b"/srv".to_vec(), Policy::default(), Provenance::default());
        ToAgent::Hello(Box::new(Hello { path, policy, provenance, request }))
    }

    #[test]
    fn each_kind_of_message_has_its_greatest_length() {
        let base = BaseName { release: id("1"), root: Hash::of(b"") };
        let to_agent = [
            hello(),
            ToAgent::Tree { against: Against::Nothing, length: u64::MAX },
            ToAgent::WantBase,
            ToAgent::WantOutline(Vec::new()),
            ToAgent::WantSignatures(Vec::new()),
            ToAgent::WantChunks(Vec::new()),
            ToAgent::WantGaps(Vec::new()),
            ToAgent::Hashes(Vec::new()),
            ToAgent::Commit,
            ToAgent::WantLanes,
            ToAgent::SentOnLanes(Vec::new()),
            ToAgent::Ping,
        ];
        let refusal = Refusal { kind: crate::error::Kind::Bug, message: String::new(), causes: Vec::new(), hint: None };
        let from_agent = [
            FromAgent::Ready { holding: None, base: Taken::Nothing, live: Live::Nothing, commit: None },
            FromAgent::Manifest { name: base, length: u64::MAX },
            FromAgent::Outline { length: u64::MAX },
            FromAgent::Signatures { length: u64::MAX },
            FromAgent::Chunks(Vec::new()),
            FromAgent::GapSignatures { length: u64::MAX },
            FromAgent::Lacks(Lacks::default()),
            FromAgent::WantHashes,
            FromAgent::Lanes(None),
            FromAgent::Progress { phase: Phase::Sync, files: u64::MAX, files_total: u64::MAX },
            FromAgent::Read { bytes: u64::MAX, commits: u32::MAX, stalled: Some(u64::MAX) },
            FromAgent::Phase { phase: Phase::Sync, ended: true },
            FromAgent::LockTakenOver(String::new()),
            FromAgent::Warning(String::new()),
            FromAgent::Removed(id("1")),
            FromAgent::Live(id("1")),
            FromAgent::Done(Reply::Manifests),
            FromAgent::Failed { refusal, live: Live::Nothing },
            FromAgent::Ping,
        ];
        let numbers = |first: Vec<u8>| first.into_iter().map(usize::from).collect::<Vec<_>>();
        let to_agent = numbers(to_agent.iter().map(|message| to_bounded_bytes(message).unwrap()[0]).collect());
        let from_agent = numbers(from_agent.iter().map(|message| to_bounded_bytes(message).unwrap()[0]).collect());
        assert_eq!(to_agent, (0..ToAgent::BYTES_MAX.len()).collect::<Vec<_>>());
        assert_eq!(from_agent, (0..FromAgent::BYTES_MAX.len()).collect::<Vec<_>>());
    }

    #[test]
    fn what_the_largest_deploys_have_to_say_fits() {
        use crate::manifest::ENTRIES_MAX;
        let last = ENTRIES_MAX as u32 - 1;
        let runs_of = |step: usize| Lacks::pack((0..=last).step_by(step));
        for step in [1, 2, 3, 200, 20_000] {
            let partial = vec![(last, u64::MAX); bounds::PARTIAL_MAX];
            let lacks = FromAgent::Lacks(Lacks { after_commits: u32::MAX, runs: runs_of(step), partial });
            assert!(from_bytes::<FromAgent>(&to_bounded_bytes(&lacks).unwrap()).unwrap() == lacks, "{step}");
            to_bounded_bytes(&ToAgent::WantSignatures(runs_of(step))).unwrap();
        }
        to_bounded_bytes(&ToAgent::WantChunks(vec![last; bounds::CHUNKED_MAX])).unwrap();
        to_bounded_bytes(&ToAgent::Hashes(vec![Hash::of(b""); bounds::PROMISED_MAX])).unwrap();
        to_bounded_bytes(&ToAgent::SentOnLanes(vec![(u32::MAX, u64::MAX); bounds::LANES_MAX])).unwrap();
        to_bounded_bytes(&ToAgent::WantOutline(vec![0; 11 * crate::manifest::DIRECTORIES_MAX])).unwrap();
        // Each range in a file of its own, none beyond what a filesystem holds.
        let far = GapsOf { hash: Hash::of(b""), mode: 0o444, ranges: vec![(1 << 62, GAP_BYTES_MAX)] };
        to_bounded_bytes(&ToAgent::WantGaps(vec![far; bounds::GAPS_MAX])).unwrap();
        let long = id(&format!("1{}", "x".repeat(63)));
        let holding = Holding { store: "s".repeat(64), standing: vec![long; bounds::STANDING_MAX] };
        let ready = |holding| FromAgent::Ready { holding, base: Taken::Nothing, live: Live::Nothing, commit: None };
        to_bounded_bytes(&ready(Some(holding))).unwrap();
        // One more file than there is room for lists of.
        let list = vec![7; bounds::CHUNKS_BYTES_MAX / 4];
        let chunks = FromAgent::chunks((0..5).map(|_| Some(list.clone())));
        let FromAgent::Chunks(lists) = &chunks else { panic!() };
        assert_eq!(lists.iter().filter(|list| list.is_some()).count(), 3);
        to_bounded_bytes(&chunks).unwrap();
    }

    #[test]
    fn a_message_that_is_too_long_is_not_sent() {
        let long = ToAgent::SentOnLanes(vec![(u32::MAX, u64::MAX); 2 * bounds::LANES_MAX]);
        assert!(matches!(to_bounded_bytes(&long), Err(Error::MessageTooLong { .. })));
    }

    #[test]
    fn reports_are_cut_to_what_a_message_takes() {
        let many = |text: &str| vec![text.repeat(5000); 5000];
        let mut done = DeployDone::of(DeployState::Live);
        done.warnings = many("w");
        done.making.not_reused = Some("x".repeat(1 << 20));
        let release = ReleaseReport {
            id: id("1"),
            state: crate::report::ReleaseState::Earlier,
            live_since: Some(u64::MAX),
            created: u64::MAX,
            commit: Some("c".repeat(64)),
            files: u64::MAX,
            bytes: u64::MAX,
            own_bytes: u64::MAX,
            who: "user@host".repeat(5),
            manifest: "0".repeat(64),
        };
        let releases = ReleasesReport {
            releases: vec![release; 2 * bounds::RELEASES_MAX],
            foreign: many("f"),
            warnings: Vec::new(),
        };
        let setup =
            SetupReport { deploy_path: "/srv".into(), store: "s".into(), created: many("c"), warnings: Vec::new() };
        let cleanup = CleanupReport { warnings: many("w"), ..CleanupReport::default() };
        let replies =
            [Reply::Deploy(Box::new(done)), Reply::Releases(releases), Reply::Setup(setup), Reply::Cleanup(cleanup)];
        for reply in replies {
            to_bounded_bytes(&FromAgent::Done(reply.fitting())).unwrap();
        }
    }

    #[test]
    fn lacking_entries_read_back() {
        for entries in [vec![], vec![0], vec![0, 1, 2, 7, 9, 10], vec![5]] {
            let lacks = Lacks { runs: Lacks::pack(entries.iter().copied()), ..Lacks::default() };
            assert_eq!(lacks.entries(11).unwrap(), entries);
        }
        let beyond = Lacks { runs: vec![(3, u32::MAX)], ..Lacks::default() };
        assert!(matches!(beyond.entries(10), Err(Error::Protocol(_))));
    }
}
