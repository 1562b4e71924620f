//! The trial of a live release: the hooks after the switch, the checks, and the client's confirmation.
//!
//! It stands in the record of the release before the switch, and goes when it has ended and the release stays. A release
//! that was left may keep it: the next switch to that release writes its own, or none. If the runner is gone, nobody ends
//! the trial any more, and the next run that takes the lock treats it as failed, see `overdue`.
//!
//! A deadline is a time of this boot's clock, which also runs while the machine sleeps.

use std::time::Duration;

use crate::error::{Error, HookError};
use crate::hook::{Hook, HookPhase, OnError};
use crate::procedure::Procedure;
use crate::release::{Confirmation, ReleaseId, Trial};

use super::scene::Scene;
use crate::agent::site::Site;
use crate::agent::site::{records, reserve};
use crate::agent::uptime;

/// The time by which a release must be confirmed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// Milliseconds of this boot.
    until: u64,
    /// The time for it.
    time: Duration,
}

impl Deadline {
    /// Begins the time.
    pub(super) fn begin(time: Duration) -> Deadline {
        let until = uptime::millis().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Deadline { until, time }
    }

    /// Returns the confirmation for the record of a release.
    fn confirmation(self) -> Confirmation {
        Confirmation { boot: crate::boot::id(), until: self.until }
    }

    /// Tells whether the time is over.
    pub(super) fn is_over(self) -> bool {
        uptime::millis() >= self.until
    }

    /// Returns the time that is left.
    pub(super) fn left(self) -> Duration {
        Duration::from_millis(self.until.saturating_sub(uptime::millis()))
    }

    /// Returns the error of a release that was not confirmed in time.
    pub(super) fn error(self) -> Error {
        HookError::NotConfirmed { seconds: self.time.as_secs() }.into()
    }
}

/// Returns the trial of a release that a procedure makes live, if there is anything to prove.
///
/// A deploy and a step forward go back to the release that was live. A rollback never leads back to the release that
/// the user just left: its goal stays, and is not marked bad.
pub(super) fn of(
    procedure: &Procedure,
    scene: &Scene,
    is_step_back: bool,
    deadline: Option<Deadline>,
) -> Option<Trial> {
    let has_probes = deadline.is_some() || !procedure.checks.is_empty();
    let mut hooks = hooks_after_switch(procedure, scene).peekable();
    if !has_probes && hooks.peek().is_none() {
        return None;
    }
    let leads_back = |hook: &Hook| hook.halt_on_error && hook.on_error == OnError::Rollback;
    let can_lead_back = !is_step_back && (has_probes || hooks.any(leads_back));
    let back_to = scene.previous.clone().filter(|_| can_lead_back);
    Some(Trial { confirmation: deadline.map(Deadline::confirmation), back_to, marks_bad: !is_step_back })
}

/// Returns the trial of a release that was gone back to: only hooks run, and it stays.
pub(super) fn after_return(procedure: &Procedure, scene: &Scene) -> Option<Trial> {
    let hook = hooks_after_switch(procedure, scene).next();
    hook.map(|_| Trial { confirmation: None, back_to: None, marks_bad: false })
}

fn hooks_after_switch<'a>(procedure: &'a Procedure, scene: &'a Scene) -> impl Iterator<Item = &'a Hook> {
    procedure.hooks_of(HookPhase::AfterSwitch).filter(|hook| scene.calls(hook))
}

/// Ends the trial: the release stays live. On a full disk the reserve gives the space, because the next run would switch
/// back from a release whose trial has not ended.
pub(super) fn end(site: &mut Site, release: &ReleaseId) -> Result<(), Error> {
    let Site { lock, layout, releases } = site;
    let record = releases.find_mut(release)?;
    match record.trial.take() {
        None => Ok(()),
        Some(Trial { back_to: None, .. }) => reserve::unless_full(records::replace(lock, layout, record)),
        Some(_) => reserve::write_critical(&layout.private, || records::replace(lock, layout, record)),
    }
}
