//! Examines the lock: a run that has it or died with it, a person who keeps deploys out, a trial that did not end.

use crate::agent::site::lock::{Lock, LockState, manual};
use crate::error::Error;
use crate::report::Finding;

use super::look::Look;
use super::place::Ours;

pub(super) fn look(ours: &Ours) -> Result<Look, Error> {
    let mut look = Look::default();
    let private = &ours.layout.private;
    let state = Lock::state(private)?;
    let is_held = matches!(state, LockState::Held(_) | LockState::HookRuns { .. });
    match state {
        LockState::Free => look.facts.push("free".into()),
        LockState::Held(holder) => look.find(Finding::AnotherRun { holder }),
        LockState::HookRuns { holder, hook } => look.find(Finding::HookStillRuns { holder, hook }),
        LockState::Left(holder) => look.find(Finding::LockLeft { holder }),
    }
    if let Some(lock) = manual::read(private)? {
        look.find(Finding::DeploysLocked { lock });
    }
    let live = ours.layout.current.live().unwrap_or_default();
    let record = live.as_ref().and_then(|live| ours.releases.find(live));
    if let Some((record, trial)) = record.and_then(|record| Some((record, record.trial.as_ref()?)))
        && !is_held
    {
        look.find(Finding::TrialOpen { release: record.id.clone(), back_to: trial.back_to.clone() });
    }
    Ok(look)
}
