//! Makes a release live, with the hooks and checks around the switch, and takes it back if one of them fails.
//!
//! 1. hooks before the switch; what they wrote is made durable;
//! 2. the switch;
//! 3. hooks after it, then the checks of the server, then the verdict of the client;
//! 4. hooks at the end.
//!
//! A failure in 1 leaves the live release as it is. A failure in 3 switches back to the release that was live before,
//! unless the hook says that the new one stays. A failure in 4 is reported, and the release stays.

use crate::error::{Error, HookError};
use crate::hook::{Hook, HookPhase, OnError};
use crate::news::News;
use crate::release::ReleaseId;
use crate::wire::message::Hello;

use super::attendance::Attendance;
use super::hooks::Hooks;
use super::order::{GoLive, RunnerEnd};
use super::scene::Scene;
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::switch::{self, SwitchOutcome};

/// A release on its way to be live.
pub(super) struct Launch<'a> {
    /// The hello of the client.
    pub(super) hello: &'a Hello,
    /// The hooks.
    pub(super) hooks: &'a Hooks<'a>,
    /// Receives news.
    pub(super) reporter: &'a dyn Reporter,
    /// The client.
    pub(super) attendance: &'a Attendance,
    /// Asks for the client's verdict.
    pub(super) ask_verdict: &'a dyn Fn(),
}

impl Launch<'_> {
    /// Makes the release live. If that fails, the hooks for failures have run.
    pub(super) fn go_live(&self, site: &mut Site, order: &GoLive) -> Result<RunnerEnd, Error> {
        let previous = site.layout.current.live()?;
        let scene =
            Scene { release: Some(order.release.clone()), previous: previous.clone(), is_rollback: order.is_rollback };
        let switched = self.prepare(site, &scene).and_then(|()| self.switch(site, order));
        let SwitchOutcome { warnings, .. } = switched.inspect_err(|_| self.run_on_failure(site, &scene))?;
        match self.prove(site, &scene) {
            Ok(()) => {}
            Err(unfit) => {
                if unfit.stays || previous.is_none() {
                    self.run_on_failure(site, &scene);
                } else {
                    self.take_back(site, &scene);
                }
                return Err(unfit.error);
            }
        }
        let ended = self.hooks.run(HookPhase::AfterDeploy, &scene, &site.layout, &site.releases);
        ended.inspect_err(|_| self.run_on_failure(site, &scene))?;
        Ok(RunnerEnd { previous, warnings, failure: None })
    }

    /// Runs the hooks before the switch, and makes durable what they wrote.
    fn prepare(&self, site: &Site, scene: &Scene) -> Result<(), Error> {
        let phases = if scene.is_rollback {
            &[HookPhase::BeforeRollback, HookPhase::BeforeSwitch][..]
        } else {
            &[HookPhase::BeforeSwitch]
        };
        for &phase in phases {
            self.hooks.run(phase, scene, &site.layout, &site.releases)?;
        }
        let has_hooks = phases.iter().any(|&phase| self.hello.procedure.hooks_of(phase).next().is_some());
        if has_hooks { site.layout.private.sync_filesystem() } else { Ok(()) }
    }

    fn switch(&self, site: &mut Site, order: &GoLive) -> Result<SwitchOutcome, Error> {
        let verb = self.hello.request.verb();
        self.reporter.begin_switch(&order.release)?;
        let Site { lock, layout, releases } = site;
        let switched = switch::switch(layout, lock, releases, &order.release, verb, &self.hello.provenance)?;
        self.reporter.live(&order.release);
        Ok(switched)
    }

    /// Runs the hooks after the switch, then the checks.
    fn prove(&self, site: &Site, scene: &Scene) -> Result<(), Unfit> {
        let phases = if scene.is_rollback {
            &[HookPhase::AfterSwitch, HookPhase::AfterRollback][..]
        } else {
            &[HookPhase::AfterSwitch]
        };
        for &phase in phases {
            let run = self.hooks.run(phase, scene, &site.layout, &site.releases);
            run.map_err(|error| Unfit { stays: self.stays_after(&error), error })?;
        }
        self.ask_client().map_err(|error| Unfit { error, stays: false })
    }

    /// Asks the client for its verdict, if it has checks of its own or must confirm.
    fn ask_client(&self) -> Result<(), Error> {
        if !self.hello.procedure.needs_verdict() {
            return Ok(());
        }
        (self.ask_verdict)();
        match self.attendance.wait_for_verdict(None) {
            Some(None) => Ok(()),
            Some(Some(reason)) => Err(HookError::Check { name: "client".into(), reason }.into()),
            None => self.attendance.check(),
        }
    }

    /// Tells whether a hook that failed leaves the new release live.
    fn stays_after(&self, error: &Error) -> bool {
        let Error::Hook(HookError::Failed { name, .. }) = error else { return false };
        let is_named = |hook: &&Hook| hook.name == *name;
        self.hello.procedure.hooks.iter().find(is_named).is_some_and(|hook| hook.on_error == OnError::Keep)
    }

    /// Switches back, and runs the hooks of a rollback. Errors are warnings: the failure before them is told.
    fn take_back(&self, site: &mut Site, scene: &Scene) {
        let (Some(from), Some(to)) = (&scene.release, &scene.previous) else { return };
        self.reporter.tell(News::Returning { from: from.clone(), to: to.clone() });
        if let Err(error) = self.switch_back(site, to) {
            self.reporter.warn(format!("The server could not switch back to release {to}: {}", error.with_cause()));
            return;
        }
        self.reporter.live(to);
        let back = Scene { release: Some(to.clone()), previous: Some(from.clone()), is_rollback: true };
        for phase in [HookPhase::AfterSwitch, HookPhase::AfterRollback] {
            let run = self.hooks.run(phase, &back, &site.layout, &site.releases);
            if let Err(error) = run {
                self.reporter.warn(error.with_cause());
            }
        }
        self.run_on_failure(site, scene);
    }

    fn switch_back(&self, site: &mut Site, to: &ReleaseId) -> Result<(), Error> {
        let Site { lock, layout, releases } = site;
        let switched = switch::switch(layout, lock, releases, to, "return", &self.hello.provenance)?;
        switched.warnings.into_iter().for_each(|warning| self.reporter.warn(warning));
        Ok(())
    }

    /// Runs the hooks for failures. Their errors are warnings.
    pub(super) fn run_on_failure(&self, site: &Site, scene: &Scene) {
        let scene = Scene { is_rollback: false, ..scene.clone() };
        let run = self.hooks.run(HookPhase::OnFailure, &scene, &site.layout, &site.releases);
        if let Err(error) = run {
            self.reporter.warn(error.with_cause());
        }
    }
}

/// A failure after the switch.
struct Unfit {
    error: Error,
    /// Whether the release stays live all the same.
    stays: bool,
}
