//! Makes what has arrived durable while more arrives: the disk is idle then, and little is left to wait for at the end.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::agent::staging::Staging;
use crate::error::Error;

/// The first flush comes after so many bytes, each next one after twice as many in all as the one before, ...
const FIRST_BYTES: u64 = 16 << 20;

/// ... but no more than so many after it. Less makes more work: each waits for the filesystem's journal.
const FLUSH_BYTES: u64 = 256 << 20;

/// Returns how many flushes have come when so many bytes are written.
fn flushes(bytes: u64) -> u64 {
    match bytes {
        0..FIRST_BYTES => 0,
        FIRST_BYTES..FLUSH_BYTES => u64::from((bytes / FIRST_BYTES).ilog2()) + 1,
        _ => u64::from((FLUSH_BYTES / FIRST_BYTES).ilog2()) + bytes / FLUSH_BYTES,
    }
}

/// Wakes the flusher, which ends when this is dropped.
pub(crate) struct Flush {
    wake: Sender<()>,
    written: AtomicU64,
}

impl Flush {
    /// Returns both ends.
    pub(crate) fn new() -> (Flush, Flusher) {
        let (wake, woken) = bounded(0);
        (Flush { wake, written: AtomicU64::new(0) }, Flusher(woken))
    }

    /// Notes that so many bytes were written.
    pub(crate) fn note(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if flushes(before) != flushes(before + bytes) {
            // While one is under way another would only have to be waited for at the end.
            self.wake.try_send(()).ok();
        }
    }
}

/// What flushes, on a thread of its own.
pub(crate) struct Flusher(Receiver<()>);

impl Flusher {
    /// Flushes whenever it is woken. A failed write is reported here or by the flush at the end, never by both, so an
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
