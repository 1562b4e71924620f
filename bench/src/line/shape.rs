//! The shape of a line: how long a packet is under way, how many bytes it takes a second, how much may queue before it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The least that a router holds: the buffers of a slow line.
const LEAST_QUEUE: f64 = 256.0 * 1024.0;

/// A line between client and server, the same in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// The round-trip time that it adds, half in each direction.
    pub(crate) rtt_ms: f64,
    /// Millions of bits that it carries a second in each direction, with the headers of IP and TCP; no limit when none.
    pub(crate) rate_mbit: Option<f64>,
}

impl Shape {
    /// Returns the delay of one direction.
    pub(crate) fn delay(&self) -> Duration {
        self.round_trip() / 2
    }

    /// Returns the round-trip time.
    pub(crate) fn round_trip(&self) -> Duration {
        Duration::from_secs_f64(self.rtt_ms / 1e3)
    }

    /// Returns how many bytes may wait before the line in each direction: those under way in a round trip, or 256 KiB
    /// where that is more. None where nothing waits.
    pub(crate) fn queue_bytes(&self) -> Option<u64> {
        self.bytes_per_second().map(|rate| (rate * self.rtt_ms / 1e3).max(LEAST_QUEUE) as u64)
    }

    /// Returns the bytes that one direction carries a second.
    pub(crate) fn bytes_per_second(&self) -> Option<f64> {
        self.rate_mbit.map(|rate| rate * 1e6 / 8.0)
    }
}

/// One direction of a line.
#[derive(Debug)]
pub(crate) struct Shaper {
    shape: Shape,
    /// When all that was taken will have left.
    free_at: Option<Instant>,
}

impl Shaper {
    /// Makes an idle direction.
    pub(crate) fn new(shape: Shape) -> Shaper {
        Shaper { shape, free_at: None }
    }

    /// Takes a packet and returns when its last byte arrives; none when the queue is full and it is dropped.
    pub(crate) fn admit(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        let Some((rate, queue_bytes)) = self.shape.bytes_per_second().zip(self.shape.queue_bytes()) else {
            return Some(now + self.shape.delay());
        };
        if self.backlog(now).as_secs_f64() * rate + bytes as f64 > queue_bytes as f64 {
            return None;
        }
        let free_at = now + self.backlog(now) + Duration::from_secs_f64(bytes as f64 / rate);
        self.free_at = Some(free_at);
        Some(free_at + self.shape.delay())
    }

    fn backlog(&self, now: Instant) -> Duration {
        self.free_at.map_or(Duration::ZERO, |free_at| free_at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(start: Instant, arrival: Option<Instant>) -> Option<u128> {
        arrival.map(|arrival| arrival.duration_since(start).as_millis())
    }

    #[test]
    fn packets_leave_one_after_the_other() {
        let start = Instant::now();
        // 1 Mbyte a second.
        let mut shaper = Shaper::new(Shape { rtt_ms: 40.0, rate_mbit: Some(8.0) });
        assert_eq!(milliseconds(start, shaper.admit(start, 10_000)), Some(30));
        assert_eq!(milliseconds(start, shaper.admit(start, 10_000)), Some(40));
        // After a pause the line is idle again.
        let later = start + Duration::from_millis(500);
        assert_eq!(milliseconds(start, shaper.admit(later, 10_000)), Some(530));
    }

    #[test]
    fn what_the_queue_cannot_hold_is_dropped() {
        let start = Instant::now();
        let mut shaper = Shaper::new(Shape { rtt_ms: 0.0, rate_mbit: Some(8.0) });
        assert!(shaper.admit(start, 200_000).is_some());
        assert!(shaper.admit(start, 100_000).is_none());
        // 100 ms later half of it has left.
        assert!(shaper.admit(start + Duration::from_millis(100), 100_000).is_some());
    }

    #[test]
    fn the_queue_holds_a_round_trip() {
        let queue = |rtt_ms, rate_mbit| Shape { rtt_ms, rate_mbit }.queue_bytes();
        assert_eq!(queue(80.0, Some(1000.0)), Some(10_000_000));
        assert_eq!(queue(40.0, Some(10.0)), Some(262_144));
        assert_eq!(queue(40.0, None), None);
    }

    #[test]
    fn without_a_rate_there_is_only_the_delay() {
        let start = Instant::now();
        let mut shaper = Shaper::new(Shape { rtt_ms: 40.0, rate_mbit: None });
        for _ in 0..3 {
            assert_eq!(milliseconds(start, shaper.admit(start, 1 << 40)), Some(20));
        }
    }
}
