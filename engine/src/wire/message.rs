//! The messages, and their order.
//!
//! The client speaks first, and sends all that it can without waiting. While it still scans, it may send `Look`, and
//! the agent compares the live release with its manifest meanwhile. If the client's belief about the server is
//! right and there is little to send, a deploy is one flight:
//!
//! ```text
//! client                                   agent
//! Hello { Deploy }                         takes the lock, checks, finds a base
//! Tree, parts, blocks, Commit        ───►  Ready                its releases, and the base that it uses
//!                                    ◄───  Lacks                the files of the tree whose content it lacks
//!                                    ◄───  Live, Done
//! ```
//!
//! If the client does not know the base that the agent uses, it waits for `Ready`, asks for an outline of that
//! release's manifest if necessary, and sends the tree (again). If there is much to send, or the last upload was
//! interrupted, the client waits for `Lacks` and sends only the lacking content. If content is still lacking at
//! `Commit`, the agent sends `Lacks` again; the client sends that content and commits again.
//!
//! A `Failed` ends the conversation at any time. A side that receives nothing for long assumes that the other is
//! dead; `Ping` shows that it is alive.
//!
//! The messages of each side have a file of their own, and types that both sides use another.

mod base;
mod encoding;
mod from_agent;
mod holding;
mod lacks;
mod to_agent;

pub(crate) use base::{AgentBase, BaseName, TreeBase};
pub(crate) use encoding::{from_bytes, to_bounded_bytes, to_bytes};
pub(crate) use from_agent::{DeployDone, FromAgent, Reply};
pub(crate) use holding::Holding;
pub(crate) use lacks::Lacks;
pub(crate) use to_agent::{
    AdoptBegin, AgentPath, CheckDepth, DeployBegin, DoctorOrder, FileGaps, GAP_BYTES_MAX, Hello, MissingAgent, Need,
    Request, ToAgent,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::event::Phase;
    use crate::hash::Hash;
    use crate::live::LiveNow;
    use crate::news::News;
    use crate::procedure::Procedure;
    use crate::release::{Bad, Provenance, ReleaseId};
    use crate::report::{
        CleanupReport, DeployState, DoctorReport, Finding, ReleaseReport, ReleasesReport, SetupReport,
    };
    use crate::request::LockRequest;
    use crate::target::Policy;
    use crate::wire::bounds::{self, MessageBounds};

    fn id(text: &str) -> ReleaseId {
        text.parse().unwrap()
    }

    fn hello() -> ToAgent {
        let request = Request::Status(None);
        let (path, policy, provenance) = (b"/srv".to_vec(), Policy::default(), Provenance::default());
        let (procedure, lock) = (Procedure::default(), LockRequest::default());
        ToAgent::Hello(Box::new(Hello { path, policy, procedure, lock, provenance, request }))
    }

    #[test]
    fn each_kind_of_message_has_its_greatest_length() {
        let base = BaseName { release: id("1"), root: Hash::of(b"") };
        let to_agent = [
            hello(),
            ToAgent::Tree { against: TreeBase::Nothing, length: u64::MAX },
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
            ToAgent::Stop,
            ToAgent::Verdict(None),
            ToAgent::Look(Vec::new()),
        ];
        let refusal = Error::Bug(String::new()).to_refusal();
        let from_agent = [
            FromAgent::Ready { holding: None, base: AgentBase::Nothing, live: LiveNow::Nothing, commit: None },
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
            FromAgent::News(News::Live(id("1"))),
            FromAgent::WantsVerdict,
            FromAgent::JournalLine(String::new()),
            FromAgent::Done(Reply::Manifests),
            FromAgent::Failed { refusal, live: LiveNow::Nothing },
            FromAgent::Ping,
            FromAgent::SharedContent { length: u64::MAX },
            FromAgent::WantSharedContent,
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
        // Each range in another file, at the highest offset that a filesystem has.
        let far = FileGaps { hash: Hash::of(b""), mode: 0o444, ranges: vec![(1 << 62, GAP_BYTES_MAX)] };
        to_bounded_bytes(&ToAgent::WantGaps(vec![far; bounds::GAPS_MAX])).unwrap();
        let long = id(&format!("1{}", "x".repeat(63)));
        let holding = Holding { store: "s".repeat(64), releases: vec![long; bounds::HELD_RELEASES_MAX] };
        let ready =
            |holding| FromAgent::Ready { holding, base: AgentBase::Nothing, live: LiveNow::Nothing, commit: None };
        to_bounded_bytes(&ready(Some(holding))).unwrap();
        // One file more than the message has room for.
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
            branch: Some("b".repeat(250)),
            dirty: Some(true),
            files: u64::MAX,
            bytes: u64::MAX,
            own_bytes: u64::MAX,
            who: "user@host".repeat(5),
            manifest: "0".repeat(64),
            bad: None,
            pinned: None,
            migrations: Vec::new(),
        };
        let bad = Bad { reason: "r".repeat(500), at: u64::MAX, by: "user@host".into(), left_for: Some(id("1")) };
        let noted = ReleaseReport { bad: Some(bad), migrations: vec!["migrate".into(); 50], ..release.clone() };
        let releases = ReleasesReport { releases: vec![release; 20_000], foreign: many("f"), warnings: many("w") };
        let noted = ReleasesReport { releases: vec![noted; 20_000], ..releases.clone() };
        let setup =
            SetupReport { deploy_path: "/srv".into(), store: "s".into(), created: many("c"), warnings: Vec::new() };
        let cleanup = CleanupReport { warnings: many("w"), ..CleanupReport::default() };
        let note = |text: String| Finding::SourceWarning { text };
        let mut findings = vec![note("n".repeat(5000)); 5000];
        let reason = "r".into();
        findings.push(Finding::NoHardlinks { path: "/srv".into(), reason });
        let report = DoctorReport {
            deploy_path: "/srv".into(),
            user: "u".into(),
            examined: Vec::new(),
            findings,
            warnings: many("w"),
        };
        let replies = [
            Reply::Doctor(Box::new(report)),
            Reply::Deploy(Box::new(done)),
            Reply::Releases(releases),
            Reply::Releases(noted),
            Reply::Setup(setup),
            Reply::Cleanup(cleanup),
        ];
        for reply in replies {
            let reply = reply.fitting();
            if let Reply::Releases(report) = &reply {
                // The newest stay.
                assert!((1000..20_000).contains(&report.releases.len()), "{}", report.releases.len());
            }
            if let Reply::Doctor(report) = &reply {
                assert_eq!(report.findings[0].id().id, "no-hardlinks");
                assert!((100..5000).contains(&report.findings.len()), "{}", report.findings.len());
            }
            to_bounded_bytes(&FromAgent::Done(reply)).unwrap();
        }
    }
}
