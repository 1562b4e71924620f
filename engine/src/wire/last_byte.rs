//! The time of the last bytes from the other side.
//!
//! Any byte counts, not only whole frames: a block may take minutes over a slow connection.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The time of the last bytes. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct LastByte(Arc<Mutex<Instant>>);

impl LastByte {
    /// Starts now: a side that never sends anything is silent from now on.
    pub(crate) fn now() -> LastByte {
        LastByte(Arc::new(Mutex::new(Instant::now())))
    }

    /// Sets the time to now.
    pub(crate) fn note(&self) {
        *self.0.lock().expect("nobody panics while noting") = Instant::now();
    }

    /// Returns how long the other side has been silent. The silence begins no earlier than `listening`, when this
    /// side began to listen.
    pub(crate) fn silence(&self, listening: Instant) -> Duration {
        self.0.lock().expect("nobody panics while noting").max(listening).elapsed()
    }
}
