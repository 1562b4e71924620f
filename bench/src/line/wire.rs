//! The bytes that crossed the line in a run, counted from outside and the same way for every tool.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::record::sample::WireBytes;

/// Counts while it flows.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

impl Counters {
    /// The client sent so much.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The server sent so much.
    pub(crate) fn received(&self, bytes: u64) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Begins to count from zero.
    pub(crate) fn reset(&self) {
        for counter in [&self.sent_bytes, &self.received_bytes] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Returns the counts.
    pub(crate) fn read(&self) -> WireBytes {
        let [sent_bytes, received_bytes] =
            [&self.sent_bytes, &self.received_bytes].map(|counter| counter.load(Ordering::Relaxed));
        WireBytes { sent_bytes, received_bytes }
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
}
