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
const CLIENT_MEMORY: f64 = 250.0 * 1024.0 * 1024.0;
const AGENT_MEMORY: f64 = 150.0 * 1024.0 * 1024.0;

/// Collects the rows that compare one track with others.
pub(crate) struct Rows<'a> {
    tracks: &'a [Track],
    ours: &'a Track,
    prefix: &'static str,
    rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    /// Names the track that the others are compared with; where it was not run there are no rows.
    pub(crate) fn new(tracks: &'a [Track], ours: &str) -> Rows<'a> {
        static NONE: Track = Track::EMPTY;
        let ours = tracks.iter().find(|track| track.contender == ours).unwrap_or(&NONE);
        Rows { tracks, ours, prefix: "", rows: Vec::new() }
    }

    #[expect(dead_code, reason = "scenarios of several jobs want it")]
    /// Sets words before what the following rows are about.
    pub(crate) fn prefix(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    /// Compares wall time.
    pub(crate) fn seconds(&mut self, rival: &str, aim: Option<Aim>) {
        self.timed("seconds", rival, aim, |sample| sample.seconds);
    }

    /// Compares wall time with what it takes to write everything out afterwards.
    pub(crate) fn durable_seconds(&mut self, rival: &str, aim: Option<Aim>) {
        self.timed("seconds, with syncfs", rival, aim, |sample| sample.seconds + sample.syncfs_seconds.unwrap_or(0.0));
    }

    /// Compares TCP payload.
    pub(crate) fn wire(&mut self, rival: &str, aim: Option<Aim>) {
        self.observed("bytes on the wire", rival, aim, |sample| sample.wire.map(|wire| wire.total_bytes()));
    }

    /// Compares what the tools say of themselves.
    pub(crate) fn payload(&mut self, rival: &str, aim: Option<Aim>) {
        self.observed("bytes before SSH", rival, aim, |sample| sample.payload.map(|payload| payload.total_bytes()));
    }

    /// Compares processor time and memory of both sides.
    pub(crate) fn costs(&mut self, rival: &str) {
        self.timed("processor time, client", rival, None, |sample| sample.client_cpu_seconds);
        self.timed("processor time, server with sshd", rival, None, |sample| sample.server_cpu_seconds.unwrap_or(0.0));
        let (client, agent) = (Some(Aim::OursAtMost(CLIENT_MEMORY)), Some(Aim::OursAtMost(AGENT_MEMORY)));
        self.memory("peak memory, client", rival, client, |sample| Some(sample.client_peak_bytes));
        let peaks: fn(&Sample) -> Option<u64> = |sample| sample.server_peaks.map(|peaks| peaks.largest_bytes);
        self.memory("peak memory, server's largest process", rival, None, peaks);
        let peaks: fn(&Sample) -> Option<u64> = |sample| sample.server_peaks.map(|peaks| peaks.together_bytes);
        self.memory("peak memory, server's processes together", rival, agent, peaks);
    }

    /// Returns the rows.
    pub(crate) fn finish(self) -> Vec<Row> {
        self.rows
    }

    /// Compares a figure of every timed run.
    fn timed(&mut self, what: &str, rival: &str, aim: Option<Aim>, figure: fn(&Sample) -> f64) {
        self.push(what, Unit::Seconds, rival, aim, |track| track.timed.iter().map(figure).collect());
    }

    /// Compares a figure of every observed run, where it was observed.
    pub(crate) fn observed(
        &mut self,
        what: &str,
        rival: &str,
        aim: Option<Aim>,
        figure: impl Fn(&Sample) -> Option<u64>,
    ) {
        self.push(what, Unit::Bytes, rival, aim, |track| {
            track.observed.iter().filter_map(&figure).map(|value| value as f64).collect()
        });
    }

    fn memory(&mut self, what: &str, rival: &str, aim: Option<Aim>, figure: fn(&Sample) -> Option<u64>) {
        self.push(what, Unit::Memory, rival, aim, |track| {
            track.observed.iter().filter_map(figure).map(|value| value as f64).collect()
        });
    }

    /// Without figures of ours there is no row, and without the rival's only one that has an aim of ours alone.
    fn push(&mut self, what: &str, unit: Unit, rival: &str, aim: Option<Aim>, figures: impl Fn(&Track) -> Vec<f64>) {
        let theirs = self.tracks.iter().find(|track| track.contender == rival);
        let (ours, theirs) = (figures(self.ours), theirs.map(figures).unwrap_or_default());
        if ours.is_empty() || (theirs.is_empty() && !matches!(aim, Some(Aim::OursAtMost(_)))) {
            return;
        }
        let rival = if theirs.is_empty() { "" } else { rival };
        let row = Row::new(&format!("{}{what}", self.prefix), unit, ours, rival, theirs);
        self.rows.push(match aim {
            Some(aim) => row.aim(aim),
            None => row,
        });
    }
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
    fn a_rival_that_was_not_run_gives_no_row() {
        let sample = |seconds| Sample { seconds, client_peak_bytes: 1, ..Sample::default() };
        let track = |name: &str| Track {
            contender: name.to_owned(),
            timed: vec![sample(1.0)],
            observed: vec![sample(2.0)],
            ..Track::default()
        };
        let tracks = [track("ours"), track("theirs")];
        let mut rows = Rows::new(&tracks, "ours");
        rows.seconds("theirs", Some(Aim::RatioAtMost(1.0)));
        rows.seconds("another", Some(Aim::RatioAtMost(1.0)));
        rows.seconds("another", Some(Aim::OursAtMost(2.0)));
        let met: Vec<_> = rows.finish().into_iter().map(|row| (row.rival, row.met)).collect();
        assert_eq!(met, [("theirs".to_owned(), Some(true)), (String::new(), Some(true))]);
        assert!(Rows::new(&tracks, "nobody").finish().is_empty());
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
