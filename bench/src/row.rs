//! One line of the table: a quantity of ours, the same of a rival, their ratio, and what the ratio should be.

use serde::{Deserialize, Serialize};

use crate::record::{Sample, Track};

/// Median and spread of some samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
    /// How many there are.
    pub(crate) samples: usize,
}

impl Summary {
    /// Summarizes; none when there are none.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Summary> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (lower, upper) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Summary { median: f64::midpoint(lower, upper), min, max, samples: sorted.len() })
    }
}

/// What a figure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    /// Wall or processor time.
    Seconds,
    /// Bytes on a wire or disk; shown in powers of 1000.
    Bytes,
    /// Memory; shown in MiB, as limits of memory are given.
    Memory,
}

/// What a row should come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// Ours divided by theirs.
    RatioAtMost(f64),
    /// Ours alone.
    OursAtMost(f64),
}

/// A comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The quantity.
    pub(crate) what: String,
    /// What it is counted in.
    pub(crate) unit: Unit,
    /// Cutover's.
    pub(crate) ours: Option<Summary>,
    /// What it is compared with.
    pub(crate) rival: String,
    /// Its figure.
    pub(crate) theirs: Option<Summary>,
    /// Ours divided by theirs, of medians: below 1 is better for Cutover.
    pub(crate) ratio: Option<f64>,
    /// What it should be.
    pub(crate) aim: Option<Aim>,
    /// Whether it is.
    pub(crate) met: Option<bool>,
}

impl Row {
    /// Compares samples of ours with those of a rival.
    pub(crate) fn new(what: &str, unit: Unit, ours: Vec<f64>, rival: &str, theirs: Vec<f64>) -> Row {
        let (ours, theirs) = (Summary::of(ours), Summary::of(theirs));
        let ratio = ours.zip(theirs).filter(|(_, theirs)| theirs.median > 0.0);
        Row {
            what: what.to_owned(),
            unit,
            ours,
            rival: rival.to_owned(),
            theirs,
            ratio: ratio.map(|(ours, theirs)| ours.median / theirs.median),
            aim: None,
            met: None,
        }
    }

    /// Compares a figure of every timed run.
    pub(crate) fn timed(what: &str, ours: &Track, theirs: &Track, figure: fn(&Sample) -> f64) -> Row {
        let all = |track: &Track| track.timed.iter().map(figure).collect();
        Row::new(what, Unit::Seconds, all(ours), &theirs.contender, all(theirs))
    }

    /// Compares a figure of every observed run, where it was observed.
    pub(crate) fn observed(
        what: &str,
        unit: Unit,
        ours: &Track,
        theirs: &Track,
        figure: fn(&Sample) -> Option<u64>,
    ) -> Row {
        let all = |track: &Track| track.observed.iter().filter_map(figure).map(|value| value as f64).collect();
        Row::new(what, unit, all(ours), &theirs.contender, all(theirs))
    }

    /// Says what it should come to.
    pub(crate) fn aim(mut self, aim: Aim) -> Row {
        self.met = match aim {
            Aim::RatioAtMost(most) => self.ratio.map(|ratio| ratio <= most),
            Aim::OursAtMost(most) => self.ours.map(|ours| ours.median <= most),
        };
        self.aim = Some(aim);
        self
    }
}

/// The most memory that each side may take, in bytes.
const CLIENT_MEMORY: f64 = 200.0 * 1024.0 * 1024.0;
const AGENT_MEMORY: f64 = 100.0 * 1024.0 * 1024.0;

/// Returns the rows on processor time and memory of both sides, which every deploy scenario has.
pub(crate) fn cost_rows(ours: &Track, theirs: &Track) -> Vec<Row> {
    let memory = |what, figure| Row::observed(what, Unit::Memory, ours, theirs, figure);
    vec![
        Row::timed("processor time, client", ours, theirs, |sample| sample.client_cpu_seconds),
        Row::timed("processor time, server with sshd", ours, theirs, |sample| sample.server_cpu_seconds),
        memory("peak memory, client", |sample| Some(sample.client_peak_bytes)).aim(Aim::OursAtMost(CLIENT_MEMORY)),
        memory("peak memory, server's largest process", |sample| sample.server_peaks.map(|peaks| peaks.largest_bytes)),
        memory("peak memory, server's processes together", |sample| {
            sample.server_peaks.map(|peaks| peaks.together_bytes)
        })
        .aim(Aim::OursAtMost(AGENT_MEMORY)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let check = |samples: &[f64], expected: f64| {
            let summary = Summary::of(samples.iter().copied()).unwrap();
            assert_eq!(summary.median.to_bits(), expected.to_bits(), "{samples:?}");
        };
        check(&[3.0], 3.0);
        check(&[9.0, 1.0, 2.0], 2.0);
        check(&[4.0, 1.0, 2.0, 9.0], 3.0);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn an_aim_is_met_or_not() {
        let row = |aim| Row::new("x", Unit::Seconds, vec![1.0], "rsync", vec![2.0]).aim(aim).met;
        assert_eq!(row(Aim::RatioAtMost(0.5)), Some(true));
        assert_eq!(row(Aim::RatioAtMost(0.4)), Some(false));
        assert_eq!(row(Aim::OursAtMost(0.9)), Some(false));
        let without_ours = Row::new("x", Unit::Seconds, vec![], "rsync", vec![2.0]);
        assert_eq!(without_ours.aim(Aim::RatioAtMost(0.5)).met, None);
    }
}
