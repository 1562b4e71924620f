//! The public verbs: the functions of the engine for a program.

mod adopting;
mod diff;
mod doctor;
mod role;
mod web_check;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::agent::{self, RunnerProgram};
use crate::cancel::Cancel;
use crate::client::deploy as client_deploy;
use crate::client::query::{self, NamedManifest};
use crate::client::shared_files;
use crate::client::{LastScan, Memory, Source, SourceOrigin, build, hello, planned_builds};
use crate::command::CommandEnd;
use crate::disk::Dir;
use crate::error::{Error, SiteError};
use crate::event::{Event, Observer, Warnings};
use crate::hash::Hash;
use crate::hook;
use crate::manifest::Manifest;
use crate::manual_lock::LockMessage;
use crate::path::RelativePath;
use crate::release::ReleaseId;
use crate::report::RunSummary;
use crate::report::{
    AcquireReport, CleanupReport, DeployFailure, DeployReport, DiskUseReport, HasWarnings, HookRunReport, LockReport,
    PinReport, ReleasesReport, RunsReport, SetupReport, SharedListReport, SharedWriteReport, StatusReport,
    SwitchReport, UnlockReport,
};
use crate::request::{
    CleanupRequest, Context, DeployRequest, PinRequest, SourceRequest, StatusCheck, SwitchRequest, SwitchTo,
};
use crate::target::Destination;
use crate::threads;
use crate::wire::bounds::SHARED_FILE_BYTES_MAX;
use crate::wire::message::{CheckDepth, Reply, Request};
use crate::wire::{Connection, Install, Resolution, connect, pipe};

pub use adopting::{adopt, survey, undo_adoption};
pub use diff::{diff, diff_on_disk};
pub use doctor::doctor;
pub use role::{AgentRole, serve_agent};
pub use web_check::web_check;

