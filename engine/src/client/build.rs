//! The hooks on this machine: they make what is deployed, in the source, before the scan.
//!
//! A hook with `if_changed` runs unless it succeeded the last time, and neither a file that matches nor what it made
//! differs since. For that, the state directory has a print of what each hook depended on, and a list of what it made.

mod look;
mod place;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::command::{CommandEnd, Invocation, KeptLines, Mask};
use crate::error::{Error, SourceError};
use crate::event::{Event, HookEvent};
use crate::hash::Hash;
use crate::hasher::Hasher;
use crate::hook::{Hook, HookPhase, When};
use crate::request::Context;

use super::git;
use super::memory::Memory;
use super::source_directory::BuildSite;
use super::tree_lock::TreeLock;

use look::{Entry, Look};
use place::BuildPlace;

/// The facts of a build beside its hooks.
struct Build<'a> {
    context: &'a Context,
    /// The directory where the hooks run.
    directory: &'a Path,
    /// The patterns of what stays there until the next build. None if all of it stays.
    kept: Option<&'a [String]>,
    /// The source, which the hooks may make.
    source: &'a Path,
    /// The commit of the source, if it has one.
    commit: Option<String>,
    /// Its branch.
    branch: Option<String>,
    /// Whether this machine has never deployed to the target.
    is_first: bool,
    /// The state directory, which may lie in the directory, and which Cutover changes meanwhile.
    state_dir: PathBuf,
    /// The lock of the directory, if a build may run.
    lock: Option<&'a TreeLock>,
}

/// Runs the hooks up to the scan, in order. The first one that fails and must not ends it. Waits while another deploy
/// builds in the same directory; none does until the site's lock is released.
pub(crate) fn build(context: &Context, site: &mut BuildSite<'_>) -> Result<(), Error> {
    let place = BuildPlace::open(&context.state_dir, &site.directory)?;
    if site.lock.is_none() {
        site.lock = Some(place.lock(&site.directory, context.observer.as_ref(), &context.cancel)?);
    }
    Build::of(context, site).run(&place)
}

/// Returns the names of the hooks that [`build`] would run.
pub(crate) fn planned_builds(context: &Context, site: &BuildSite<'_>) -> Result<Vec<String>, Error> {
    let build = Build::of(context, site);
    let place = BuildPlace::open(&context.state_dir, build.directory)?;
    let mut names = Vec::new();
    for hook in build.hooks() {
        let is_done = build.look(hook)?.map_or(Ok(false), |look| build.is_done(hook, &look, &place))?;
        if !is_done {
            names.push(hook.name.clone());
        }
    }
    Ok(names)
}

