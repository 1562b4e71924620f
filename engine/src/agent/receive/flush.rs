//! Makes received content durable while more arrives. The disk is idle then, and little is left to sync at the end.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::agent::staging::Staging;
use crate::error::Error;

/// The size of received content at the first flush. Each next flush comes when the total has doubled, ...
const FIRST_BYTES: u64 = 16 << 20;

/// ... but at the latest after this many bytes. More flushes would cost more: each waits for the filesystem's
/// journal.
const FLUSH_BYTES: u64 = 256 << 20;

/// Returns the number of flushes that are due after so many bytes.
fn flushes(bytes: u64) -> u64 {
    match bytes {
        0..FIRST_BYTES => 0,
        FIRST_BYTES..FLUSH_BYTES => u64::from((bytes / FIRST_BYTES).ilog2()) + 1,
        _ => u64::from((FLUSH_BYTES / FIRST_BYTES).ilog2()) + bytes / FLUSH_BYTES,
    }
}

/// The end that wakes the flusher. Dropping it ends the flusher.
pub(crate) struct Flush {
    wake: Sender<()>,
    written: AtomicU64,
}

impl Flush {
    /// Makes both ends.
    pub(crate) fn new() -> (Flush, Flusher) {
        let (wake, woken) = bounded(0);
        (Flush { wake, written: AtomicU64::new(0) }, Flusher(woken))
    }

    /// Counts written bytes, and wakes the flusher if a flush is due.
    pub(crate) fn note(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if flushes(before) != flushes(before + bytes) {
            // If a flush is running, a second one would only delay the end.
            self.wake.try_send(()).ok();
        }
    }
}

/// The end that flushes, on a thread of its own.
pub(crate) struct Flusher(Receiver<()>);

impl Flusher {
    /// Flushes whenever it is woken. The kernel reports a failed write once, here or to the flush at the end, so an
    /// error here ends the deploy too.
    pub(crate) fn run(self, staging: &Staging) -> Result<(), Error> {
        self.0.into_iter().try_for_each(|()| staging.dir.sync_filesystem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_come_further_and_further_apart_up_to_a_limit() {
        let mib = |mib: u64| flushes(mib << 20);
        let at: Vec<u64> = (1..=1024).filter(|&at| mib(at) != mib(at - 1)).collect();
        assert_eq!(at, [16, 32, 64, 128, 256, 512, 768, 1024]);
    }
}
