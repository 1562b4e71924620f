//! The hooks on this machine: they make what is deployed, in the source, before the scan.
//!
//! A hook with `if_changed` runs unless it succeeded the last time, and no file that matches differs since. The state
//! directory has a print of these files for each hook, and a directory for caches of builds, for each source. What the
//! hook made must still be there: so the print also stands for the directory, and a hook that begins has none.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::command::{CommandEnd, Invocation, KeptLines, Mask};
use crate::disk::{self, Dir};
use crate::error::{Error, SourceError};
use crate::event::{Event, HookEvent};
use crate::hash::Hash;
use crate::hasher::Hasher;
use crate::hook::{Hook, HookPhase, When};
use crate::pattern::Patterns;
use crate::request::Context;

use super::git;
use super::memory::Memory;
use super::source_directory::BuildSite;
use super::tree_lock::TreeLock;

/// The directory of builds in the state directory.
const BUILDS: &str = "builds";

/// The lock of a directory that is no worktree, which has its own.
const LOCK: &[u8] = b"lock";

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
    /// The lock of the directory, if a build may run.
    lock: Option<&'a TreeLock>,
}

/// Runs the hooks up to the scan, in order. The first one that fails and must not ends it. Waits while another deploy
/// builds in the same directory; none does until the site's lock is released.
pub(crate) fn build(context: &Context, site: &mut BuildSite<'_>) -> Result<(), Error> {
    let place = BuildPlace::open(&context.state_dir, &site.directory)?;
    if site.lock.is_none() {
        let tree = format!("`{}` for a build", site.directory.display());
        site.lock = Some(TreeLock::take(&place.dir, LOCK, &tree, context.observer.as_ref(), &context.cancel)?);
    }
    Build::of(context, site).run(&place)
}

/// Returns the names of the hooks that [`build`] would run.
pub(crate) fn planned_builds(context: &Context, site: &BuildSite<'_>) -> Result<Vec<String>, Error> {
    let build = Build::of(context, site);
    let place = BuildPlace::open(&context.state_dir, build.directory)?;
    let mut names = Vec::new();
    for hook in build.hooks() {
        if build.print(hook)?.is_none_or(|print| place.last_print(hook) != Some(print)) {
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
        Build { context, directory, kept, source: &site.source, commit, branch, is_first, lock }
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
            let print = self.print(hook)?;
            if print.is_some() && print == place.last_print(hook) {
                continue;
            }
            // A hook that fails may leave less than was there before.
            place.forget_print(hook)?;
            match Error::of_hook(hook, self.run_one(hook, place)) {
                Ok(()) => place.keep_print(hook, print)?,
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

    /// Returns the print of a hook that may be skipped: the directory and what stays in it, and the files that the hook
    /// depends on.
    fn print(&self, hook: &Hook) -> Result<Option<Hash>, Error> {
        if !self.may_skip(hook) {
            return Ok(None);
        }
        let mut hasher = Hasher::default();
        let unreadable = |source| SourceError::Unreadable { path: self.directory.display().to_string(), source };
        let metadata = fs::metadata(self.directory).map_err(unreadable)?;
        // A new directory can get the inode of one that was removed. Not every filesystem knows when it was made.
        let made = metadata.created().ok();
        hasher.update(format!("{} {} {made:?} {:?}\n", metadata.dev(), metadata.ino(), self.kept).as_bytes());
        add_files(&mut hasher, hook, self.directory)?;
        Ok(Some(hasher.finish()))
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

/// The directory of the builds of one source, in the state directory.
struct BuildPlace {
    dir: Dir,
    /// The directory for caches, which no deploy removes.
    cache: PathBuf,
}

impl BuildPlace {
    fn open(state_dir: &Path, source: &Path) -> Result<BuildPlace, Error> {
        let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
        let name = Hash::of(source.as_os_str().as_bytes()).to_string();
        let path = state_dir.join(BUILDS).join(&name[..16]);
        let cache = path.join("cache");
        disk::create_private_path(&cache)?;
        Ok(BuildPlace { dir: Dir::open(&path)?, cache })
    }

    /// Returns the print of the files that a hook depended on when it last succeeded.
    fn last_print(&self, hook: &Hook) -> Option<Hash> {
        let bytes = self.dir.read(&print_name(hook)).ok()??;
        Some(Hash::from_bytes(bytes.try_into().ok()?))
    }

    fn forget_print(&self, hook: &Hook) -> Result<(), Error> {
        self.dir.remove_file(&print_name(hook)).map(drop)
    }

    fn keep_print(&self, hook: &Hook, print: Option<Hash>) -> Result<(), Error> {
        print.map_or(Ok(()), |print| self.dir.replace(&print_name(hook), print.as_bytes()))
    }
}

fn print_name(hook: &Hook) -> Vec<u8> {
    // Another command makes other results.
    let of = Hash::of(format!("{}\0{}", hook.name, hook.command.run).as_bytes());
    format!("print-{}", &of.to_string()[..16]).into_bytes()
}

/// Adds the files that a hook depends on: their paths, modes and content.
fn add_files(hasher: &mut Hasher, hook: &Hook, source: &Path) -> Result<(), Error> {
    let patterns = Patterns::parse(hook.if_changed.iter().map(String::as_str), "if_changed")?;
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let unreadable = |source| SourceError::Unreadable { path: below.display().to_string(), source };
        let mut entries =
            fs::read_dir(source.join(&below)).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unreadable)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = below.join(entry.file_name());
            let unreadable = |source| SourceError::Unreadable { path: path.display().to_string(), source };
            let metadata = entry.metadata().map_err(unreadable)?;
            if metadata.is_dir() {
                if path != Path::new(".git") {
                    waiting.push(path);
                }
                continue;
            }
            if !patterns.matches_file(path.as_os_str().as_bytes()) {
                continue;
            }
            let content = match metadata.is_symlink() {
                true => fs::read_link(entry.path()).map(|target| target.as_os_str().as_bytes().to_vec()),
                false => fs::read(entry.path()),
            };
            let content = content.map_err(unreadable)?;
            let head = format!("{} {:o} {}\n", path.display(), metadata.mode(), content.len());
            hasher.update(head.as_bytes());
            hasher.update(&content);
        }
    }
    Ok(())
}
