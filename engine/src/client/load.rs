//! How busy the agent's lanes are, by what it says of them while it receives.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What was said last, and what it came to. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Load(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// When it was said, and for how long all lanes together had worked then.
    said: Option<(Instant, Duration)>,
    busy: f64,
}

impl Load {
    /// Notes for how long all lanes together have worked so far.
    pub(super) fn note(&self, now: Instant, lanes: u32, worked: Duration) {
        let mut state = self.0.lock().expect("no listener panics");
        if let Some((then, before)) = state.said.replace((now, worked)) {
            let could = (now - then).as_secs_f64() * f64::from(lanes);
            // Another round of receiving begins anew.
            let did = worked.checked_sub(before).unwrap_or_default().as_secs_f64();
            state.busy = if could > 0.0 { (did / could).min(1.0) } else { 0.0 };
        }
    }

    /// Returns the share of the time for which lanes were at work, between the last two times that it was said.
    pub(super) fn busy(&self) -> f64 {
        self.0.lock().expect("no listener panics").busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_the_share_of_all_lanes_time() {
        let (load, began) = (Load::default(), Instant::now());
        let after = |millis| began + Duration::from_millis(millis);
        let check = |now, worked: u64, expected: f64| {
            load.note(after(now), 2, Duration::from_millis(worked));
            assert!((load.busy() - expected).abs() < 1e-9, "{}", load.busy());
        };
        check(100, 150, 0.0);
        check(200, 300, 0.75);
        check(300, 300, 0.0);
        check(300, 400, 0.0);
        check(400, 900, 1.0);
        check(500, 100, 0.0);
    }
}
