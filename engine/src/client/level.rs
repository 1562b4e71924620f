//! Chooses the zstd level of each block, so that an upload ends as soon as it can.
//!
//! While packed blocks wait for the wire, there is time to make them smaller. While the wire waits for blocks, they
//! should come faster. So each level has two estimates, for a byte of content: the time of all threads together to pack
//! it, and the time of the wire to carry it when packed. As both go on at once, the upload takes about the larger of
//! the two. It takes longer if they are nearly equal: as blocks vary, each then waits for the other now and again
//! ([`combined_time`]). The level of the least time is chosen. Of several with about the same time, it is the one that
//! sends least.
//!
//! The estimates begin with measurements on kernel sources ([`RUNGS`]) and follow the measurements of this upload: the
//! speed of packing, beside the other load of the processors; the size of the packed content; the speed of the wire.
//!
//! A write measures the wire only while the buffers on the way are full: else they accept a block at once. So the wire
//! is measured from the end of one write that had to wait to the end of a later one: the buffers were full at both. If
//! there was no block to write for part of that time, the wire may have been idle, and is at least that fast. If the
//! agent was copied just before, the speed of that copy is known from the first block on. Otherwise, until something is
//! known, a line with a long round trip counts as slow, and no whole files are packed while a block waits.
//!
//! The receiver may be the reason for a slow wire. Smaller blocks do not make it faster, and it may even share its
//! processors with the client. The agent reports the part of the time in which it accepted no blocks. While that is
//! most of it, the wire is assumed to be faster than it seems.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The most bytes of content that are packed at [`LITTLE_LEVEL`]: nothing could be measured before they are sent.
const LITTLE_BYTES: u64 = 1 << 20;

/// The level of little content. It takes 20 ms.
const LITTLE_LEVEL: i32 = 9;

/// The rung to begin on: level 3. A faster line does not wait for long. On a slower one the first blocks vanish in
/// buffers.
const FIRST_RUNG: usize = 1;

/// The rung to begin on if a round trip takes [`FAR`] or longer: level 7.
const FAR_RUNG: usize = 4;

/// The round trip of a far host. Nothing in the same building is so far away, and lines that lead out of it are seldom
/// as fast as those within.
const FAR: Duration = Duration::from_millis(5);

/// A level to choose, and its effect on kernel sources.
struct Rung {
    level: i32,
    /// The bytes of content that a thread packs in a second.
    speed: f64,
    /// The packed bytes for each byte of content.
    ratio: f64,
}

const fn rung(level: i32, megabytes: u32, per_mille: f64) -> Rung {
    Rung { level, speed: megabytes as f64 * 1e6, ratio: per_mille / 1e3 }
}

/// The levels, each slower and smaller than the one before, as measured for `docs/decisions/0013-zstd-level.md`. Levels
/// in between are little faster or little smaller than their neighbours.
const RUNGS: [Rung; 8] = [
    rung(1, 330, 167.0),
    rung(3, 230, 151.0),
    rung(5, 95, 137.0),
    rung(6, 72, 131.4),
    rung(7, 62, 128.6),
    rung(9, 50, 126.1),
    rung(12, 28, 123.8),
    rung(16, 4, 116.4),
];

/// A higher level is preferred if the fastest is estimated to be faster by no more than this.
const TIE_FACTOR: f64 = 1.04;

/// The level is kept unless another is estimated to be faster by more than this, or to take no longer and send less by
/// more than [`SMALLER_FACTOR`]. Estimates vary by as much from block to block.
const CHANGE_FACTOR: f64 = 1.06;

/// Sending so little less is no reason to pack at a higher level.
const SMALLER_FACTOR: f64 = 0.985;

/// The most rungs of one step: one bad measurement does not lead far astray.
const STEP_MAX: usize = 2;

/// The least time of a write that had to wait for room.
const WAIT_MIN: Duration = Duration::from_millis(20);

/// The least time over which the wire is measured: little of what it carries then is absorbed by pipes and buffers.
const SPAN_MIN: Duration = Duration::from_millis(500);

/// The time after which a wire that made no write wait is assumed to be faster.
const IDLE: Duration = Duration::from_secs(1);

/// The factor by which it is assumed to be faster.
const SPEEDUP: f64 = 1.25;

/// The part of the time from which the wire counts as always at work.
const BUSY_SHARE: f64 = 0.8;

/// The weight of the newest measurement in an estimate.
const NEWEST_WEIGHT: f64 = 0.3;

/// The least content of a block that is measured.
const MEASURED_BYTES_MIN: usize = 1 << 20;

/// The shares of time in which the agent accepted no blocks: from the first on, the agent is one reason for a slow
/// wire; from the second on, the only one.
const STALLED_SHARES: [f64; 2] = [0.3, 0.8];

