//! The end of a conversation, in good order, after a failure, or broken; and the release that is live then.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind};
use crate::live::LiveNow;
use crate::report::DeployFailure;
use crate::wire::connection::Carrier;
use crate::wire::frame::FrameKind;
use crate::wire::message::{self, FromAgent, ToAgent};

use super::Conversation;
use super::inbox::{Arrival, EmptyInbox};
use super::live::live_after;

/// The longest silence of an agent that is to say what is live after the client has closed the stream. An agent that
/// is alive sends something every ten seconds, also while a hook runs.
const FINAL_SILENCE_MAX: Duration = Duration::from_secs(15);
/// The time until the silence is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest silence of an agent that is to say what is live, where nothing can have been switched.
const LIVE_SILENCE_MAX: Duration = Duration::from_secs(2);
/// The time in which the agent may tidy up after a failure.
const TIDY_TIME: Duration = Duration::from_secs(5);
/// The time in which an agent that has answered ends by itself.
const SELF_END_TIME: Duration = Duration::from_secs(2);
/// The time in which the agent may end after its answer.
const END_TIME: Duration = Duration::from_secs(30);

impl Conversation {
    /// Replaces the error of a broken stream by the reason why it broke, if that is known.
    pub(super) fn lost(&self, error: Error) -> DeployFailure {
        self.close();
        let carrier = self.stream.carrier.lock().expect("nobody panics while closing").take();
        let is_silent = matches!(&error, Error::LineLost { source } if source.kind() == ErrorKind::TimedOut);
        // An agent that is silent does not end either.
        let error = match carrier.filter(|_| !is_silent).map(Carrier::finish) {
            Some(Err(reason)) => reason,
            _ => error,
        };
        // The lock is gone with the line, so the release that was live before may not be live any more.
        let live = match self.last_word() {
            live @ (LiveNow::Switched(_) | LiveNow::Unknown) => live,
            _ => LiveNow::Unchanged,
        };
        DeployFailure { error, live }
    }

    /// Adds to a failure the release that is live, as far as the client can know it: from what the agent said, or says
    /// when the stream is closed. If the agent may have switched and says nothing, the state is unknown.
    pub(crate) fn settle(&self, failure: DeployFailure) -> DeployFailure {
        let DeployFailure { error, live } = failure;
        if live != LiveNow::Unchanged || matches!(error, Error::Agent(_)) {
            return DeployFailure { error, live };
        }
        if self.can_switch.load(Ordering::Relaxed) {
            if matches!(error, Error::Interrupted) {
                self.stop();
            }
            return DeployFailure { error, live: self.final_state(FINAL_SILENCE_MAX, LiveNow::Unknown) };
        }
        // While the line is up, the agent holds the lock: nobody else has switched.
        let live = match (error.kind(), self.answers.live()) {
            (Kind::Line, _) => live,
            // The agent has not spoken yet: it may wait for the lock.
            (Kind::Interrupted, LiveNow::Unchanged) => self.final_state(LIVE_SILENCE_MAX, LiveNow::Unchanged),
            (_, live) => live,
        };
        DeployFailure { error, live }
    }

    /// Closes the stream, and returns the live release that the agent then reports. If it is silent for this
    /// time, returns `unheard`.
    fn final_state(&self, time: Duration, unheard: LiveNow) -> LiveNow {
        self.close();
        let listening = Instant::now();
        loop {
            let is_silent = self.stream.last_byte.silence(listening) > time;
            let deadline = Instant::now() + if is_silent { Duration::ZERO } else { LOOK_EVERY };
            match self.take_until(deadline) {
                Err(EmptyInbox::TimedOut) if !is_silent => {}
                Ok(Arrival::Message(message)) => match *message {
                    FromAgent::Failed { live, .. } => return live,
                    FromAgent::Done(reply) => return live_after(&reply),
                    _ => {}
                },
                Ok(Arrival::Part(_)) => {}
                Ok(Arrival::Lost(_)) | Err(_) => {
                    return Some(self.last_word()).filter(LiveNow::is_switched).unwrap_or(unheard);
                }
            }
        }
    }

    /// Returns the agent's last word on the live release. A release that the server may leave again may not be live now.
    fn last_word(&self) -> LiveNow {
        match self.answers.live() {
            LiveNow::Switched(_) if self.may_return.load(Ordering::Relaxed) => LiveNow::Unknown,
            live => live,
        }
    }

    /// Tells the agent that the user interrupted. A frame that is half written makes that impossible; then the end of the
    /// stream says it.
    fn stop(&self) {
        let mut out = self.stream.out.lock().expect("no sender panics");
        if let Some(writer) = out.as_mut() {
            writer.write(FrameKind::Message, &message::to_bytes(&ToAgent::Stop)).unwrap_or_default();
        }
    }

    /// Leaves after a failure. The agent gets a moment to tidy up and to release the lock: a user who repeats the
    /// command at once should not meet the lock. Hooks that follow a failure get as long as they take.
    pub(crate) fn leave(self, error: &Error) {
        if matches!(error, Error::Interrupted) {
            self.stop();
        }
        self.close();
        let listening = Instant::now();
        let has_hooks = self.has_hooks.load(Ordering::Relaxed);
        while !self.await_end(TIDY_TIME) {
            if !has_hooks || self.stream.last_byte.silence(listening) > FINAL_SILENCE_MAX {
                return;
            }
        }
    }

    /// Waits for the end of the agent's stream. Returns whether it came in time.
    fn await_end(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.take_until(deadline) {
                Ok(_) => {}
                Err(reason) => return reason == EmptyInbox::Ended,
            }
        }
    }

    /// Takes the next arrival. Takes nothing after `deadline`, however much has arrived.
    fn take_until(&self, deadline: Instant) -> Result<Arrival, EmptyInbox> {
        if Instant::now() < deadline { self.answers.inbox.take(deadline) } else { Err(EmptyInbox::TimedOut) }
    }

    /// Ends the conversation in good order.
    pub(crate) fn finish(self) {
        // The agent ends once it has answered. Telling it that no more comes would only be another packet.
        let mut ended = self.await_end(SELF_END_TIME);
        self.close();
        // The carrier waits for the end of the agent's stream, which may never come.
        ended |= self.await_end(END_TIME);
        // The answer has arrived: the way in which the carrier ends does not change it.
        if ended && let Some(carrier) = self.stream.carrier.lock().expect("nobody panics while closing").take() {
            drop(carrier.finish());
        }
    }
}