/// Makes the directories of the deploy path.
pub fn setup(context: &Context) -> Result<SetupReport, Error> {
    context.with_warnings(|context| match context.ask(Request::Setup, Install::Keep)? {
        Reply::Setup(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Deploys.
pub fn deploy(context: &Context, request: &DeployRequest) -> Result<DeployReport, DeployFailure> {
    context.with_warnings(|context| deploy_in(context, request))
}

fn deploy_in(context: &Context, request: &DeployRequest) -> Result<DeployReport, DeployFailure> {
    threads::start_pool()?;
    let origin = SourceOrigin::find(&request.source, &context.target.destination, &context.cancel)?;
    let builds = context.procedure.hooks.iter().any(|hook| hook.phase.is_local());
    let mut planned = Vec::new();
    let check_out = |cancel: &Cancel| origin.check_out(&context.state_dir, context.observer.as_ref(), cancel);
    // What is wrong with a directory is told before anything is sent. A commit is checked out while the client connects.
    let ready = match builds || !origin.is_commit() {
        true => {
            let mut site = check_out(&context.cancel)?;
            match (builds, request.dry_run) {
                (false, _) => {}
                (true, true) => planned = planned_builds(context, &site)?,
                (true, false) => build(context, &mut site)?,
            }
            Some(site.settle()?)
        }
        false => None,
    };
    let directory = |cancel: &Cancel| ready.map_or_else(|| check_out(cancel)?.settle(), Ok);
    let install = if request.dry_run { Install::Vanish } else { Install::Keep };
    let resolution = context.start_resolution()?;
    let connect = |is_new, cancel: &Cancel| context.connect(resolution, install, is_new, cancel);
    let mut report = client_deploy::deploy(context, request, directory, connect)?;
    // The server names hooks of the configuration, and nothing else.
    report.hooks.retain(|name| context.procedure.hooks.iter().any(|hook| hook.name == *name));
    report.hooks.splice(0..0, planned);
    Ok(report)
}

/// Lists the releases; with `all`, also removed ones that a rollback might make again.
pub fn releases(context: &Context, all: bool) -> Result<ReleasesReport, Error> {
    context.with_warnings(|context| match context.ask(Request::Releases { all }, Install::Vanish)? {
        Reply::Releases(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Returns what is live, and the state of the server.
pub fn status(context: &Context, check: StatusCheck) -> Result<StatusReport, Error> {
    let check = match check {
        StatusCheck::Nothing => None,
        StatusCheck::Entries => Some(CheckDepth::Entries),
        StatusCheck::Content => Some(CheckDepth::Content),
    };
    context.with_warnings(|context| match context.ask(Request::Status(check), Install::Vanish)? {
        Reply::Status(report) => Ok(*report),
        _ => Err(mismatch()),
    })
}

/// Points `current` at another release.
pub fn switch(context: &Context, to: &SwitchTo, request: SwitchRequest) -> Result<SwitchReport, DeployFailure> {
    context.with_warnings(|context| {
        let SwitchRequest { force } = request;
        let request = match to {
            SwitchTo::Release(id) => Request::Switch { to: id.clone(), force },
            SwitchTo::Back(rollback) => Request::Rollback { rollback: rollback.clone(), force },
        };
        match context.ask_to_switch(request)? {
            Reply::Switch(report) => Ok(report),
            _ => Err(mismatch().into()),
        }
    })
}

/// Lists the runs that have a journal.
pub fn runs(context: &Context) -> Result<RunsReport, Error> {
    context.with_warnings(|context| match context.ask(Request::Runs, Install::Vanish)? {
        Reply::Runs(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Reads the journal of a run, or of the newest one. Its lines come as events. With `follow`, further lines come until
/// the run has ended.
pub fn journal(context: &Context, run: Option<u64>, follow: bool) -> Result<RunSummary, Error> {
    match context.ask(Request::Journal { run, follow }, Install::Vanish)? {
        Reply::Journal(summary) => Ok(summary),
        _ => Err(mismatch()),
    }
}

/// Runs a hook of the server by its name, in the live release.
pub fn run_hook(context: &Context, name: &str) -> Result<HookRunReport, Error> {
    // As with a switch, an interruption ends the hook, and the server says how it ended.
    let ask = |context: &Context| context.ask_to_switch(Request::RunHook(name.to_owned()));
    context.with_warnings(|context| match ask(context).map_err(|failure| failure.error)? {
        Reply::RanHook(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Runs a command in the live release. Its output comes as events.
pub fn exec(context: &Context, command: &hook::Command) -> Result<CommandEnd, Error> {
    match context.ask(Request::Exec(command.clone()), Install::Keep)? {
        Reply::Exec(end) => Ok(end),
        _ => Err(mismatch()),
    }
}

/// Pins a release, or unpins it.
pub fn pin(context: &Context, request: &PinRequest) -> Result<PinReport, Error> {
    context.with_warnings(|context| {
        let PinRequest { release, pin } = request.clone();
        match context.ask(Request::Pin { release, pin }, Install::Keep)? {
            Reply::Pin(report) => Ok(report),
            _ => Err(mismatch()),
        }
    })
}

/// Removes releases by retention, then objects that no release names.
pub fn cleanup(context: &Context, request: CleanupRequest) -> Result<CleanupReport, Error> {
    context.with_warnings(|context| {
        let install = if request.dry_run { Install::Vanish } else { Install::Keep };
        let CleanupRequest { dry_run, original } = request;
        match context.ask(Request::Cleanup { dry_run, original }, install)? {
            Reply::Cleanup(report) => Ok(report),
            _ => Err(mismatch()),
        }
    })
}

/// Reports the space that the parts of the deploy path take.
pub fn disk_use(context: &Context) -> Result<DiskUseReport, Error> {
    context.with_warnings(|context| match context.ask(Request::DiskUse, Install::Vanish)? {
        Reply::DiskUse(report) => Ok(*report),
        _ => Err(mismatch()),
    })
}

/// Reports who has the lock.
pub fn lock_status(context: &Context) -> Result<LockReport, Error> {
    context.with_warnings(|context| match context.ask(Request::LockStatus, Install::Vanish)? {
        Reply::LockStatus(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Takes a manual lock: it keeps deploys out until [`unlock`].
pub fn acquire_lock(context: &Context, message: &LockMessage) -> Result<AcquireReport, Error> {
    context.with_warnings(|context| match context.ask(Request::AcquireLock(message.clone()), Install::Keep)? {
        Reply::AcquireLock(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Removes the manual lock, whoever took it.
pub fn unlock(context: &Context) -> Result<UnlockReport, Error> {
    context.with_warnings(|context| match context.ask(Request::Unlock, Install::Keep)? {
        Reply::Unlock(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Lists `shared/`.
pub fn shared_list(context: &Context) -> Result<SharedListReport, Error> {
    context.with_warnings(|context| match context.ask(Request::SharedList, Install::Vanish)? {
        Reply::SharedList(report) => Ok(report),
        _ => Err(mismatch()),
    })
}

/// Returns the content of a file in `shared/`, if it exists.
pub fn shared_read(context: &Context, path: &RelativePath) -> Result<Option<Vec<u8>>, Error> {
    let connection = context.connect(context.start_resolution()?, Install::Vanish, false, &context.cancel)?;
    let hello = hello(context, Request::SharedRead(path.clone()));
    shared_files::read(connection, hello, context.observer.clone(), context.cancel.clone())
}

/// Writes a file in `shared/`, if it still has the content that the caller knows. None: it does not exist.
pub fn shared_write(
    context: &Context,
    path: &RelativePath,
    known: Option<&[u8]>,
    content: &[u8],
) -> Result<SharedWriteReport, Error> {
    let (length, known) = (content.len() as u64, known.map(Hash::of));
    if length > SHARED_FILE_BYTES_MAX {
        let path = path.to_string();
        return Err(SiteError::SharedTooLarge { path, most: SHARED_FILE_BYTES_MAX }.into());
    }
    context.with_warnings(|context| {
        let connection = context.connect(context.start_resolution()?, Install::Keep, false, &context.cancel)?;
        let hello = hello(context, Request::SharedWrite { path: path.clone(), known, length });
        shared_files::write(connection, hello, content, context.observer.clone(), context.cancel.clone())
    })
}

/// Writes a file of this machine, for this user alone, in the place of one that may be there.
pub fn write_private_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::Usage(format!("`{}` is not the path of a file", path.display())));
    };
    Dir::open(parent)?.replace(name.as_bytes(), content)
}

/// Writes a new file of this machine, readable for everybody. Returns false, and writes nothing, if there is something
/// of that name.
pub fn write_new_file(path: &Path, content: &[u8]) -> Result<bool, Error> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::Usage(format!("`{}` is not the path of a file", path.display())));
    };
    Dir::open(parent)?.put_new_public(name.as_bytes(), content)
}

fn mismatch() -> Error {
    Error::Protocol("an answer to another question".into())
}

impl Context {
    /// Runs a verb. Each warning is reported once, and all of them are in the verb's report.
    fn with_warnings<T: HasWarnings, E>(&self, verb: impl FnOnce(&Context) -> Result<T, E>) -> Result<T, E> {
        let warnings = Arc::new(Warnings::new(self.observer.clone()));
        let mut report = verb(&Context { observer: warnings.clone(), ..self.clone() })?;
        for warning in std::mem::take(report.warnings()) {
            warnings.observe(Event::Warning(warning));
        }
        *report.warnings() = warnings.texts();
        Ok(report)
    }

    /// Begins to resolve the way to the server, if the target has one. Other work may go on meanwhile.
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
            None => {
                let program = RunnerProgram(self.target.reach.program.clone());
                pipe::connect(move |input, output| agent::serve(program, input, output))
            }
            Some(resolution) => connect(resolution, install, is_new, self.observer.as_ref(), cancel),
        }
    }

    fn ask(&self, request: Request, install: Install) -> Result<Reply, Error> {
        self.ask_with(request, install, &[]).map(|(reply, _)| reply)
    }

    fn ask_with(
        &self,
        request: Request,
        install: Install,
        known: &[Arc<Manifest>],
    ) -> Result<(Reply, Vec<NamedManifest>), Error> {
        let connection = self.connect(self.start_resolution()?, install, false, &self.cancel)?;
        query::ask(connection, hello(self, request), known, self.observer.clone(), self.cancel.clone())
    }

    fn ask_to_switch(&self, request: Request) -> Result<Reply, DeployFailure> {
        let connection = self.connect(self.start_resolution()?, Install::Keep, false, &self.cancel)?;
        query::switch(connection, hello(self, request), &[], self)
    }

    /// Returns the manifests of releases. None in `wanted` is the live one. Manifests in the database are not sent.
    fn manifests(&self, wanted: Vec<Option<ReleaseId>>, memory: &Memory) -> Result<Vec<NamedManifest>, Error> {
        let manifests = self.remembered(&wanted, memory);
        let known = manifests.iter().map(|manifest| manifest.root()).collect();
        let request = Request::Manifests { wanted, known };
        match self.ask_with(request, Install::Vanish, &manifests)? {
            (Reply::Manifests, received) => Ok(received),
            _ => Err(mismatch()),
        }
    }

    /// Returns those manifests of `wanted` that the database has, as far as it knows which release is live.
    fn remembered(&self, wanted: &[Option<ReleaseId>], memory: &Memory) -> Vec<Arc<Manifest>> {
        let destination = self.target.destination.to_string();
        let Some(known) = memory.ask(|database| database.target(&destination)).flatten() else { return Vec::new() };
        let remember = |wanted: &Option<ReleaseId>| {
            let release = wanted.as_ref().or(known.live.as_ref())?;
            let root = memory.ask(|database| database.root(&known.holding.store, release)).flatten()?;
            memory.ask(|database| database.manifest(&root)).flatten().map(Arc::new)
        };
        wanted.iter().filter_map(remember).collect()
    }

    /// Scans a source as a deploy would, and keeps the result for the next scan.
    fn scan_for_diff(&self, request: &SourceRequest, memory: &Memory) -> Result<Manifest, Error> {
        let observer = self.observer.as_ref();
        let origin = SourceOrigin::find(request, &self.target.destination, &self.cancel)?;
        let directory = origin.check_out(&self.state_dir, observer, &self.cancel)?.settle()?;
        let source = Source::scan(directory, LastScan::Trusted, memory, observer, &self.cancel)?;
        source.keep();
        Ok(source.into_manifest())
    }
}
