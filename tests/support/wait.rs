//! Waits for an observable condition, with a deadline instead of a sleep.

use std::time::{Duration, Instant};

/// Far more than any wait takes on a slow machine: only a test that would fail anyway reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Returns the first value that `look` returns.
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
