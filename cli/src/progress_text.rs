//! The text of a running phase, as wide as there is room for it.
//!
//! ```text
//! Sending     [==========>             ] 10.0 MB of 12.3 MB, 5.1 MB/s, 3 s left     80 columns and more
//! Sending     [====>     ] 10.0 MB of 12.3 MB, 3 s left                             50 columns and more
//! Sending 81%, 3 s left                                                             less
//! ```
//!
//! The first parts to be left out are the files, if there are bytes, and then the rate. Nothing here knows a terminal.

use std::time::Duration;

use crate::tally::RunningPhase;
use crate::units::{Bytes, Counted, Seconds};

/// The bytes or files in a second, and the seconds that are left.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Speed {
    /// In a second, of bytes if the phase counts them, else of files. 0: not known.
    pub(crate) per_second: u64,
    /// Seconds left.
    pub(crate) left: Option<f64>,
}

impl Speed {
    /// Returns the mean since the phase began.
    pub(crate) fn mean(running: &RunningPhase, seconds: f64) -> Speed {
        let (done, total) = running.done();
        let per_second = if seconds > 0.0 { done as f64 / seconds } else { 0.0 };
        let left = (total > done && per_second > 0.0).then(|| (total - done) as f64 / per_second);
        Speed { per_second: per_second as u64, left }
    }
}

/// A layout, by the width of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A name and a bar of this many columns before the text.
    Bar(usize),
    /// A text alone.
    Text,
}

/// The width of a name with the space behind it.
const NAME: usize = 12;

impl Layout {
    /// Returns the layout for a terminal.
    pub(crate) fn of(columns: usize) -> Layout {
        match columns {
            80.. => Layout::Bar(24),
            50.. => Layout::Bar(10),
            _ => Layout::Text,
        }
    }

    /// Returns the columns that are left for the text behind a bar, or behind a name if there is no total.
    fn room(self, columns: usize, has_bar: bool) -> usize {
        match self {
            // One column stays free: some terminals go to the next line in the last one.
            Layout::Bar(bar) if has_bar => columns.saturating_sub(NAME + bar + "[] ".len() + 1),
            Layout::Bar(_) => columns.saturating_sub(NAME + "- ".len() + 1),
            Layout::Text => columns.saturating_sub(1),
        }
    }

    /// Returns the text of a phase: as much of it as there is room for.
    pub(crate) fn text(self, running: &RunningPhase, speed: Speed, columns: usize) -> String {
        let (done, total) = running.done();
        let room = self.room(columns, total > 0);
        let left = speed.left.map(|seconds| format!("{} left", time_left(seconds)));
        let files = running.files_text();
        let mut parts = match self {
            Layout::Bar(_) => vec![files, running.bytes_text(), rate(running, speed), left],
            Layout::Text => {
                let percent = (total > 0).then(|| format!("{} {}%", running.doing(), done * 100 / total));
                vec![percent.or_else(|| Some(running.doing().to_owned())), left]
            }
        };
        // In the order in which they are left out.
        let order: &[usize] = match self {
            Layout::Bar(_) if running.bytes > 0 => &[0, 2, 3],
            Layout::Bar(_) => &[2, 3],
            Layout::Text => &[1],
        };
        for &at in order {
            if joined(&parts).chars().count() <= room {
                break;
            }
            parts[at] = None;
        }
        joined(&parts).chars().take(room).collect()
    }
}

/// Describes work without a phase: `Working, 12 s`.
pub(crate) fn work(time: Duration) -> String {
    format!("Working, {}", time_left(time.as_secs_f64().floor()))
}

/// Returns the line for a log: `Sending: 10.0 MB of 12.3 MB, 5.1 MB/s, 3 s left`.
pub(crate) fn plain(running: &RunningPhase, speed: Speed) -> String {
    let left = speed.left.map(|seconds| format!("{} left", time_left(seconds)));
    let parts = joined(&[running.files_text(), running.bytes_text(), rate(running, speed), left]);
    let colon = if parts.is_empty() { "" } else { ": " };
    format!("{}{colon}{parts}\n", running.doing())
}

