//! The few comparisons that matter most: of time and of bytes, each with the rsync that is best at it.

use crate::comparison;
use crate::comparison::row::Row;
use crate::line::shape::Shape;
use crate::paper::figure::brief;
use crate::record::run::RunRecord;
use crate::scenario::Scenario;

/// A comparison to be looked for in kept runs.
struct Wanted {
    words: &'static str,
    scenario: Scenario,
    /// Milliseconds and Mbit/s; none for the loopback.
    line: Option<(f64, f64)>,
    /// The rivals: in time, and in bytes.
    rivals: [&'static str; 2],
}

const WANTED: [Wanted; 6] = [
    Wanted {
        words: "First deploy, on one machine",
        scenario: Scenario::First,
        line: None,
        rivals: ["rsync -a", "rsync -az --zc=zstd"],
    },
    Wanted {
        words: "First deploy, at 20 ms and 100 Mbit/s",
        scenario: Scenario::First,
        line: Some((20.0, 100.0)),
        rivals: ["rsync -az --zc=zstd"; 2],
    },
    Wanted {
        words: "Next version, on one machine",
        scenario: Scenario::Next,
        line: None,
        rivals: ["rsync -rlpzc --link-dest"; 2],
    },
    Wanted {
        words: "Next version, at 40 ms and 100 Mbit/s",
        scenario: Scenario::Next,
        line: Some((40.0, 100.0)),
        rivals: ["rsync -rlpzc --link-dest"; 2],
    },
    Wanted { words: "Nothing changed", scenario: Scenario::Unchanged, line: None, rivals: ["rsync -a"; 2] },
    Wanted {
        words: "One line in one file",
        scenario: Scenario::OneFile,
        line: None,
        rivals: ["rsync -az --link-dest"; 2],
    },
];

/// A comparison that matters.
#[derive(Debug)]
pub(crate) struct Point {
    /// Its words.
    pub(crate) words: &'static str,
    /// The name of the run that has its samples.
    pub(crate) run: String,
    /// Wall time.
    pub(crate) seconds: Row,
    /// TCP payload.
    pub(crate) bytes: Row,
}

impl Point {
    /// Finds the points in runs, each in the first run that has it.
    pub(crate) fn all(runs: &[&RunRecord]) -> Vec<Point> {
        WANTED.iter().filter_map(|wanted| runs.iter().find_map(|run| find(wanted, run))).collect()
    }

    /// Names the rsync that it is compared with, one for both quantities or one each, between such quotes.
    pub(crate) fn modes(&self, quote: &str) -> String {
        let [seconds, bytes] = [&self.seconds.rival, &self.bytes.rival].map(|rival| format!("{quote}{rival}{quote}"));
        if seconds == bytes { seconds } else { format!("{seconds}; bytes: {bytes}") }
    }
}

fn find(wanted: &Wanted, run: &RunRecord) -> Option<Point> {
    let line = wanted.line.map(|(rtt_ms, rate)| Shape { rtt_ms, rate_mbit: Some(rate) });
    if run.line != line {
        return None;
    }
    let record = run.scenarios.iter().find(|record| record.scenario == wanted.scenario)?;
    let rows = comparison::of(run, record);
    let row =
        |quantity: &str, rival: &str| rows.iter().find(|row| row.quantity == quantity && row.rival == rival).cloned();
    let [in_time, in_bytes] = wanted.rivals;
    let (seconds, bytes) = (row("seconds", in_time)?, row("bytes on the wire", in_bytes)?);
    Some(Point { words: wanted.words, run: run.name.clone(), seconds, bytes })
}

/// Writes the points as a table.
pub(crate) fn table(points: &[Point]) -> String {
    let mut table =
        "| | time: Cutover | rsync | bytes: Cutover | rsync | mode of rsync |\n|---|---:|---:|---:|---:|---|\n"
            .to_owned();
    for point in points {
        let figures = [&point.seconds, &point.bytes]
            .map(|row| format!("{} | {}", brief(row.ours, row.unit), brief(row.theirs, row.unit)));
        table += &format!("| {} | {} | {} |\n", point.words, figures.join(" | "), point.modes("`"));
    }
    table
}
