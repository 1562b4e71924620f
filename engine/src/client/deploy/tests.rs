//! Deploys to local targets, whose agents are threads of this process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::agent;
use crate::chunk::LARGE_FILE_BYTES;
use crate::client::database::Database;
use crate::client::source_directory::SourceOrigin;
use crate::event::{Observer, Recorder, Silent};
use crate::hash::Hash;
use crate::manifest::{Builder, File as ManifestFile, ObjectKey};
use crate::release::Provenance;
use crate::report::DeployState;
use crate::request::SourceRequest;
use crate::scan::snapshot::Snapshot;
use crate::target::{Destination, Policy, Reach, Target};
use crate::verbs::deploy;
use crate::wire::pipe;

/// A source, the state of a client, and room for targets.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("source")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// Writes a file of the source.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path("source").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn request(&self) -> DeployRequest {
        let source = SourceRequest { directory: self.path("source"), ..SourceRequest::default() };
        DeployRequest { source, ..DeployRequest::default() }
    }

    fn context(&self, target: &str, observer: Arc<dyn Observer>) -> Context {
        Context {
            target: Target { destination: Destination::Local(self.path(target)), reach: Reach::default() },
            policy: Policy::default(),
            procedure: Default::default(),
            lock: Default::default(),
            provenance: Provenance::default(),
            state_dir: self.path("state"),
            observer,
            cancel: Cancel::default(),
        }
    }
}

/// The exchanges with each host.
#[derive(Clone, Copy)]
struct Task<'a> {
    source: &'a Source<'a>,
    request: &'a DeployRequest,
    proposal: &'a Proposal,
}

impl Task<'_> {
    /// Exchanges it with a local target.
    fn exchange(self, context: &Context) -> Outcome {
        let Task { source, request, proposal } = self;
        let host = Host::recall(context, request, source.memory());
        let forecast = Forecast::new(source, &host).unwrap();
        let connection =
            pipe::connect(|input, output| agent::serve(agent::RunnerProgram::default(), input, output)).unwrap();
        let conversation = Conversation::new(connection, context.observer.clone(), context.cancel.clone()).unwrap();
        let outcome = Exchange::new(source, proposal, &host, &conversation).run(forecast).unwrap();
        host.remember(source, &outcome);
        conversation.finish();
        outcome
    }
}

/// How hosts are exchanged with.
#[derive(Debug, Clone, Copy)]
enum Turn {
    AtOnce,
    OneAfterAnother,
}

impl Turn {
    fn exchange(self, task: Task<'_>, contexts: &[Context; 2]) -> Vec<Outcome> {
        match self {
            Turn::OneAfterAnother => contexts.iter().map(|context| task.exchange(context)).collect(),
            Turn::AtOnce => std::thread::scope(|scope| {
                let started = contexts.each_ref().map(|context| scope.spawn(|| task.exchange(context)));
                started.into_iter().map(|exchange| exchange.join().unwrap()).collect()
            }),
        }
    }
}

impl Place {
    /// Scans the source, for targets that are told to `observer`.
    fn with_source<T>(&self, observer: Arc<dyn Observer>, work: impl FnOnce(&Source<'_>, &DeployRequest) -> T) -> T {
        let request = self.request();
        let context = self.context("nowhere", observer);
        let memory = Memory::open(&context.state_dir, context.observer.clone());
        let origin = SourceOrigin::find(&request.source, &context.target.destination, &context.cancel).unwrap();
        let observer = context.observer.as_ref();
        let directory = origin.check_out(&context.state_dir, observer, &context.cancel).unwrap().settle().unwrap();
        let source = Source::scan(directory, LastScan::Trusted, &memory, observer, &context.cancel).unwrap();
        work(&source, &request)
    }
}

/// The files below a directory: mode, mtime and content, by path.
type Files = BTreeMap<PathBuf, (u32, i64, Vec<u8>)>;

fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(below) = waiting.pop() {
        for entry in fs::read_dir(&below).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(directory).unwrap().to_owned();
                found.insert(path, (metadata.mode(), metadata.mtime(), fs::read(entry.path()).unwrap()));
            }
        }
    }
    found
}

fn contents(files: Files) -> BTreeMap<PathBuf, Vec<u8>> {
    files.into_iter().map(|(path, (_, _, content))| (path, content)).collect()
}

