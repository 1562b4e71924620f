//! The load of the agent, as it reports it while it receives.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The load of the agent. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Load(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The time of the last report, and the time in which no blocks had been accepted by then.
    last_report: Option<(Instant, Duration)>,
    stalled: f64,
}

impl Load {
    /// Notes the time in which no blocks were accepted so far.
    pub(super) fn note(&self, now: Instant, stalled: Duration) {
        let mut state = self.0.lock().expect("no listener panics");
        if let Some((then, before)) = state.last_report.replace((now, stalled)) {
            let passed = (now - then).as_secs_f64();
            // Another round of receiving counts from zero.
            let stood = stalled.checked_sub(before).unwrap_or_default().as_secs_f64();
            state.stalled = if passed > 0.0 { (stood / passed).min(1.0) } else { 0.0 };
        }
    }

    /// Returns the share of the time in which no blocks were accepted, between the last two reports.
    pub(super) fn stalled_share(&self) -> f64 {
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
            assert!((load.stalled_share() - expected).abs() < 1e-9, "{}", load.stalled_share());
        };
        check(100, 50, 0.0);
        check(200, 125, 0.75);
        check(300, 125, 0.0);
        check(300, 150, 0.0);
        check(400, 300, 1.0);
        check(500, 100, 0.0);
    }
}