fn joined(parts: &[Option<String>]) -> String {
    parts.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Returns the rate. A phase that has done all waits for others, and its mean would fall.
fn rate(running: &RunningPhase, speed: Speed) -> Option<String> {
    let (done, total) = running.done();
    if total > 0 && done >= total {
        return None;
    }
    match (running.bytes, speed.per_second) {
        (_, 0) => None,
        (0, files) => Some(format!("{}/s", Counted(files, "file"))),
        (_, bytes) => Some(format!("{}/s", Bytes(bytes))),
    }
}

/// `3 s`, `3 min 20 s`, `2 h 5 min`
fn time_left(seconds: f64) -> String {
    match seconds.ceil() {
        whole if whole < 100.0 => format!("{whole} s"),
        whole => Seconds(whole).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use engine::event::Phase;

    use super::*;

    fn running(phase: Phase, files: (u64, u64), bytes: (u64, u64)) -> RunningPhase {
        let (files, files_total) = files;
        let (bytes, bytes_total) = bytes;
        RunningPhase { phase, began: Instant::now(), files, files_total, bytes, bytes_total }
    }

    #[test]
    fn a_narrow_terminal_has_the_time_that_is_left_before_the_rate() {
        let running = running(Phase::Upload, (1200, 1828), (10_000_000, 12_300_000));
        let speed = Speed { per_second: 5_100_000, left: Some(2.4) };
        let check = |columns, expected: &str| {
            let text = Layout::of(columns).text(&running, speed, columns);
            assert_eq!(text, expected, "{columns}");
        };
        check(120, "1,200 of 1,828 files, 10.0 MB of 12.3 MB, 5.1 MB/s, 3 s left");
        check(80, "10.0 MB of 12.3 MB, 5.1 MB/s, 3 s left");
        check(60, "10.0 MB of 12.3 MB, 3 s left");
        check(50, "10.0 MB of 12.3 MB");
        check(40, "Sending 81%, 3 s left");
        check(20, "Sending 81%");
        check(5, "Send");
        check(0, "");
    }

    #[test]
    fn a_phase_without_bytes_counts_files() {
        let speed = Speed { per_second: 1, left: Some(7530.0) };
        let linking = running(Phase::Assemble, (5, 7000), (0, 0));
        assert_eq!(Layout::of(120).text(&linking, speed, 120), "5 of 7,000 files, 1 file/s, 2 h 5 min left");
        assert_eq!(Layout::of(30).text(&linking, speed, 30), "Assembling 0%, 2 h 5 min left");
        let unknown = running(Phase::Sync, (0, 0), (0, 0));
        assert_eq!(Layout::of(100).text(&unknown, Speed::default(), 100), "");
        assert_eq!(Layout::of(20).text(&unknown, Speed::default(), 20), "Syncing");
    }

    #[test]
    fn a_line_of_a_log_has_the_mean_rate_and_the_time_that_is_left() {
        let sending = running(Phase::Upload, (3, 9), (1_000_000, 4_000_000));
        let expected = "Sending: 3 of 9 files, 1.0 MB of 4.0 MB, 100.0 kB/s, 30 s left\n";
        assert_eq!(plain(&sending, Speed::mean(&sending, 10.0)), expected);
        let waiting = running(Phase::Lock, (0, 0), (0, 0));
        assert_eq!(plain(&waiting, Speed::mean(&waiting, 10.0)), "Waiting for the lock\n");
        let done = running(Phase::Upload, (9, 9), (4_000_000, 4_000_000));
        assert_eq!(plain(&done, Speed::mean(&done, 10.0)), "Sending: 9 of 9 files, 4.0 MB of 4.0 MB\n");
        assert_eq!(work(Duration::from_millis(61_900)), "Working, 61 s");
    }
}
