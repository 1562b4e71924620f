//! The public verbs: what a program can do with the engine.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agent;
use crate::cancel::Cancel;
use crate::client::deploy::ClientDeploy;
use crate::client::query::{self, Named};
use crate::client::{Database, ScanRequest, scan};
use crate::disk;
use crate::error::{Error, SourceError};
use crate::event::{Event, Observer, Warnings};
use crate::manifest::{Manifest, diff as manifest_diff};
use crate::path::Shown;
use crate::release::{Provenance, ReleaseId};
use crate::report::{
    Change, ChangedPath, CleanupReport, DeployFailure, DeployReport, DiffReport, ReleasesReport, SetupReport,
    StatusReport, SwitchReport, Warned,
};
use crate::target::{Destination, Policy, Target};
use crate::threads;
use crate::wire::message::{Hello, Reply, Request};
use crate::wire::{Connection, Install, Resolution, connect, greeting, pipe};

/// The memory of the list of a comparison, in bytes: a million paths of 60 bytes. Names are short, and the paths that they make
/// need not be: those of a manifest that somebody made up would take gigabytes.
const LISTED_BYTES_MAX: usize = 128 << 20;

/// What every verb needs.
#[derive(Clone)]
pub struct Context {
    /// Where to, and how.
    pub target: Target,
    /// What the server keeps to.
    pub policy: Policy,
    /// Who does it. The commit is found by the deploy itself.
    pub provenance: Provenance,
    /// The directory of the manifest database and the content cache.
    pub state_dir: PathBuf,
    /// Receives events.
    pub observer: Arc<dyn Observer>,
    /// Interrupts.
    pub cancel: Cancel,
}

/// What to deploy, and how.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    /// The directory.
    pub source: PathBuf,
    /// Patterns of gitignore that leave paths out, before those of `.deployignore`.
    pub exclude: Vec<String>,
    /// The config in use, absolute: where it is in the source, it is left out unless a pattern brings it in.
    pub config: Option<PathBuf>,
    /// A name for the release, instead of the time.
    pub release: Option<ReleaseId>,
    /// Leave the release ready and do not switch.
    pub no_switch: bool,
    /// Make a release even where nothing changed.
    pub force: bool,
    /// Change nothing; report what a deploy would do.
    pub dry_run: bool,
    /// List every directory and hash every file, whatever the last scan knew.
    pub paranoid: bool,
    /// The zstd level of content, from 1 to 19; where none is said, the one that the line has time for.
    pub zstd_level: Option<i32>,
    /// Over how many connections content goes, at most 5; where none is said, as many as the link has use for.
    pub lanes: Option<u32>,
}

/// Where a switch goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchTo {
    /// To this release, ready or earlier.
    Release(ReleaseId),
    /// Back: to the one named, or to the one that was live before.
    Back(Option<ReleaseId>),
}

/// What to clean up.
#[derive(Debug, Clone, Copy, Default)]
pub struct CleanupRequest {
    /// Change nothing; report what would be removed.
    pub dry_run: bool,
}

/// One side of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffSide {
    /// A release.
    Release(ReleaseId),
    /// The live release.
    Live,
    /// The source, with patterns that leave paths out.
    Source {
        /// The directory.
        source: PathBuf,
        /// As in [`DeployRequest::exclude`].
        exclude: Vec<String>,
        /// As in [`DeployRequest::config`].
        config: Option<PathBuf>,
    },
}