impl<'a> Build<'a> {
    fn of(context: &'a Context, site: &'a BuildSite<'_>) -> Build<'a> {
        let directory = &site.directory;
        let memory = Memory::open(&context.state_dir, context.observer.clone());
        let target = context.target.destination.to_string();
        let is_first = memory.ask(|database| database.target(&target)).flatten().is_none();
        let commit = site.commit().map(str::to_owned).or_else(|| git::head(directory).ok().flatten());
        let (kept, branch, lock) = (site.kept(), site.branch(), site.lock.as_ref());
        // As a path below the directory, if it lies there.
        let state_dir = context.state_dir.canonicalize().unwrap_or_default();
        let within =
            directory.canonicalize().ok().and_then(|real| state_dir.strip_prefix(real).ok().map(Path::to_owned));
        let state_dir = within.map_or(state_dir, |within| directory.join(within));
        Build { context, directory, kept, source: &site.source, commit, branch, is_first, state_dir, lock }
    }

    /// Returns the hooks that this deploy calls, in order.
    fn hooks(&self) -> impl Iterator<Item = &Hook> {
        let phases = [HookPhase::BeforeBuild, HookPhase::Build, HookPhase::AfterBuild];
        let hooks = phases.into_iter().flat_map(|phase| self.context.procedure.hooks_of(phase));
        hooks.filter(|hook| self.calls(hook))
    }

    fn run(&self, place: &BuildPlace) -> Result<(), Error> {
        for hook in self.hooks() {
            self.context.cancel.check()?;
            let before = self.look(hook)?;
            if let Some(before) = &before
                && self.is_done(hook, before, place)?
            {
                continue;
            }
            place.forget_print(hook)?;
            let ran = Error::of_hook(hook, self.run_one(hook, place));
            if let Some(before) = &before {
                self.note_results(hook, before, place)?;
            }
            match ran {
                Ok(()) => before.iter().try_for_each(|before| place.keep_print(hook, self.print(hook, before)?))?,
                Err(error) if hook.halt_on_error || matches!(error, Error::Interrupted) => return Err(error),
                Err(error) => self.context.observer.observe(Event::Warning(error.with_cause())),
            }
        }
        Ok(())
    }

    fn calls(&self, hook: &Hook) -> bool {
        match hook.when {
            When::All => true,
            When::First => self.is_first,
            When::AfterFirst => !self.is_first,
        }
    }

    /// Tells whether a hook may be skipped: it says what it depends on, and what it made is still there.
    fn may_skip(&self, hook: &Hook) -> bool {
        !hook.if_changed.is_empty() && self.kept.is_none_or(|patterns| !patterns.is_empty())
    }

    /// Looks at the directory before a hook that may be skipped.
    fn look(&self, hook: &Hook) -> Result<Option<Look>, Error> {
        self.may_skip(hook).then(|| Look::at(self.directory, &hook.if_changed, &self.state_dir)).transpose()
    }

    /// Returns the print of what a hook depends on: the directory and what stays in it, the stage, the command, and the
    /// files.
    fn print(&self, hook: &Hook, look: &Look) -> Result<Hash, Error> {
        let unreadable = |source| SourceError::Unreadable { path: self.directory.display().to_string(), source };
        let metadata = fs::metadata(self.directory).map_err(unreadable)?;
        // A new directory can get the inode of one that was removed. Not every filesystem knows when it was made.
        let directory = (metadata.dev(), metadata.ino(), metadata.created().ok(), self.kept, self.source);
        let command = (&self.context.procedure.stage, &hook.command);
        let mut hasher = Hasher::new();
        hasher.update(format!("{directory:?} {command:?}\n").as_bytes());
        hasher.update(look.inputs.as_bytes());
        Ok(hasher.finish())
    }

    /// Tells whether a hook would make what is there: it has made it from the same, and nobody has changed it since.
    fn is_done(&self, hook: &Hook, look: &Look, place: &BuildPlace) -> Result<bool, Error> {
        let is_same = place.last_print(hook) == Some(self.print(hook, look)?);
        Ok(is_same && place.results(hook).iter().all(|result| look.entries.contains(result)))
    }

    /// Notes what a hook has made that was not there `before`. A program such as `make` leaves what is right: so what the
    /// hook made earlier and is there still counts too.
    fn note_results(&self, hook: &Hook, before: &Look, place: &BuildPlace) -> Result<(), Error> {
        let known: HashSet<Entry> = place.results(hook).into_iter().collect();
        let mut results = Look::at(self.directory, &[], &self.state_dir)?.entries;
        results.retain(|entry| known.contains(entry) || !before.entries.contains(entry));
        place.keep_results(hook, &results.into_iter().collect::<Vec<_>>())
    }

    fn run_one(&self, hook: &Hook, place: &BuildPlace) -> Result<CommandEnd, Error> {
        let mask = Mask::new(&self.context.procedure.secrets);
        let tell = |event| self.context.observer.observe(Event::Hook(event));
        let name = || hook.name.clone();
        tell(HookEvent::Began { name: name(), phase: hook.phase });
        let began = Instant::now();
        let variables = self.variables(hook, place);
        let invocation =
            Invocation { command: &hook.command, directory: self.directory, variables: &variables, mask: &mask };
        let mut kept = KeptLines::default();
        let mut pass = |text| tell(HookEvent::Line { name: name(), text });
        let must_stop = || self.context.cancel.check().is_err();
        let note = |pid| self.lock.into_iter().for_each(|lock| lock.note_hook(&hook.name, pid));
        let end = invocation.run_noted(note, |line| kept.add(line, &mut pass), must_stop);
        self.lock.into_iter().for_each(TreeLock::forget_hook);
        let end = end?;
        kept.finish(&mut pass);
        tell(HookEvent::Ended { name: name(), end, seconds: began.elapsed().as_secs_f32() });
        Ok(end)
    }

    fn variables(&self, hook: &Hook, place: &BuildPlace) -> Vec<(OsString, OsString)> {
        let Context { procedure, provenance, .. } = self.context;
        let variables: [(&str, OsString); 9] = [
            ("SOURCE_PATH", self.source.into()),
            ("CACHE_PATH", place.cache.clone().into()),
            ("STAGE", procedure.stage.clone().unwrap_or_default().into()),
            ("REVISION", self.commit.clone().unwrap_or_default().into()),
            ("BRANCH", self.branch.clone().unwrap_or_default().into()),
            ("FIRST_DEPLOY", u8::from(self.is_first).to_string().into()),
            ("DEPLOYED_BY", provenance.who.clone().into()),
            ("PHASE", hook.phase.name().into()),
            ("HOOK", hook.name.clone().into()),
        ];
        variables.into_iter().map(|(name, value)| (format!("CUTOVER_{name}").into(), value)).collect()
    }
}
