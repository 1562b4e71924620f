//! Makes what has arrived durable while more arrives: the disk is idle then, and little is left to wait for at the end.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::Error;

use super::staging::Staging;

/// So many bytes are written between two flushes at least. Less makes more work: each waits for the
/// filesystem's journal.
const FLUSH_BYTES: u64 = 256 << 20;

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
        if before / FLUSH_BYTES != (before + bytes) / FLUSH_BYTES {
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
