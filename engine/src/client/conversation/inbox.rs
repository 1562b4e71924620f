//! Answers that wait until they are asked for, at most [`WAITING_BYTES_MAX`] of them.
//!
//! The listener waits while the inbox is full. Answers that arrive while the client writes always fit, or both sides
//! would wait for each other. An agent that says more than it was asked waits itself.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::error::Error;
use crate::wire::bounds::{WAITING_BYTES_EACH, WAITING_BYTES_MAX};
use crate::wire::message::FromAgent;

/// An arrival from the agent.
#[derive(Debug)]
pub(super) enum Arrival {
    Message(Box<FromAgent>),
    Part(Vec<u8>),
    Lost(Error),
}

/// Answers that wait. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Inbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Each arrival with its size in bytes.
    waiting: VecDeque<(Arrival, usize)>,
    bytes: usize,
    /// Nothing is put in any more.
    has_ended: bool,
    /// Nothing is taken out any more.
    is_left: bool,
}

/// The reason why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EmptyInbox {
    /// Nothing arrived in time.
    TimedOut,
    /// Nothing arrives any more.
    Ended,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nobody panics while an answer waits")
    }

    /// Puts in an arrival of this many bytes. Returns false if nothing is taken out any more.
    pub(super) fn put(&self, arrival: Arrival, bytes: usize) -> bool {
        let bytes = bytes + WAITING_BYTES_EACH;
        let is_full = |state: &mut State| !state.is_left && state.bytes > 0 && state.bytes + bytes > WAITING_BYTES_MAX;
        let mut state = self.0.changed.wait_while(self.state(), is_full).expect("nobody panics while an answer waits");
        if state.is_left {
            return false;
        }
        state.bytes += bytes;
        state.waiting.push_back((arrival, bytes));
        self.0.changed.notify_all();
        true
    }

    /// Notes that nothing arrives any more.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.0.changed.notify_all();
    }

    /// Notes that nothing is taken out any more.
    pub(super) fn leave(&self) {
        self.state().is_left = true;
        self.0.changed.notify_all();
    }

    /// Takes the first arrival, waiting for it until `deadline`.
    pub(super) fn take(&self, deadline: Instant) -> Result<Arrival, EmptyInbox> {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_empty = |state: &mut State| state.waiting.is_empty() && !state.has_ended;
        let waited = self.0.changed.wait_timeout_while(self.state(), left, is_empty);
        let (mut state, _) = waited.expect("nobody panics while an answer waits");
        match state.waiting.pop_front() {
            Some((arrival, bytes)) => {
                state.bytes -= bytes;
                self.0.changed.notify_all();
                Ok(arrival)
            }
            None if state.has_ended => Err(EmptyInbox::Ended),
            None => Err(EmptyInbox::TimedOut),
        }
    }

    /// Takes the first arrival that ends the conversation, if there is one, and leaves the others.
    pub(super) fn take_end(&self) -> Option<Arrival> {
        let mut state = self.state();
        let is_end = |arrival: &Arrival| match arrival {
            Arrival::Lost(_) => true,
            Arrival::Message(message) => matches!(**message, FromAgent::Failed { .. }),
            Arrival::Part(_) => false,
        };
        let at = state.waiting.iter().position(|(arrival, _)| is_end(arrival))?;
        let (arrival, bytes) = state.waiting.remove(at)?;
        state.bytes -= bytes;
        Some(arrival)
    }

    /// Waits until `is_so` returns true.
    pub(super) fn wait_until(&self, is_so: impl Fn() -> bool, deadline: Instant) -> Result<(), EmptyInbox> {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_not = |state: &mut State| !is_so() && !state.has_ended;
        let waited = self.0.changed.wait_timeout_while(self.state(), left, is_not);
        let (state, _) = waited.expect("nobody panics while an answer waits");
        match is_so() {
            true => Ok(()),
            false if state.has_ended => Err(EmptyInbox::Ended),
            false => Err(EmptyInbox::TimedOut),
        }
    }

    /// Wakes every waiter, since something has changed.
    pub(super) fn wake(&self) {
        drop(self.state());
        self.0.changed.notify_all();
    }

    /// Tells whether nothing waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn part(byte: u8) -> Arrival {
        Arrival::Part(vec![byte])
    }

    #[test]
    fn what_waits_is_bounded_and_whoever_brings_more_waits() {
        let inbox = Inbox::default();
        let half = WAITING_BYTES_MAX / 2 - WAITING_BYTES_EACH;
        assert!(inbox.put(part(1), half) && inbox.put(part(2), half));
        std::thread::scope(|scope| {
            let third = scope.spawn(|| inbox.put(part(3), 0));
            let waited = inbox.wait_until(|| third.is_finished(), Instant::now() + Duration::from_millis(100));
            assert_eq!(waited, Err(EmptyInbox::TimedOut));
            for byte in 1..=3 {
                let taken = inbox.take(Instant::now() + SOON);
                assert!(matches!(taken, Ok(Arrival::Part(bytes)) if bytes == [byte]));
            }
            assert!(third.join().unwrap());
        });
        // One that is longer than all that may wait goes alone.
        assert!(inbox.put(part(4), WAITING_BYTES_MAX));
        inbox.leave();
        assert!(!inbox.put(part(5), 0));
    }

    #[test]
    fn an_end_is_found_behind_answers_that_wait() {
        let inbox = Inbox::default();
        inbox.put(part(1), 1);
        assert!(inbox.take_end().is_none());
        inbox.put(Arrival::Lost(Error::Interrupted), 0);
        assert!(matches!(inbox.take_end(), Some(Arrival::Lost(Error::Interrupted))));
        inbox.end();
        assert!(matches!(inbox.take(Instant::now()), Ok(Arrival::Part(_))));
        assert!(matches!(inbox.take(Instant::now()), Err(EmptyInbox::Ended)));
    }
}