/// The most that the wire may be faster than it seems if only the agent slows it down.
const STALL_SPEEDUP: f64 = 10.0;

/// The known properties of the line before anything is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    /// Bytes a second.
    pub(crate) rate: Option<f64>,
    /// The shortest round trip so far.
    pub(crate) round_trip: Option<Duration>,
}

/// A chooser of levels, for all threads that pack.
pub(super) struct LevelChooser {
    fixed: Option<i32>,
    state: Mutex<State>,
}

struct State {
    packers: f64,
    rung: usize,
    /// The speed of packing, relative to the rungs.
    speed: f64,
    /// The size of packed content, relative to the rungs.
    ratio: f64,
    wire: Wire,
    tally: BTreeMap<i32, u64>,
}

/// The speed of the wire.
#[derive(Default)]
struct Wire {
    /// Bytes a second.
    rate: Option<f64>,
    span: Option<Span>,
}

/// The span since the end of a write.
struct Span {
    began: Instant,
    /// Whether all buffers were full at its begin.
    is_full: bool,
    bytes: u64,
    /// The duration of writes, of all connections together.
    writing: Duration,
}

impl LevelChooser {
    /// Begins an upload of `content_bytes`, packed by this many threads. `fixed` fixes the level.
    pub(super) fn new(fixed: Option<i32>, content_bytes: u64, packers: usize, line: Line) -> LevelChooser {
        let Line { rate, round_trip } = line;
        let fixed = fixed.or_else(|| (content_bytes <= LITTLE_BYTES).then_some(LITTLE_LEVEL));
        let mut state = State {
            packers: packers as f64,
            rung: if round_trip.is_some_and(|time| time >= FAR) { FAR_RUNG } else { FIRST_RUNG },
            speed: 1.0,
            ratio: 1.0,
            wire: Wire { rate, span: None },
            tally: BTreeMap::new(),
        };
        if let Some((_, best)) = state.costs() {
            state.rung = best;
        }
        LevelChooser { fixed, state: Mutex::new(state) }
    }

    /// Returns the level for the next block.
    pub(super) fn level(&self) -> i32 {
        self.fixed.unwrap_or_else(|| RUNGS[self.state().rung].level)
    }

    /// Tells whether the level of the next block has a reason.
    pub(super) fn is_settled(&self) -> bool {
        self.fixed.is_some() || self.state().wire.rate.is_some()
    }

    /// Notes that content was packed at a level: its bytes, the packed bytes, and the time.
    pub(super) fn note_packed(&self, level: i32, content: usize, packed: usize, took: Duration) {
        let mut state = self.state();
        *state.tally.entry(level).or_default() += content as u64;
        let Some(rung) = RUNGS.iter().find(|rung| rung.level == level).filter(|_| content >= MEASURED_BYTES_MIN) else {
            return;
        };
        let speed = content as f64 / took.as_secs_f64().max(1e-6) / rung.speed;
        let ratio = packed as f64 / content as f64 / rung.ratio;
        state.speed += NEWEST_WEIGHT * (speed - state.speed);
        state.ratio += NEWEST_WEIGHT * (ratio - state.ratio);
        state.choose();
    }

    /// Notes that content is sent uncompressed.
    pub(super) fn note_uncompressed(&self, content: usize) {
        *self.state().tally.entry(0).or_default() += content as u64;
    }

    /// Notes that one of `connections` accepted bytes until now, the time that it took, and the share of the time in
    /// which the agent accepted none.
    pub(super) fn note_sent(&self, now: Instant, bytes: usize, took: Duration, connections: u32, stalled: f64) {
        let mut state = self.state();
        if state.wire.note(now, bytes, took, connections, stalled) {
            state.choose();
        }
    }

    /// Returns the bytes of content by level, with uncompressed content under 0.
    pub(super) fn tally(self) -> BTreeMap<i32, u64> {
        self.state.into_inner().expect("no packer panics").tally
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no packer panics")
    }
}

impl State {
    /// Returns the estimated cost of each rung, and the best rung. None while the speed of the wire is unknown.
    fn costs(&self) -> Option<([f64; RUNGS.len()], usize)> {
        let wire = self.wire.rate?;
        let costs = RUNGS.map(|rung| {
            let pack = 1.0 / (rung.speed * self.speed * self.packers);
            let send = rung.ratio * self.ratio / wire;
            combined_time(pack, send)
        });
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let best = costs.iter().rposition(|&cost| cost <= least * TIE_FACTOR).unwrap_or(self.rung);
        Some((costs, best))
    }