#[test]
fn a_source_that_is_scanned_once_is_exchanged_with_two_hosts() {
    for turn in [Turn::AtOnce, Turn::OneAfterAnother] {
        let place = Place::new();
        place.write("large", vec![b'l'; 20 << 20]);
        (0..300).for_each(|number| place.write(&format!("{}/{number}", number % 7), format!("file {number}")));
        // All is new; then one file changed, and the database says that each host has the release before.
        for version in ["one", "two"] {
            place.write("version", version);
            let recorder = Arc::new(Recorder::default());
            let contexts = ["first", "second"].map(|target| place.context(target, recorder.clone()));
            let outcomes = place.with_source(recorder.clone(), |source, request| {
                turn.exchange(Task { source, request, proposal: &Proposal::now(request) }, &contexts)
            });
            let events = recorder.events();
            let scans = events.iter().filter(|event| **event == Event::Began(Phase::Scan)).count();
            assert_eq!(scans, 1, "{turn:?}");
            assert!(outcomes.iter().all(|outcome| outcome.done.state == DeployState::Live));
            assert_eq!(outcomes[0].done.release, outcomes[1].done.release, "{turn:?}");
            let [first, second] = ["first", "second"].map(|target| files(&place.path(target).join("current/")));
            assert_eq!(first, second, "{turn:?}");
            assert_eq!(contents(first), contents(files(&place.path("source"))));
            let warning = events.iter().find(|event| matches!(event, Event::Warning(_)));
            assert_eq!(warning, None, "{turn:?}");
        }
    }
}

#[test]
fn a_host_takes_what_is_proposed_where_it_is_free_and_near_its_clock() {
    let place = Place::new();
    let context = place.context("target", Arc::new(Silent));
    let version = || fs::metadata(place.path("target/current/version")).unwrap().mtime();
    let exchange = |content: &str, proposal: &Proposal| {
        place.write("version", content);
        place.with_source(Arc::new(Silent), |source, request| Task { source, request, proposal }.exchange(&context))
    };
    let free = Proposal::now(&place.request());
    let taken = exchange("one", &free).done.release.unwrap();
    assert_eq!((taken, version()), (free.release.clone(), i64::from(free.second)));
    // The next ones are free.
    let next = exchange("two", &free).done.release.unwrap();
    assert_eq!((Some(next), version()), (free.release.a_second_later(), i64::from(free.second) + 1));
    let far = Proposal { second: free.second + 365 * 24 * 3600, ..free };
    exchange("three", &far);
    let passed = version() - i64::from(free.second);
    assert!((2..300).contains(&passed), "{passed} s later");
}

/// Makes the kept scan of a source say that its only file had other content.
fn mistake_content(state_dir: &Path, source: &Path) {
    let database = Database::open(state_dir, Arc::new(Silent)).unwrap();
    let known = database.scan(source).unwrap().unwrap();
    let file = known.manifest.file(0).unwrap();
    let mut builder = Builder::new();
    builder.begin(0o755).unwrap();
    let key = ObjectKey { hash: Hash::of(b"what it never was"), ..file.key };
    builder.file(b"file", ManifestFile { key, ..file }).unwrap();
    // Long after: a change just before a scan is not trusted.
    let (manifest, began) = (builder.finish().unwrap(), known.began + 3_600_000_000_000);
    let known = Snapshot { manifest, began, ..known };
    database.put_scan(source, &known).unwrap();
}

#[test]
fn content_that_was_mistaken_is_named_and_read_again_by_the_next_deploy_or_a_paranoid_one() {
    // Small; small enough to go with others, and larger than that.
    for bytes in [1000, LARGE_FILE_BYTES + 1, (4 << 20) + 1] {
        let place = Place::new();
        place.write("file", vec![b'x'; bytes as usize]);
        let (path, request) = (|name: &str| place.path(name), place.request());
        let context = |target: &str| place.context(target, Arc::new(Silent));
        deploy(&context("first"), &request).unwrap();
        // To a target that has another version, and to one that has nothing.
        for target in ["first", "second"] {
            mistake_content(&path("state"), &path("source"));
            let failure = deploy(&context(target), &request).unwrap_err();
            assert!(
                matches!(&failure.error, Error::Source(SourceError::FileChangedUnseen(path)) if path == "file"),
                "{failure:?}"
            );
            deploy(&context(target), &request).unwrap();
            assert_eq!(fs::read(path(target).join("current/file")).unwrap(), vec![b'x'; bytes as usize]);
        }
        mistake_content(&path("state"), &path("source"));
        let paranoid = DeployRequest { paranoid: true, ..request.clone() };
        assert_eq!(deploy(&context("first"), &paranoid).unwrap().state, DeployState::Unchanged);
        assert_eq!(deploy(&context("first"), &request).unwrap().state, DeployState::Unchanged);
    }
}
