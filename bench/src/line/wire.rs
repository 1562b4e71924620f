//! The bytes that crossed the line in a run, counted from outside and the same way for every tool.

use std::sync::Mutex;

use crate::record::sample::WireBytes;

/// So many messages of equal length, one after the other, are one message that is sent again and again. No handshake of
/// SSH has so many.
const REPEATED: u64 = 8;

/// Counts while it flows.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent: Mutex<Counter>,
    received: Mutex<Counter>,
}

/// The bytes of one direction.
#[derive(Debug, Default)]
struct Counter {
    bytes: u64,
    /// The length of the last message, and how many there were of it.
    last: (u64, u64),
    /// The bytes of messages that were sent again.
    repeated_bytes: u64,
}

impl Counters {
    /// The client sent so much at once.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.lock().expect("nothing panics while it is held").add(bytes);
    }

    /// The server sent so much at once.
    pub(crate) fn received(&self, bytes: u64) {
        self.received.lock().expect("nothing panics while it is held").add(bytes);
    }

    /// Begins to count from zero.
    pub(crate) fn reset(&self) {
        for counter in [&self.sent, &self.received] {
            *counter.lock().expect("nothing panics while it is held") = Counter::default();
        }
    }

    /// Returns the counts.
    pub(crate) fn read(&self) -> WireBytes {
        self.read_each(|counter| counter.bytes)
    }

    /// Returns the counts without messages that were sent again: a client may ask for a session for seconds.
    pub(crate) fn read_once(&self) -> WireBytes {
        self.read_each(|counter| counter.bytes - counter.repeated_bytes)
    }

    fn read_each(&self, figure: fn(&Counter) -> u64) -> WireBytes {
        let [sent_bytes, received_bytes] = [&self.sent, &self.received]
            .map(|counter| figure(&counter.lock().expect("nothing panics while it is held")));
        WireBytes { sent_bytes, received_bytes }
    }
}

impl Counter {
    fn add(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.bytes += bytes;
        let (length, times) = self.last;
        let times = if bytes == length { times + 1 } else { 1 };
        self.last = (bytes, times);
        match times {
            ..REPEATED => {}
            REPEATED => self.repeated_bytes += bytes * (REPEATED - 1),
            _ => self.repeated_bytes += bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_begin_again_from_zero() {
        let counters = Counters::default();
        counters.sent(3);
        counters.received(4);
        let wire = counters.read();
        assert_eq!((wire.sent_bytes, wire.total_bytes()), (3, 7));
        counters.reset();
        assert_eq!(counters.read().total_bytes(), 0);
    }

    #[test]
    fn a_message_that_is_sent_again_counts_once() {
        let once = |repeats: usize| {
            let counters = Counters::default();
            [500, 70].iter().chain(&vec![90; repeats]).chain(&[44]).for_each(|bytes| counters.sent(*bytes));
            assert_eq!(counters.read().sent_bytes, 614 + 90 * repeats as u64);
            counters.read_once().sent_bytes
        };
        assert_eq!([once(1), once(8), once(150)], [704; 3]);
        // A handshake may hold some of equal length.
        assert_eq!(once(3), 614 + 270);
    }
}
