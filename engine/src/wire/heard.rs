//! When the other side was last heard.
//!
//! Any byte counts, not whole frames: a block may be minutes on its way over a slow line.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The moment at which the last bytes came. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    /// Begins: a side that was never heard is silent from now on.
    pub(crate) fn now() -> Heard {
        Heard(Arc::new(Mutex::new(Instant::now())))
    }

    /// Notes that bytes came.
    pub(crate) fn note(&self) {
        *self.0.lock().expect("nobody panics while noting") = Instant::now();
    }

    /// Returns how long the other side has been silent while this side listened, which it has since `listening`.
    pub(crate) fn silence(&self, listening: Instant) -> Duration {
        self.0.lock().expect("nobody panics while noting").max(listening).elapsed()
    }
}
