//! Runs the hooks of a phase, one after the other, and reports their output.

use std::time::Instant;

use crate::command::{CommandEnd, Invocation, KeptLines, Mask};
use crate::disk::Kind;
use crate::error::{Error, HookError, ReleaseError};
use crate::event::HookEvent;
use crate::fastcgi::FpmAddress;
use crate::hook::{Hook, HookPhase};
use crate::manifest::{Manifest, diff};
use crate::news::News;
use crate::pattern::Patterns;
use crate::wire::message::Hello;

use super::attendance::Attendance;
use super::opcache::{self, Reset};
use super::scene::{Scene, variable};
use super::stops::Stops;
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::site::marks;
use crate::agent::site::records::{Releases, read_manifest};

/// The hooks of a run, and everything that they need.
pub(super) struct Hooks<'a> {
    /// The hello of the client.
    pub(super) hello: &'a Hello,
    /// Receives their output.
    pub(super) reporter: &'a dyn Reporter,
    /// The client: its stop ends a hook.
    pub(super) attendance: &'a Attendance,
    /// Replaces secrets in their output.
    pub(super) mask: Mask,
}

impl Hooks<'_> {
    /// Runs the hooks of a phase that the scene calls. The first one that fails and must not ends it, and so does a stop.
    pub(super) fn run(&self, phase: HookPhase, scene: &Scene, site: &mut Site, stops: Stops) -> Result<(), Error> {
        for hook in self.hello.procedure.hooks_of(phase).filter(|hook| scene.calls(hook)) {
            stops.check(self.attendance)?;
            if let Err(error) = self.run_if_touched(hook, scene, site, stops) {
                if hook.halt_on_error || is_serious(&error) {
                    return Err(error);
                }
                self.reporter.warn(error.with_cause());
            }
        }
        Ok(())
    }

    /// Runs all hooks of a phase that the scene calls. They follow a failure: nothing ends them early. One that fails
    /// is a warning, and the others run all the same: a hook of a new release may not work in an older one, and a restart
    /// behind it must not be left out.
    pub(super) fn run_all(&self, phase: HookPhase, scene: &Scene, site: &mut Site) {
        for hook in self.hello.procedure.hooks_of(phase).filter(|hook| scene.calls(hook)) {
            if let Err(error) = self.run_if_touched(hook, scene, site, Stops::AfterFailure) {
                let warning = error.with_cause();
                self.reporter.warn(match (&scene.release, scene.is_rollback) {
                    (Some(release), true) => format!("In release {release}, which is live again: {warning}"),
                    _ => warning,
                });
            }
        }
    }

    /// Runs one hook, whatever its phase and its conditions are.
    pub(super) fn run_named(&self, name: &str, scene: &Scene, site: &mut Site) -> Result<(), Error> {
        let hook = self.hello.procedure.hooks.iter().find(|hook| hook.name == name);
        let hook = hook.ok_or_else(|| Error::Bug(format!("no hook is named `{name}`")))?;
        self.run_in(hook, scene, site, Stops::ByUser)
    }

    /// Runs a hook, unless nothing changed that it depends on.
    fn run_if_touched(&self, hook: &Hook, scene: &Scene, site: &mut Site, stops: Stops) -> Result<(), Error> {
        let is_touched = is_touched_in(hook, scene, &site.layout, &site.releases)?;
        if is_touched { self.run_in(hook, scene, site, stops) } else { Ok(()) }
    }

    /// Runs a hook. Fails if it fails, or may not begin.
    fn run_in(&self, hook: &Hook, scene: &Scene, site: &mut Site, stops: Stops) -> Result<(), Error> {
        let begun = stops.begin_hook(self.attendance, &site.lock, &hook.name);
        let ran = begun.and_then(|()| self.run_begun(hook, scene, site, stops));
        site.lock.end_hook();
        ran
    }

    fn run_begun(&self, hook: &Hook, scene: &Scene, site: &mut Site, stops: Stops) -> Result<(), Error> {
        let Site { lock, layout, releases } = site;
        if let Some(release) = scene.release.as_ref().filter(|_| hook.migration) {
            // A migration that fails half-way may have changed the database too.
            marks::note_migration(lock, layout, releases, release, &hook.name)?;
        }
        let own = if hook.migration { stops.of_migration() } else { stops };
        let must_stop = || own.must_end(self.attendance);
        let end = match &hook.opcache_reset {
            Some(address) => self.reset_opcache(hook, address, layout, &must_stop),
            None => self.run_one(hook, scene, layout, lock, &must_stop),
        };
        check_release(hook, scene, layout)?;
        match Error::of_hook(hook, end) {
            Err(Error::Interrupted) => Err(stops.reason(self.attendance)),
            ended => ended,
        }
    }

    fn run_one(
        &self,
        hook: &Hook,
        scene: &Scene,
        layout: &Layout,
        lock: &Lock,
        must_stop: &dyn Fn() -> bool,
    ) -> Result<CommandEnd, Error> {
        let mut variables = scene.variables(self.hello, layout)?;
        variables.push((variable("PHASE"), hook.phase.name().into()));
        variables.push((variable("HOOK"), hook.name.clone().into()));
        let name = || hook.name.clone();
        self.tell(HookEvent::Began { name: name(), phase: hook.phase });
        let began = Instant::now();
        let mut kept = KeptLines::default();
        let mut pass = |text: String| self.tell(HookEvent::Line { name: name(), text });
        let invocation = Invocation {
            command: &hook.command,
            directory: &scene.directory(layout),
            variables: &variables,
            mask: &self.mask,
        };
        let note = |pid| lock.note_hook_process(pid);
        let end = invocation.run_noted(note, |line| kept.add(line, &mut pass), must_stop)?;
        kept.finish(&mut pass);
        self.tell(HookEvent::Ended { name: name(), end, seconds: began.elapsed().as_secs_f32() });
        Ok(end)
    }

    fn reset_opcache(
        &self,
        hook: &Hook,
        address: &FpmAddress,
        layout: &Layout,
        must_stop: &dyn Fn() -> bool,
    ) -> Result<CommandEnd, Error> {
        let name = || hook.name.clone();
        self.tell(HookEvent::Began { name: name(), phase: hook.phase });
        let began = Instant::now();
        let outcome = match opcache::reset(layout, address, hook.command.timeout, must_stop) {
            Err(Error::Interrupted) => return Ok(CommandEnd::Stopped),
            outcome => outcome?,
        };
        let told = outcome.map_err(|fault| {
            let (name, phase, address) = (name(), hook.phase, address.to_string());
            HookError::NotReset { name, phase, address, fault, stays_live: false }
        })?;
        let text = match told {
            Reset::Done => format!("OPcache of {address} is empty"),
            Reset::Waiting => format!("OPcache of {address} will be empty when the requests that run now have ended"),
            Reset::Off => format!("OPcache of {address} is switched off: there is nothing to empty"),
        };
        self.tell(HookEvent::Line { name: name(), text });
        let end = CommandEnd::Done;
        self.tell(HookEvent::Ended { name: name(), end, seconds: began.elapsed().as_secs_f32() });
        Ok(end)
    }

    /// Reports news of a hook.
    pub(super) fn tell(&self, event: HookEvent) {
        self.reporter.tell(News::Hook(event));
    }
}

