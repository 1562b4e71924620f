//! Waiting for what can be observed, with a deadline instead of a sleep.

use std::time::{Duration, Instant};

/// Far more than anything here takes on a slow machine: only a test that would fail anyway gets there.
const DEADLINE: Duration = Duration::from_secs(60);

/// Returns the first value that `look` finds.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}