    fn choose(&mut self) {
        let Some((costs, best)) = self.costs() else { return };
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let sends_less = RUNGS[best].ratio < RUNGS[self.rung].ratio * SMALLER_FACTOR;
        if costs[self.rung] > least * CHANGE_FACTOR || sends_less {
            self.rung = best.clamp(self.rung.saturating_sub(STEP_MAX), self.rung + STEP_MAX);
        }
    }
}

/// Returns the time of two stages, of which one works on the output of the other, from the time of each alone. If one
/// is much slower, it is the time of that one. If both are equally fast, it is a fifth longer, as was measured.
fn combined_time(one: f64, other: f64) -> f64 {
    (one.powi(4) + other.powi(4)).powf(0.25)
}

impl Wire {
    /// Notes a write. Returns whether there is a new estimate.
    fn note(&mut self, now: Instant, bytes: usize, took: Duration, connections: u32, stalled: f64) -> bool {
        let has_waited = took >= WAIT_MIN;
        let begin = |is_full| Span { began: now, is_full, bytes: 0, writing: Duration::ZERO };
        let Some(span) = &mut self.span else {
            self.span = Some(begin(has_waited));
            return false;
        };
        span.bytes += bytes as u64;
        span.writing += took;
        let passed = (now - span.began).as_secs_f64();
        let carried = span.bytes as f64 / passed.max(1e-6);
        if has_waited && !span.is_full {
            *span = begin(true);
            return false;
        }
        if passed < if has_waited { SPAN_MIN } else { IDLE }.as_secs_f64() {
            return false;
        }
        let is_at_work = span.writing.as_secs_f64() >= passed * f64::from(connections) * BUSY_SHARE;
        *span = begin(has_waited);
        let [from, to] = STALLED_SHARES;
        let held_up = 1.0 + (STALL_SPEEDUP - 1.0) * ((stalled - from) / (to - from)).clamp(0.0, 1.0);
        self.rate = Some(match self.rate {
            None if has_waited => carried * held_up,
            None => carried * STALL_SPEEDUP,
            Some(rate) if has_waited && is_at_work => rate + NEWEST_WEIGHT * (carried * held_up - rate),
            Some(rate) if has_waited => rate.max(carried * held_up),
            Some(rate) => rate.max(carried) * SPEEDUP,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two machines and the line between them.
    #[derive(Clone, Copy)]
    struct Lab {
        /// Bytes a second.
        wire: f64,
        /// Bytes of content that the agent stores in a second.
        agent: f64,
        /// The speed of packing, relative to the rungs.
        speed: f64,
        /// Bytes between the two ends.
        buffered: f64,
    }

    const BLOCK: f64 = 16e6;
    const PACKERS: usize = 2;
    const QUEUE: usize = 4;
    /// Blocks of the agent, at work and in queues.
    const AGENT_QUEUE: usize = 4;

    impl Lab {
        /// Sends blocks of noisy speed and size. Returns the seconds it took and the levels.
        fn upload(self, blocks: usize, fixed: Option<i32>) -> (f64, Vec<i32>) {
            let (level_chooser, began) = (LevelChooser::new(fixed, u64::MAX, PACKERS, Line::default()), Instant::now());
            let mut packer_free = [0.0_f64; PACKERS];
            let (mut writer_free, mut link_free, mut agent_free) = (0.0_f64, 0.0_f64, 0.0_f64);
            let (mut taken, mut stored, mut levels) = (Vec::new(), Vec::new(), Vec::new());
            for number in 0..blocks {
                let wobble = 1.0 + 0.1 * ((number * 7 % 5) as f64 - 2.0) / 2.0;
                let packer = usize::from(packer_free[1] < packer_free[0]);
                let level = level_chooser.level();
                levels.push(level);
                let rung = RUNGS.iter().find(|rung| rung.level == level).unwrap();
                let pack = BLOCK / (rung.speed * self.speed * wobble);
                let packed = BLOCK * rung.ratio * wobble;
                level_chooser.note_packed(level, BLOCK as usize, packed as usize, Duration::from_secs_f64(pack));
                let ready = packer_free[packer] + pack;
                // The writer takes it when it is done with the one before, and writes until all but what the buffers
                // hold has gone; the link goes on while the agent has room.
                let begin = ready.max(writer_free);
                let room = stored.get(taken.len().wrapping_sub(AGENT_QUEUE)).copied().unwrap_or(0.0_f64);
                link_free = link_free.max(begin).max(room) + packed / self.wire;
                let end = (link_free - self.buffered / self.wire).max(begin);
                agent_free = agent_free.max(link_free) + BLOCK / self.agent;
                stored.push(agent_free);
                taken.push(begin);
                writer_free = end;
                // It takes no blocks for as long as what has come waits for room.
                let stalled = if room > begin { ((room - begin) / (end - begin).max(1e-9)).min(1.0) } else { 0.0 };
                let now = began + Duration::from_secs_f64(end);
                level_chooser.note_sent(now, packed as usize, Duration::from_secs_f64(end - begin), 1, stalled);
                // The packer goes on when there is room in the queue.
                packer_free[packer] = ready.max(taken.get(taken.len().wrapping_sub(QUEUE + 1)).copied().unwrap_or(0.0));
            }
            (agent_free, levels)
        }

        fn check(self) -> Vec<i32> {
            let blocks = 160;
            let (seconds, levels) = self.upload(blocks, None);
            let fixed = RUNGS.map(|rung| self.upload(blocks, Some(rung.level)).0);
            let best = fixed.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(seconds <= best * 1.1, "{seconds} s, fixed {fixed:?}, {levels:?}");
            let settled = &levels[blocks / 2..];
            let changes = settled.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes <= settled.len() / 8, "{levels:?}");
            settled.to_vec()
        }
    }

    const MBIT: f64 = 1e6 / 8.0;

    #[test]
    fn the_level_follows_the_line_and_then_stays() {
        let lab = Lab { wire: 100.0 * MBIT, agent: 1e9, speed: 1.0, buffered: 3e6 };
        let highest = |mbit: f64| {
            let levels = Lab { wire: mbit * MBIT, ..lab }.check();
            *levels.iter().max().unwrap()
        };
        let reached = [5.0, 10.0, 100.0, 1_000.0, 10_000.0].map(highest);
        assert!(reached.is_sorted_by(|a, b| a >= b), "{reached:?}");
        assert!(reached[0] >= 9 && (6..=9).contains(&reached[2]) && reached[4] == 1, "{reached:?}");
    }

    #[test]
    fn what_is_known_of_the_line_counts_from_the_first_block_on() {
        let level = |rate| LevelChooser::new(None, u64::MAX, PACKERS, Line { rate, round_trip: None }).level();
        let levels = [None, Some(1e9), Some(100.0 * MBIT), Some(5.0 * MBIT)].map(level);
        assert_eq!(levels[..2], [3, 1]);
        assert!((6..=9).contains(&levels[2]) && levels[3] >= 9, "{levels:?}");
    }

    #[test]
    fn a_long_round_trip_counts_until_more_is_known() {
        let level = |rate, round_trip| {
            let round_trip = Some(Duration::from_millis(round_trip));
            LevelChooser::new(None, u64::MAX, PACKERS, Line { rate, round_trip }).level()
        };
        assert_eq!([level(None, 0), level(None, 40), level(Some(1e9), 40)], [3, 7, 1]);
    }

    #[test]
    fn slow_processors_choose_lower_levels() {
        for speed in [0.1, 0.3, 3.0] {
            for mbit in [10.0, 100.0, 1_000.0] {
                Lab { wire: mbit * MBIT, agent: 1e9, speed, buffered: 3e6 }.check();
            }
        }
        let slow = Lab { wire: 100.0 * MBIT, agent: 1e9, speed: 0.2, buffered: 3e6 };
        assert!(slow.check().iter().all(|&level| level <= 5));
    }

    #[test]
    fn an_agent_that_is_the_bottleneck_does_not_raise_the_level() {
        let lab = Lab { wire: 10e9, agent: 100e6, speed: 1.0, buffered: 3e6 };
        assert_eq!(lab.check().iter().max(), Some(&1));
    }

    #[test]
    fn little_content_and_a_level_that_was_named_are_not_measured() {
        let check = |level_chooser: LevelChooser, level: i32| {
            level_chooser.note_packed(level, 8 << 20, 1 << 20, Duration::from_secs(9));
            level_chooser.note_sent(Instant::now(), 9 << 20, Duration::from_millis(100), 1, 0.0);
            assert_eq!(level_chooser.level(), level);
        };
        check(LevelChooser::new(None, LITTLE_BYTES, 2, Line::default()), LITTLE_LEVEL);
        check(LevelChooser::new(Some(4), u64::MAX, 2, Line::default()), 4);
        check(LevelChooser::new(Some(4), 1, 2, Line::default()), 4);
    }

    #[test]
    fn content_is_told_by_the_level_that_it_was_packed_at() {
        let level_chooser = LevelChooser::new(Some(6), 100, 2, Line::default());
        level_chooser.note_packed(6, 50, 20, Duration::ZERO);
        level_chooser.note_packed(6, 30, 20, Duration::ZERO);
        level_chooser.note_uncompressed(20);
        assert_eq!(level_chooser.tally(), BTreeMap::from([(0, 20), (6, 80)]));
    }
}
