//! Waits for an observable condition, with a deadline instead of a sleep.

use std::time::{Duration, Instant};

/// Far more than any wait takes on a slow machine: only a test that would fail anyway reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// So long the looks follow one another at once: what is waited for may last a moment only.
const SOON: Duration = Duration::from_millis(50);
/// The time between two looks later on.
const PAUSE: Duration = Duration::from_millis(1);

/// Returns the first value that `look` returns.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        let waited = began.elapsed();
        assert!(waited < DEADLINE, "waited in vain until {what}");
        // What takes long is not to be slowed by the looks.
        if waited < SOON { std::thread::yield_now() } else { std::thread::sleep(PAUSE) }
    }
}