/// Tells whether a run ends with an error, also if its hook may fail.
fn is_serious(error: &Error) -> bool {
    matches!(
        error,
        Error::Interrupted
            | Error::LineLost { .. }
            | Error::Release(ReleaseError::InterruptedBy { .. })
            | Error::Hook(HookError::RemovedRelease { .. } | HookError::NotConfirmed { .. })
    )
}

/// Fails if a hook removed the release. A link to it would lead nowhere.
fn check_release(hook: &Hook, scene: &Scene, layout: &Layout) -> Result<(), Error> {
    let Some(release) = &scene.release else { return Ok(()) };
    let stat = layout.releases.stat(release.as_str().as_bytes())?;
    if stat.is_some_and(|stat| stat.kind == Kind::Directory) {
        return Ok(());
    }
    let (name, phase, release) = (hook.name.clone(), hook.phase, release.clone());
    Err(HookError::RemovedRelease { name, phase, release }.into())
}

/// Tells whether a path that a hook depends on differs between the two releases of a scene. If one of them is missing or
/// cannot be read, the hook runs.
fn is_touched_in(hook: &Hook, scene: &Scene, layout: &Layout, releases: &Releases) -> Result<bool, Error> {
    if hook.if_changed.is_empty() {
        return Ok(true);
    }
    let before = scene.previous.as_ref().and_then(|previous| releases.find(previous));
    if before.is_some_and(|record| record.marks.bad.is_some()) {
        // It is live, but a hook or check of it failed: the hook may have not run, or only half.
        return Ok(true);
    }
    let manifest = |release: &Option<_>| {
        let record = release.as_ref().and_then(|release| releases.find(release))?;
        read_manifest(layout, &record.id, &record.root).ok().map(|stored| stored.manifest)
    };
    is_touched(hook, manifest(&scene.previous).as_ref(), manifest(&scene.release).as_ref())
}

/// Tells whether a path that a hook depends on differs between two manifests, or one of them is not known.
pub(crate) fn is_touched(hook: &Hook, before: Option<&Manifest>, after: Option<&Manifest>) -> Result<bool, Error> {
    let patterns = Patterns::parse(hook.if_changed.iter().map(String::as_str), "if_changed")?;
    let (Some(before), Some(after)) = (before, after) else { return Ok(true) };
    let mut is_touched = false;
    diff::compare(Some(before), after, |difference| {
        is_touched |= patterns.matches_file(&difference.path);
    });
    Ok(is_touched)
}
