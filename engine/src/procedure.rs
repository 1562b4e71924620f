//! The procedure of a stage: its hooks, its checks, and the time for a confirmation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::{Check, CheckFrom};
use crate::hook::{Hook, HookPhase};

/// The procedure around a switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Procedure {
    /// The stage, if the config has one.
    pub stage: Option<String>,
    /// The hooks, in the order of the config: first those at its top, then those of the stage.
    pub hooks: Vec<Hook>,
    /// The checks, in the order of the config.
    pub checks: Vec<Check>,
    /// The time after which the server switches back, unless the client confirms. None: no confirmation is needed.
    pub confirm: Option<Duration>,
    /// Files whose last lines a failure shows, absolute or from the release.
    pub logs: Vec<String>,
    /// Texts that no output may show.
    pub secrets: Vec<String>,
}

impl Procedure {
    /// Returns the hooks of a phase, in order.
    pub fn hooks_of(&self, phase: HookPhase) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(move |hook| hook.phase == phase)
    }

    /// Returns whether a deploy to the server needs a runner.
    pub(crate) fn needs_runner(&self) -> bool {
        self.hooks.iter().any(|hook| !hook.phase.is_local()) || !self.checks.is_empty() || self.confirm.is_some()
    }

    /// Returns whether the server may leave a release that it has made live.
    pub(crate) fn may_return(&self) -> bool {
        self.hooks_of(HookPhase::AfterSwitch).next().is_some() || !self.checks.is_empty() || self.confirm.is_some()
    }

    /// Returns whether the client has checks of its own.
    pub(crate) fn has_client_checks(&self) -> bool {
        self.checks.iter().any(|check| check.from == CheckFrom::Client)
    }
}
