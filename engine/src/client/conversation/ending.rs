//! How a conversation ends: in good order, left after a failure, or broken; and what is live then.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind};
use crate::live::LiveNow;
use crate::report::DeployFailure;
use crate::wire::message::FromAgent;

use super::Conversation;
use super::inbox::{Arrival, NothingTaken};
use super::live::live_after;

/// How long the agent may take to say what is live after this side has left it.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long this side waits for the agent to tidy up after a failure.
const TIDYING: Duration = Duration::from_secs(5);
/// How soon an agent that has answered ends by itself.
const ANSWERED: Duration = Duration::from_secs(2);
/// How long the agent may take to end after its answer.
const ENDING: Duration = Duration::from_secs(30);

impl Conversation {
    /// Finds out what is live after a failure, as far as this side can know: what the agent said, or what it says when
    /// it is left. Where it may have switched and says nothing, nobody knows.
    pub(crate) fn settle(&self, failure: DeployFailure) -> DeployFailure {
        let DeployFailure { error, live } = failure;
        if live != LiveNow::Unchanged || matches!(error, Error::Agent(_)) {
            return DeployFailure { error, live };
        }
        if self.may_switch.load(Ordering::Relaxed) {
            return DeployFailure { error, live: self.last_words() };
        }
        // While the line stands, the agent holds the lock: nobody else has switched.
        let live = if error.kind() == Kind::Line { live } else { self.answers.live() };
        DeployFailure { error, live }
    }

    /// Leaves the agent, and hears what it says to that.
    fn last_words(&self) -> LiveNow {
        self.close();
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            let live = self.answers.live();
            if live.is_switched() {
                return live;
            }
            match self.take_until(deadline) {
                Ok(Arrival::Message(message)) => match *message {
                    FromAgent::Failed { live, .. } => return live,
                    FromAgent::Done(reply) => return live_after(&reply),
                    _ => {}
                },
                Ok(Arrival::Part(_)) => {}
                Ok(Arrival::Lost(_)) | Err(_) => {
                    return Some(self.answers.live()).filter(LiveNow::is_switched).unwrap_or(LiveNow::Unknown);
                }
            }
        }
    }

    /// Leaves after a failure. The agent gets a moment to tidy up and to let go of the lock: whoever runs the command
    /// again should not meet it.
    pub(crate) fn leave(self) {
        self.close();
        self.await_end(TIDYING);
    }

    /// Waits until the agent says nothing more. Says whether it came to that in time.
    fn await_end(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.take_until(deadline) {
                Ok(_) => {}
                Err(nothing) => return nothing == NothingTaken::Ended,
            }
        }
    }

    /// Takes what comes next; nothing after `deadline`, however much there is.
    fn take_until(&self, deadline: Instant) -> Result<Arrival, NothingTaken> {
        if Instant::now() < deadline { self.answers.inbox.take(deadline) } else { Err(NothingTaken::TimedOut) }
    }

    /// Ends the conversation in good order.
    pub(crate) fn finish(self) {
        // The agent ends once it has answered. To tell it that no more comes would only be a packet more.
        let mut ended = self.await_end(ANSWERED);
        self.close();
        // The carrier waits for the end of what the agent says, and that may never come.
        ended |= self.await_end(ENDING);
        // The answer is there; how the carrier ends changes nothing of it.
        if ended && let Some(carrier) = self.stream.carrier.lock().expect("nobody panics while closing").take() {
            drop(carrier.finish());
        }
    }
}
