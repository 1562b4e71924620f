//! What crossed the line in a run, counted from outside and the same way for every tool.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::record::sample::WireBytes;

/// Counts while it flows.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    connections: AtomicU64,
    waits: Option<Mutex<Waits>>,
}

impl Counters {
    /// Counts waits as well, for a line of that round-trip time; without a delay there is nothing to tell them by.
    pub(crate) fn for_round_trip(round_trip: Duration) -> Counters {
        let waits = (!round_trip.is_zero()).then(|| Mutex::new(Waits::new(round_trip)));
        Counters { waits, ..Counters::default() }
    }

    /// The client sent so much.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.on_waits(|waits| waits.sent(Instant::now()), bytes);
    }

    /// The server sent so much.
    pub(crate) fn received(&self, bytes: u64) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So much of what the server sent reached the client.
    pub(crate) fn arrived(&self, bytes: u64) {
        self.on_waits(Waits::arrived, bytes);
    }

    /// A connection was opened.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what the client has sent since the last reset, while it runs.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Begins to count from zero.
    pub(crate) fn reset(&self) {
        for counter in [&self.sent_bytes, &self.received_bytes, &self.connections] {
            counter.store(0, Ordering::Relaxed);
        }
        if let Some(waits) = &self.waits {
            let mut waits = waits.lock().expect("nothing panics while it is held");
            *waits = Waits::new(waits.round_trip);
        }
    }

    /// Returns what was counted.
    pub(crate) fn read(&self) -> WireBytes {
        let waits = self.waits.as_ref().map(|waits| waits.lock().expect("nothing panics while it is held").count);
        WireBytes {
            sent_bytes: self.sent_bytes(),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            waits,
        }
    }

    fn on_waits(&self, then: impl FnOnce(&mut Waits), bytes: u64) {
        if let (Some(waits), true) = (&self.waits, bytes > 0) {
            then(&mut waits.lock().expect("nothing panics while it is held"));
        }
    }
}

/// Counts round trips that the client waited for: it sends, after a silence of nearly a round trip in which something
/// came from the server.
///
/// Those of SSH's own set-up count, that of TCP does not. Windows that are granted while much is sent do not count, as
/// the client is not silent then. A long computation on one side looks like a wait if it ends with an answer; this is
/// an indication and not a proof.
#[derive(Debug)]
struct Waits {
    round_trip: Duration,
    last_sent: Option<Instant>,
    is_answered: bool,
    count: u64,
}

impl Waits {
    fn new(round_trip: Duration) -> Waits {
        Waits { round_trip, last_sent: None, is_answered: false, count: 0 }
    }

    fn sent(&mut self, now: Instant) {
        // A little less than the round trip: the two ends of the silence are seen with some delay.
        let silence = self.round_trip * 9 / 10;
        let is_silent = self.last_sent.is_none_or(|last| now.duration_since(last) >= silence);
        if is_silent && self.is_answered {
            self.count += 1;
        }
        self.last_sent = Some(now);
        self.is_answered = false;
    }

    fn arrived(&mut self) {
        self.is_answered = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_silence_with_an_answer() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut waits = Waits::new(Duration::from_millis(40));
        waits.sent(at(0));
        // Sends on, while something comes.
        waits.arrived();
        waits.sent(at(10));
        assert_eq!(waits.count, 0);
        // A silence without an answer: the line or the client was slow.
        waits.sent(at(60));
        assert_eq!(waits.count, 0);
        waits.arrived();
        waits.sent(at(100));
        assert_eq!(waits.count, 1);
    }

    #[test]
    fn counters_begin_again_from_zero() {
        let counters = Counters::for_round_trip(Duration::ZERO);
        counters.connected();
        counters.sent(3);
        counters.received(4);
        let wire = counters.read();
        assert_eq!((wire.total_bytes(), wire.connections, wire.waits), (7, 1, None));
        counters.reset();
        assert_eq!((counters.read().total_bytes(), counters.read().connections), (0, 0));
    }
}
