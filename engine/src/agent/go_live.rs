//! Makes a release live: the one way for a deploy, a switch and a rollback.
//!
//! Without hooks, checks and confirmation the agent switches by itself. Otherwise a runner does all of it.

use std::time::Instant;

use crate::error::{Error, HookError};
use crate::event::Phase;
use crate::hook::HookPhase;
use crate::wire::message::Hello;

use super::conversation::Conversation;
use super::reporter::Reporter;
use super::run::{Act, GoLive, Scene, end_overdue_trial, relay};
use super::site::Site;
use super::site::switch::SwitchOutcome;

/// A release that went live.
pub(crate) struct WentLive {
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
    order: GoLive,
) -> Result<WentLive, Error> {
    let began = Instant::now();
    let live = site.layout.current.live()?;
    if live.as_ref() == Some(&order.release) {
        return Ok(WentLive { switched: SwitchOutcome { previous: live, warnings: Vec::new() }, seconds: Vec::new() });
    }
    if hello.procedure.needs_runner() {
        // A runner may come to the switch before it hears that the client has gone.
        conversation.begin_switch(&order.release)?;
        let (release, is_step_back) = (order.release.clone(), order.back.is_some());
        let ended = relay(conversation, &site.lock, hello, Act::GoLive(order));
        // The runner wrote records.
        site.read_again()?;
        let ended = match ended {
            Err(error @ Error::Hook(HookError::RunnerEnded { .. })) => {
                // The lock is held still, so the way back need not wait for the next run.
                let proved = end_overdue_trial(conversation, hello, site);
                proved.unwrap_or_else(|error| conversation.warn(error.with_cause()));
                let stays = is_step_back && site.layout.current.live()?.as_ref() == Some(&release);
                return Err(if stays { error.with_good_release() } else { error });
            }
            ended => ended?,
        };
        let hooks = began.elapsed().as_secs_f32() - ended.switch_seconds;
        let seconds = vec![(Phase::Hooks, hooks), (Phase::Switch, ended.switch_seconds)];
        return Ok(WentLive {
            switched: SwitchOutcome { previous: ended.previous, warnings: ended.warnings },
            seconds,
        });
    }
    let switched = order.switch(conversation, hello, site, None)?;
    Ok(WentLive { switched, seconds: vec![(Phase::Switch, began.elapsed().as_secs_f32())] })
}

/// Runs the hooks for failures, unless the runner has run them: it runs them after its own failures. Their errors are
/// warnings.
pub(crate) fn run_on_failure(conversation: &Conversation, hello: &Hello, site: &Site, error: &Error) {
    let phase = HookPhase::OnFailure;
    if matches!(error, Error::Agent(_)) || hello.procedure.hooks_of(phase).next().is_none() {
        return;
    }
    let scene = Scene::before(site.layout.current.live().ok().flatten());
    if let Err(error) = relay(conversation, &site.lock, hello, Act::Hooks { phase, scene }) {
        conversation.warn(error.with_cause());
    }
}
