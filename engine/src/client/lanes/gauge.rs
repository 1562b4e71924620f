//! Judges by rates whether another lane is of use.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The bytes that `sshd` lets a client send on a channel before it announces more room.
const WINDOW_BYTES: u64 = 2 << 20;

/// The least bytes to come for which a lane is worth opening: an opening takes some ten round trips.
const LEFT_BYTES_MIN: u64 = 16 << 20;

/// The least time left, at the present rate, for which a lane is worth opening.
const LEFT_TIME_MIN: Duration = Duration::from_millis(1500);

/// The part of the window's rate, in percent, from which the window counts as the limit.
const LIMIT_PERCENT: u64 = 60;

/// The time over which a rate is measured, in round trips, and at least.
const MEASURED_ROUND_TRIPS: u32 = 2;
const MEASURED_MIN: Duration = Duration::from_millis(200);

/// The round trips in which a connection grows to its window, from the ten packets that TCP begins with.
const WARM_UP_ROUND_TRIPS: u32 = 8;

/// See the module's description.
pub(super) struct Gauge {
    round_trip: Duration,
    /// The begin of each connection.
    began: Vec<Instant>,
    /// The bytes sent by a time, in the span over which the rate is measured.
    samples: VecDeque<(Instant, u64)>,
    has_given_up: bool,
}

impl Gauge {
    /// Begins with the first connection.
    pub(super) fn new(round_trip: Duration, now: Instant) -> Gauge {
        Gauge { round_trip, began: vec![now], samples: VecDeque::new(), has_given_up: false }
    }

    /// Notes that a lane began.
    pub(super) fn lane_began(&mut self, now: Instant) {
        self.began.push(now);
    }

    /// Notes that no further lane is wanted.
    pub(super) fn give_up(&mut self) {
        self.has_given_up = true;
    }

    /// Tells whether no further lane is wanted.
    pub(super) fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    fn span(&self) -> Duration {
        (self.round_trip * MEASURED_ROUND_TRIPS).max(MEASURED_MIN)
    }

    /// Notes the bytes that were sent so far.
    pub(super) fn note(&mut self, now: Instant, bytes: u64) {
        self.samples.push_back((now, bytes));
        while self.samples.get(1).is_some_and(|&(at, _)| now - at >= self.span()) {
            self.samples.pop_front();
        }
    }

    /// Returns the bytes a second. None before the span is over.
    fn rate(&self, now: Instant) -> Option<u64> {
        let (&(first, from), &(_, to)) = (self.samples.front()?, self.samples.back()?);
        let passed = now.checked_duration_since(first).filter(|&passed| passed >= self.span())?;
        Some(((to - from) as f64 / passed.as_secs_f64()) as u64)
    }

    /// Tells whether all lanes together carry about as much as their windows allow, and enough is left for another one.
    pub(super) fn wants_more(&self, now: Instant, left: u64) -> bool {
        let Some(rate) = self.rate(now).filter(|_| !self.has_given_up) else { return false };
        let warm_up = self.round_trip * WARM_UP_ROUND_TRIPS;
        // A lane that has just begun need not bring anything yet. The first connection always counts.
        let warm = self.began[1..].iter().filter(|&&began| now - began >= warm_up).count() as u64 + 1;
        let allowed = warm as f64 * WINDOW_BYTES as f64 / self.round_trip.as_secs_f64().max(1e-6);
        let is_limited = rate as f64 >= allowed * LIMIT_PERCENT as f64 / 100.0;
        is_limited && left >= LEFT_BYTES_MIN && left as f64 >= rate as f64 * LEFT_TIME_MIN.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the rate is noted.
    const TICK: Duration = Duration::from_millis(50);
    const MILLI: Duration = Duration::from_millis(1);
    const PLENTY: u64 = 400_000_000;

    /// Sends at a rate, in bytes a second, for two seconds, and tells whether a lane is wanted then beside these.
    fn wants(round_trip: Duration, rate: u64, lanes: usize, left: u64) -> bool {
        let began = Instant::now();
        let mut gauge = Gauge::new(round_trip, began);
        (1..lanes).for_each(|_| gauge.lane_began(began));
        let mut now = began;
        for tick in 0..40 {
            now = began + tick * TICK;
            gauge.note(now, rate * u64::from(tick) / 20);
        }
        gauge.wants_more(now, left)
    }

    #[test]
    fn a_lane_is_wanted_where_the_window_is_the_limit() {
        // 26 MB/s is what a window allows at 80 ms.
        assert!(wants(80 * MILLI, 25_000_000, 1, PLENTY));
        assert!(wants(80 * MILLI, 75_000_000, 3, PLENTY));
        // 1 MB/s, and 100 Mbit/s.
        assert!(!wants(80 * MILLI, 1_000_000, 1, PLENTY));
        assert!(!wants(80 * MILLI, 12_000_000, 1, PLENTY));
        // A third lane brought nothing.
        assert!(!wants(80 * MILLI, 45_000_000, 3, PLENTY));
        // As on loopback.
        assert!(!wants(MILLI / 20, 240_000_000, 1, PLENTY));
    }

    #[test]
    fn a_lane_is_not_wanted_for_the_little_that_is_left() {
        assert!(!wants(80 * MILLI, 25_000_000, 1, 10_000_000));
        assert!(!wants(80 * MILLI, 75_000_000, 3, 100_000_000));
    }

    #[test]
    fn a_lane_is_not_wanted_before_there_is_a_rate() {
        let began = Instant::now();
        let mut gauge = Gauge::new(80 * MILLI, began);
        gauge.note(began, 0);
        gauge.note(began + TICK, 100_000_000);
        assert!(!gauge.wants_more(began + TICK, PLENTY));
    }

    #[test]
    fn a_lane_that_just_began_need_not_bring_anything_yet() {
        let began = Instant::now();
        let mut gauge = Gauge::new(80 * MILLI, began);
        for tick in 0..40 {
            gauge.note(began + tick * TICK, 25_000_000 * u64::from(tick) / 20);
        }
        let now = began + 39 * TICK;
        gauge.lane_began(now);
        gauge.lane_began(now);
        assert!(gauge.wants_more(now, PLENTY));
    }

    #[test]
    fn where_one_was_refused_none_is_wanted() {
        let began = Instant::now();
        let mut gauge = Gauge::new(80 * MILLI, began);
        for tick in 0..40 {
            gauge.note(began + tick * TICK, 25_000_000 * u64::from(tick) / 20);
        }
        gauge.give_up();
        assert!(!gauge.wants_more(began + 39 * TICK, PLENTY));
    }
}