/// Makes the directories of the deploy path.
pub fn setup(context: &Context) -> Result<SetupReport, Error> {
    context.warned(|context| match context.ask(Request::Setup, Install::Keep)? {
        Reply::Setup(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Deploys.
pub fn deploy(context: &Context, request: &DeployRequest) -> Result<DeployReport, DeployFailure> {
    context.warned(|context| deploy_in(context, request))
}

fn deploy_in(context: &Context, request: &DeployRequest) -> Result<DeployReport, DeployFailure> {
    threads::start_pool()?;
    let source = std::fs::canonicalize(&request.source).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::from(SourceError::Missing(request.source.clone())),
        _ => Error::from(SourceError::Unreadable { path: request.source.display().to_string(), source: error }),
    })?;
    let forbidden = context.check_overlap(&source)?;
    let deploy = ClientDeploy {
        source: source.clone(),
        exclude: &request.exclude,
        config: request.config.as_deref(),
        path: context.deploy_path(),
        destination: context.target.destination.to_string(),
        forbidden,
        policy: context.policy.clone(),
        provenance: context.provenance.clone(),
        release: request.release.clone(),
        no_switch: request.no_switch,
        force: request.force,
        dry_run: request.dry_run,
        paranoid: request.paranoid,
        zstd_level: request.zstd_level,
        lanes: request.lanes,
        state_dir: context.state_dir.clone(),
        observer: context.observer.clone(),
        cancel: context.cancel.clone(),
    };
    let install = if request.dry_run { Install::Vanish } else { Install::Keep };
    let resolution = context.start_resolution()?;
    let deployed = deploy.run(|is_new, cancel| context.connect(resolution, install, is_new, cancel));
    if let Err(DeployFailure { error: Error::Source(SourceError::FileChangedUnseen(_)), .. }) = &deployed {
        context.forget_scan(&source);
    }
    deployed
}

/// Lists the releases.
pub fn releases(context: &Context) -> Result<ReleasesReport, Error> {
    context.warned(|context| match context.ask(Request::Releases, Install::Vanish)? {
        Reply::Releases(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Tells what is live and how the server stands.
pub fn status(context: &Context) -> Result<StatusReport, Error> {
    context.warned(|context| match context.ask(Request::Status, Install::Vanish)? {
        Reply::Status(report) => Ok(*report),
        _ => Err(mismatch()),
    })
}

/// Points `current` at another release.
pub fn switch(context: &Context, to: &SwitchTo) -> Result<SwitchReport, DeployFailure> {
    context.warned(|context| {
        let request = match to {
            SwitchTo::Release(id) => Request::Switch(id.clone()),
            SwitchTo::Back(id) => Request::Rollback(id.clone()),
        };
        match context.ask_to_switch(request)? {
            Reply::Switch(report) => Ok(report),
            _ => Err(mismatch().into()),
        }
    })
}

/// Removes releases by retention, then objects that no release names.
pub fn cleanup(context: &Context, request: CleanupRequest) -> Result<CleanupReport, Error> {
    context.warned(|context| {
        let install = if request.dry_run { Install::Vanish } else { Install::Keep };
        match context.ask(Request::Cleanup { dry_run: request.dry_run }, install)? {
            Reply::Cleanup(report) => Ok(report),
            _ => Err(mismatch()),
        }
    })
}

/// Compares two sides, from manifests alone: no content is sent.
pub fn diff(context: &Context, before: &DiffSide, after: &DiffSide) -> Result<DiffReport, Error> {
    context.warned(|context| diff_in(context, before, after))
}

fn diff_in(context: &Context, before: &DiffSide, after: &DiffSide) -> Result<DiffReport, Error> {
    threads::start_pool()?;
    let sides = [before, after];
    let wanted: Vec<Option<ReleaseId>> = sides
        .iter()
        .filter_map(|side| match side {
            DiffSide::Release(id) => Some(Some(id.clone())),
            DiffSide::Live => Some(None),
            DiffSide::Source { .. } => None,
        })
        .collect();
    let database = context.told(Database::open(&context.state_dir, context.observer.clone()));
    let received = if wanted.is_empty() { Vec::new() } else { context.manifests(wanted, database.as_ref())? };
    let mut received = received.into_iter();
    let mut side = |side: &DiffSide| match side {
        DiffSide::Source { source, exclude, config } => {
            let scanned = context.scan_for_diff(source, exclude, config.as_deref(), database.as_ref())?;
            Ok(("source".to_owned(), Arc::new(scanned)))
        }
        DiffSide::Release(_) | DiffSide::Live => received.next().ok_or_else(mismatch),
    };
    let ((before, old), (after, new)) = (side(before)?, side(after)?);
    let mut report = DiffReport { before, after, ..DiffReport::default() };
    let mut room = LISTED_BYTES_MAX;
    manifest_diff::compare(Some(&old), &new, |difference| {
        match difference.change {
            Change::New => report.files_new += 1,
            Change::Removed => report.files_removed += 1,
            Change::Content | Change::Mode | Change::Kind => report.files_changed += 1,
        }
        let path = Shown(&difference.path).to_string();
        match room.checked_sub(path.len() + size_of::<ChangedPath>()).filter(|_| report.paths_left_out == 0) {
            Some(left) => room = left,
            None => return report.paths_left_out += 1,
        }
        report.paths.push(ChangedPath {
            path,
            change: difference.change,
            bytes_before: difference.bytes_before,
            bytes_after: difference.bytes_after,
        });
    });
    Ok(report)
}

/// Serves as the agent on stdin and stdout until the client is done; as a lane, hands stdin over to an agent that serves
/// already, and stays until it is done with that. `program` is the running program's file, whose hash the greeting carries.
pub fn serve_agent(is_lane: bool, program: &Path) -> Result<(), Error> {
    let (input, mut output) = (unbuffered(&io::stdin(), "stdin")?, unbuffered(&io::stdout(), "stdout")?);
    greeting::write_greeting(&mut output, program)?;
    if is_lane {
        return agent::serve_lane(input, output);
    }
    disk::take_usual_umask();
    agent::serve(input, output)
}

/// Returns the stream without the buffer of the standard library, which would hold frames back.
fn unbuffered(stream: &impl AsFd, name: &'static str) -> Result<File, Error> {
    let copy = stream.as_fd().try_clone_to_owned();
    Ok(File::from(copy.map_err(|error| Error::io("use", name, error))?))
}

fn mismatch() -> Error {
    Error::Protocol("an answer to another question".into())
}

impl Context {
    /// Runs a verb in which each warning is said once, and puts all of them into its report.
    fn warned<T: Warned, E>(&self, verb: impl FnOnce(&Context) -> Result<T, E>) -> Result<T, E> {
        let warnings = Arc::new(Warnings::new(self.observer.clone()));
        let mut report = verb(&Context { observer: warnings.clone(), ..self.clone() })?;
        for warning in std::mem::take(report.warnings()) {
            warnings.observe(Event::Warning(warning));
        }
        *report.warnings() = warnings.said();
        Ok(report)
    }

    fn deploy_path(&self) -> Vec<u8> {
        let path = match &self.target.destination {
            Destination::Local(path) => path,
            Destination::Ssh(ssh) => &ssh.path,
        };
        path.as_os_str().as_bytes().to_vec()
    }

    /// Begins to find out how the server is reached, where there is one. That may go on beside other work.
    fn start_resolution(&self) -> Result<Option<Resolution<'_>>, Error> {
        match &self.target.destination {
            Destination::Local(_) => Ok(None),
            Destination::Ssh(ssh) => Resolution::start(ssh, &self.target.reach).map(Some),
        }
    }

    fn connect(
        &self,
        resolution: Option<Resolution<'_>>,
        install: Install,
        is_new: bool,
        cancel: &Cancel,
    ) -> Result<Connection, Error> {
        match resolution {
            None => pipe::connect(agent::serve),
            Some(resolution) => connect(resolution, install, is_new, self.observer.as_ref(), cancel),
        }
    }

    fn hello(&self, request: Request) -> Hello {
        Hello { path: self.deploy_path(), policy: self.policy.clone(), provenance: self.provenance.clone(), request }
    }

    fn ask(&self, request: Request, install: Install) -> Result<Reply, Error> {
        self.ask_with(request, install, &[]).map(|(reply, _)| reply)
    }

    fn ask_with(
        &self,
        request: Request,
        install: Install,
        known: &[Arc<Manifest>],
    ) -> Result<(Reply, Vec<Named>), Error> {
        let connection = self.connect(self.start_resolution()?, install, false, &self.cancel)?;
        query::ask(connection, self.hello(request), known, self.observer.clone(), self.cancel.clone())
    }

    fn ask_to_switch(&self, request: Request) -> Result<Reply, DeployFailure> {
        let connection = self.connect(self.start_resolution()?, Install::Keep, false, &self.cancel)?;
        query::switch(connection, self.hello(request), self.observer.clone(), self.cancel.clone())
    }

    /// Returns the manifests of releases, none being the live one. What the database has of them is not sent.
    fn manifests(&self, wanted: Vec<Option<ReleaseId>>, database: Option<&Database>) -> Result<Vec<Named>, Error> {
        let manifests = database.map(|database| self.remembered(&wanted, database)).unwrap_or_default();
        let known = manifests.iter().map(|manifest| manifest.root()).collect();
        let request = Request::Manifests { wanted, known };
        match self.ask_with(request, Install::Vanish, &manifests)? {
            (Reply::Manifests, received) => Ok(received),
            _ => Err(mismatch()),
        }
    }

    /// Returns those of the manifests of releases that the database has, as far as it knows which release is live.
    fn remembered(&self, wanted: &[Option<ReleaseId>], database: &Database) -> Vec<Arc<Manifest>> {
        let destination = self.target.destination.to_string();
        let Some(belief) = self.told(database.belief(&destination)).flatten() else { return Vec::new() };
        let remember = |wanted: &Option<ReleaseId>| {
            let release = wanted.as_ref().or(belief.live.as_ref())?;
            let root = self.told(database.root(&belief.holding.store, release)).flatten()?;
            self.told(database.manifest(&root)).flatten().map(Arc::new)
        };
        wanted.iter().filter_map(remember).collect()
    }

    /// Lets the next scan of a source read all files.
    fn forget_scan(&self, source: &Path) {
        let database = Database::open(&self.state_dir, self.observer.clone());
        self.told(database.and_then(|database| database.forget_scan(source)));
    }

    /// Refuses a source inside its own local target. Returns the target's device and inode where it exists, so that the
    /// scan refuses the opposite unless the target is left out.
    fn check_overlap(&self, source: &Path) -> Result<Option<(u64, u64)>, Error> {
        let Destination::Local(target) = &self.target.destination else { return Ok(None) };
        let real = real_path(target);
        if source.starts_with(&real) {
            return Err(SourceError::Overlapping { source_path: source.to_owned(), target: target.clone() }.into());
        }
        let own = std::fs::metadata(&real).ok();
        if own.is_none() && real.starts_with(source) {
            // It would be made in the source, and be part of every deploy but the first.
            return Err(SourceError::Overlapping { source_path: source.to_owned(), target: target.clone() }.into());
        }
        Ok(own.map(|metadata| (metadata.dev(), metadata.ino())))
    }

    /// Scans a source as a deploy would, and keeps what was found for the next scan.
    fn scan_for_diff(
        &self,
        source: &Path,
        exclude: &[String],
        config: Option<&Path>,
        database: Option<&Database>,
    ) -> Result<Manifest, Error> {
        let source = &std::fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
        let forbidden = self.check_overlap(source)?;
        let known = database.and_then(|database| self.told(database.scan(source))).flatten().map(Arc::new);
        let observer = self.observer.as_ref();
        let cancel = &self.cancel;
        let request = ScanRequest { source, exclude, config, known: known.as_ref(), forbidden, observer, cancel };
        let found = scan(&request)?.found;
        if let Some(database) = database.filter(|_| known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &found))) {
            self.told(database.put_scan(source, &found));
        }
        drop(known);
        Ok(Arc::try_unwrap(found).map_or_else(|found| found.manifest.clone(), |found| found.manifest))
    }

    /// Without the database a scan takes longer, and that is all.
    fn told<T>(&self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.observer.observe(Event::Warning(error.with_cause()))).ok()
    }
}

/// Resolves as much of a path as exists.
fn real_path(path: &Path) -> PathBuf {
    match (std::fs::canonicalize(path), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real_path(parent).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}
