//! Makes a release live, with the hooks and checks around the switch, and takes it back if one of them fails.
//!
//! 1. hooks before the switch; the release is compared with its manifest, and what they wrote is made durable;
//! 2. the switch;
//! 3. the trial: hooks after it, then the checks of the server, then the verdict of the client;
//! 4. hooks at the end.
//!
//! A failure in 1 leaves the live release as it is. A failure in 3 switches back to the release that was live before,
//! unless the hook says that the new one stays. A rollback does not switch back: the user just left that release. A
//! failure in 4 is reported, and the release stays.

use std::time::Instant;

use crate::error::{Error, HookError};
use crate::event::Phase;
use crate::hook::{Hook, HookPhase, OnError};
use crate::release::{ReleaseId, Trial};
use crate::wire::message::{Hello, Request};

use super::attendance::Attendance;
use super::hooks::Hooks;
use super::order::{GoLive, RunnerEnd};
use super::scene::Scene;
use super::stops::Stops;
use super::take_back::{WayBack, take_back};
use super::trial::{self, Deadline};
use crate::agent::compare::after_hooks;
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::marks;
use crate::agent::site::switch::{self, Step, Switch, SwitchOutcome};

impl GoLive {
    /// Switches to the release, and tells it. Fails without a switch if the client has gone.
    pub(crate) fn switch(
        &self,
        reporter: &dyn Reporter,
        hello: &Hello,
        site: &mut Site,
        trial: Option<&Trial>,
    ) -> Result<SwitchOutcome, Error> {
        let GoLive { release, back, .. } = self;
        reporter.begin_switch(release)?;
        reporter.began(Phase::Switch);
        let step = back.as_ref().map_or(Step::Forward, |reason| Step::Back { reason });
        let (verb, provenance) = (hello.request.verb(), &hello.provenance);
        let Site { lock, layout, releases } = site;
        let switch = Switch { id: release, step, verb, provenance, trial };
        let switched = switch::switch(layout, lock, releases, switch)?;
        reporter.live(release);
        reporter.ended(Phase::Switch);
        Ok(switched)
    }
}

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
        let switched = self.prepare(site, &scene).and_then(|()| self.switch(site, order, &scene));
        let (switched, deadline) = switched.inspect_err(|_| self.run_on_failure(site, &scene))?;
        let proved = self.prove(site, &scene, deadline);
        self.warn_of_edits(site, &scene, &[HookPhase::AfterSwitch]);
        if let Err(unfit) = proved {
            return Err(self.follow(site, &scene, order, unfit));
        }
        if let Err(error) = trial::end(site, &order.release) {
            let reason = error.with_cause();
            let release = &order.release;
            self.reporter.warn(format!("Release {release} is good, but its record could not be written: {reason}. Check the server's disk: the next run treats the release as failed, unless it can write the record"));
        }
        let phases: &[HookPhase] = match order.is_rollback {
            true => &[HookPhase::AfterRollback, HookPhase::AfterDeploy],
            false => &[HookPhase::AfterDeploy],
        };
        let ended = phases.iter().try_for_each(|&phase| self.hooks.run(phase, &scene, site, Stops::ByUser));
        self.warn_of_edits(site, &scene, phases);
        ended.inspect_err(|_| self.run_on_failure(site, &scene))?;
        Ok(switched)
    }

    /// Does what follows a failure after the switch, and returns the error for the user.
    fn follow(&self, site: &mut Site, scene: &Scene, order: &GoLive, unfit: Unfit) -> Error {
        let Unfit { error, stays } = unfit;
        let reason = self.hooks.mask.mask(error.with_cause());
        // A release that is gone cannot stay, not even after a rollback.
        let is_gone = matches!(error, Error::Hook(HookError::RemovedRelease { .. }));
        let is_rollback = order.back.is_some() && !is_gone;
        let error = match scene.previous.as_ref().filter(|_| !stays && !is_rollback) {
            Some(previous) => {
                self.take_back(site, previous, &reason).unwrap_or_else(|error| {
                    self.reporter.warn(format!("The server could not switch back: {}", error.with_cause()));
                });
                error
            }
            None => {
                self.stay(site, order, &reason).unwrap_or_else(|error| self.reporter.warn(error.with_cause()));
                let release = &order.release;
                if is_rollback {
                    self.reporter.warn(format!("Release {release} stays live: a rollback is not taken back"));
                } else if scene.previous.is_none() {
                    self.reporter.warn(format!("Release {release} stays live: there is no earlier one to go back to"));
                }
                if is_rollback { error.with_good_release() } else { error }
            }
        };
        // A log may be on a mount that does not answer: the way back comes first.
        self.hooks.show_logs(scene, site);
        self.run_on_failure(site, scene);
        error
    }

    /// Leaves a release live that failed. The goal of a rollback is not marked bad: it was good, and a later rollback
    /// may go there.
    fn stay(&self, site: &mut Site, order: &GoLive, reason: &str) -> Result<(), Error> {
        trial::end(site, &order.release)?;
        if order.back.is_some() {
            return Ok(());
        }
        let Site { lock, layout, releases } = site;
        marks::mark_bad(lock, layout, releases, &order.release, reason, &self.hello.provenance)
    }

    /// Runs the hooks before the switch, and makes durable what they wrote.
    fn prepare(&self, site: &mut Site, scene: &Scene) -> Result<(), Error> {
        let phases = if scene.is_rollback {
            &[HookPhase::BeforeRollback, HookPhase::BeforeSwitch][..]
        } else {
            &[HookPhase::BeforeSwitch]
        };
        for &phase in phases {
            self.hooks.run(phase, scene, site, Stops::BeforeSwitch)?;
        }
        if self.has_hooks(phases) {
            self.compare_after_hooks(site, scene)?;
            site.layout.private.sync_filesystem()?;
        }
        Ok(())
    }

    fn has_hooks(&self, phases: &[HookPhase]) -> bool {
        phases.iter().any(|&phase| self.hello.procedure.hooks_of(phase).next().is_some())
    }

    /// Warns of what hooks after the switch changed in place, after these phases. The release is live: it stays so.
    fn warn_of_edits(&self, site: &Site, scene: &Scene, phases: &[HookPhase]) {
        if self.has_hooks(phases)
            && let Err(error) = self.compare_after_hooks(site, scene)
        {
            self.reporter.warn(error.with_cause());
        }
    }

    /// Compares the release with its manifest after hooks. If the user insists on a release that somebody changed, its
    /// differences are no news.
    fn compare_after_hooks(&self, site: &Site, scene: &Scene) -> Result<(), Error> {
        let is_forced =
            matches!(self.hello.request, Request::Switch { force: true, .. } | Request::Rollback { force: true, .. });
        let Some(release) = scene.release.as_ref().filter(|_| !is_forced) else { return Ok(()) };
        let effects = after_hooks(site, release, self.hello.policy.hook_edits)?;
        effects.warnings.into_iter().for_each(|warning| self.reporter.warn(warning));
        Ok(())
    }

    /// Switches. If a confirmation is needed, its time begins before.
    fn switch(&self, site: &mut Site, order: &GoLive, scene: &Scene) -> Result<(RunnerEnd, Option<Deadline>), Error> {
        let began = Instant::now();
        // A rollback is not confirmed: it goes to a release that was good.
        let time = self.hello.procedure.confirm.filter(|_| !order.is_rollback);
        let deadline = time.map(Deadline::begin);
        let trial = trial::of(&self.hello.procedure, scene, order.back.is_some(), deadline);
        let SwitchOutcome { previous, warnings } = order.switch(self.reporter, self.hello, site, trial.as_ref())?;
        let switch_seconds = began.elapsed().as_secs_f32();
        Ok((RunnerEnd { switch_seconds, previous, warnings, failure: None }, deadline))
    }

    /// Runs the hooks after the switch, then the checks. None of them outlasts the time for a confirmation.
    fn prove(&self, site: &mut Site, scene: &Scene, deadline: Option<Deadline>) -> Result<(), Unfit> {
        let stops = Stops::OnTrial(deadline);
        let run = self.hooks.run(HookPhase::AfterSwitch, scene, site, stops);
        run.map_err(|error| Unfit { stays: self.stays_after(&error), error })?;
        let checked = self.hooks.check(scene, site, stops).and_then(|()| self.ask_client(deadline));
        checked.map_err(|error| Unfit { error, stays: false })
    }

    /// Asks the client for its verdict, if it has checks of its own or must confirm.
    fn ask_client(&self, deadline: Option<Deadline>) -> Result<(), Error> {
        if deadline.is_none() && !self.hello.procedure.has_client_checks() {
            return Ok(());
        }
        (self.ask_verdict)();
        match (self.attendance.wait_for_verdict(deadline), deadline) {
            (Some(None), _) => Ok(()),
            (Some(Some(refusal)), _) => Err(Error::Agent(*refusal)),
            (None, _) if self.attendance.is_stopped() => Err(Error::Interrupted),
            (None, Some(deadline)) => Err(deadline.error()),
            // Nobody is left who could check it. It stays, as no check has failed.
            (None, None) => {
                self.reporter.warn(
                    "The client went away before its checks were done: the release stays live without them".to_owned(),
                );
                Ok(())
            }
        }
    }

    /// Tells whether a hook that failed leaves the new release live.
    fn stays_after(&self, error: &Error) -> bool {
        let Error::Hook(HookError::Failed { name, .. } | HookError::NotRun { name, .. }) = error else { return false };
        let is_named = |hook: &&Hook| hook.name == *name;
        self.hello.procedure.hooks.iter().find(is_named).is_some_and(|hook| hook.on_error == OnError::Keep)
    }

    /// Switches back from the live release, and runs the hooks of a rollback.
    pub(super) fn take_back(&self, site: &mut Site, to: &ReleaseId, reason: &str) -> Result<(), Error> {
        let from = site.layout.current.live()?;
        let scene = Scene { release: Some(to.clone()), previous: from, is_rollback: true };
        let trial = trial::after_return(&self.hello.procedure, &scene);
        let way = WayBack { to, reason, provenance: &self.hello.provenance, trial: trial.as_ref() };
        take_back(self.reporter, site, &way)?;
        self.hooks.run_all(HookPhase::AfterSwitch, &scene, site);
        trial::end(site, to).unwrap_or_else(|error| self.reporter.warn(error.with_cause()));
        self.hooks.run_all(HookPhase::AfterRollback, &scene, site);
        Ok(())
    }

    /// Runs the hooks for failures.
    pub(super) fn run_on_failure(&self, site: &mut Site, scene: &Scene) {
        let scene = Scene { is_rollback: false, ..scene.clone() };
        self.hooks.run_all(HookPhase::OnFailure, &scene, site);
    }
}

/// A failure after the switch.
struct Unfit {
    error: Error,
    /// Whether the release stays live all the same.
    stays: bool,
}
