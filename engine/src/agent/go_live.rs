//! Makes a release live: the one way for a deploy, a switch and a rollback.
//!
//! Without hooks, checks and confirmation the agent switches by itself. Otherwise a runner does all of it.

use std::time::Instant;

use crate::error::{Error, HookError};
use crate::event::Phase;
use crate::release::ReleaseId;
use crate::wire::message::Hello;

use super::conversation::Conversation;
use super::reporter::Reporter;
use super::run::{Act, GoLive, end_overdue_trial, relay};
use super::site::Site;
use super::site::switch::{self, Step, Switch, SwitchOutcome};

/// A release that is to go live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure<'a> {
    /// The release.
    pub(crate) id: &'a ReleaseId,
    /// The direction of the switch.
    pub(crate) step: Step<'a>,
    /// Whether the release was live before: only hooks that are meant for a rollback run.
    pub(crate) is_rollback: bool,
}

/// A release that went live.
pub(crate) struct Arrival {
    /// The result of the switch.
    pub(crate) switched: SwitchOutcome,
    /// The duration of the phases, in seconds.
    pub(crate) seconds: Vec<(Phase, f32)>,
}

/// Makes a release live. Does nothing if it is live already.
pub(crate) fn go_live(
    conversation: &Conversation,
    hello: &Hello,
    site: &mut Site,
    departure: Departure<'_>,
) -> Result<Arrival, Error> {
    let Departure { id, step, is_rollback } = departure;
    let began = Instant::now();
    let live = site.layout.current.live()?;
    if live.as_ref() == Some(id) {
        return Ok(Arrival { switched: SwitchOutcome { previous: live, warnings: Vec::new() }, seconds: Vec::new() });
    }
    if hello.procedure.needs_runner() {
        // A runner may come to the switch before it hears that the client has gone.
        conversation.begin_switch(id)?;
        let back = if let Step::Back { reason } = step { Some(reason.to_owned()) } else { None };
        let act = Act::GoLive(GoLive { release: id.clone(), back, is_rollback });
        let ended = relay(conversation, &site.lock, hello, act);
        // The runner wrote records.
        site.read_again()?;
        if let Err(Error::Hook(HookError::RunnerEnded)) = ended {
            // The lock is held still, so the way back need not wait for the next run.
            let proved = end_overdue_trial(conversation, hello, site);
            proved.unwrap_or_else(|error| conversation.warn(error.with_cause()));
        }
        let ended = ended?;
        let hooks = began.elapsed().as_secs_f32() - ended.switch_seconds;
        let seconds = vec![(Phase::Hooks, hooks), (Phase::Switch, ended.switch_seconds)];
        return Ok(Arrival { switched: SwitchOutcome { previous: ended.previous, warnings: ended.warnings }, seconds });
    }
    conversation.begin_switch(id)?;
    conversation.began(Phase::Switch);
    let Site { lock, layout, releases } = site;
    let verb = hello.request.verb();
    let switch = Switch { id, step, verb, provenance: &hello.provenance, trial: None };
    let switched = switch::switch(layout, lock, releases, switch)?;
    conversation.ended(Phase::Switch);
    conversation.live(id);
    Ok(Arrival { switched, seconds: vec![(Phase::Switch, began.elapsed().as_secs_f32())] })
}
