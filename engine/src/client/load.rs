//! Whether the agent keeps up, by what it says of it while it receives.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What was said last, and what it came to. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Load(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// When it was said, and for how long no blocks had been taken then.
    said: Option<(Instant, Duration)>,
    stalled: f64,
}

impl Load {
    /// Notes for how long no blocks were taken so far.
    pub(super) fn note(&self, now: Instant, stalled: Duration) {
        let mut state = self.0.lock().expect("no listener panics");
        if let Some((then, before)) = state.said.replace((now, stalled)) {
            let passed = (now - then).as_secs_f64();
            // Another round of receiving begins anew.
            let stood = stalled.checked_sub(before).unwrap_or_default().as_secs_f64();
            state.stalled = if passed > 0.0 { (stood / passed).min(1.0) } else { 0.0 };
        }
    }

    /// Returns the share of the time for which no blocks were taken, between the last two times that it was said.
    pub(super) fn stalled(&self) -> f64 {
        self.0.lock().expect("no listener panics").stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalled_is_a_share_of_the_time() {
        let (load, began) = (Load::default(), Instant::now());
        let after = |millis| began + Duration::from_millis(millis);
        let check = |now, stalled: u64, expected: f64| {
            load.note(after(now), Duration::from_millis(stalled));
            assert!((load.stalled() - expected).abs() < 1e-9, "{}", load.stalled());
        };
        check(100, 50, 0.0);
        check(200, 125, 0.75);
        check(300, 125, 0.0);
        check(300, 150, 0.0);
        check(400, 300, 1.0);
        check(500, 100, 0.0);
    }
}
