//! One line of the table: a quantity of ours, the same of a rival, their ratio, and what the ratio should be.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lab::Lab;
use crate::record::{Logins, Sample, Track};
use crate::shape::Shape;
use crate::wire::WireBytes;

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
    /// How often something happened.
    Times,
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

/// What was not run.
static NOBODY: Track = Track::EMPTY;

/// Collects the rows that compare one track with others.
pub(crate) struct Rows<'a> {
    tracks: &'a [Track],
    ours: &'a Track,
    prefix: &'a str,
    words: &'a str,
    logins: Logins,
    shape: Option<Shape>,
    is_own_server: bool,
    rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    /// Compares Cutover's deploy with the other tracks; where it was not run there are no rows.
    pub(crate) fn of(lab: &Lab, tracks: &'a [Track]) -> Rows<'a> {
        Rows {
            logins: lab.logins().cloned().unwrap_or_default(),
            shape: lab.settings().shape,
            is_own_server: lab.is_own_server(),
            ..Rows::new(tracks)
        }
    }

    fn new(tracks: &'a [Track]) -> Rows<'a> {
        let rows = Rows {
            tracks,
            ours: &NOBODY,
            prefix: "",
            words: "",
            logins: Logins::default(),
            shape: None,
            is_own_server: true,
            rows: Vec::new(),
        };
        rows.about("cutover deploy")
    }

    /// Names the track that is compared with the others from now on.
    pub(crate) fn about(mut self, ours: &str) -> Rows<'a> {
        self.ours = self.tracks.iter().find(|track| track.contender == ours).unwrap_or(&NOBODY);
        self
    }

    /// Says what stands before the rivals' names, and before what the rows are about.
    pub(crate) fn prefix(mut self, prefix: &'a str) -> Rows<'a> {
        (self.prefix, self.words) = (prefix, prefix);
        self
    }

    /// Says what stands before what the rows are about.
    pub(crate) fn words(mut self, words: &'a str) -> Rows<'a> {
        self.words = words;
        self
    }

    /// Returns an aim that holds on the loopback alone.
    pub(crate) fn on_loopback(&self, aim: Aim) -> Option<Aim> {
        (self.is_own_server && self.shape.is_none()).then_some(aim)
    }

    /// Returns an aim that holds on a line of that rate.
    pub(crate) fn at_rate(&self, rate_mbit: f64, aim: Aim) -> Option<Aim> {
        self.shape.filter(|shape| shape.rate_mbit == Some(rate_mbit)).map(|_| aim)
    }

    /// Returns an aim that holds on such a line alone.
    pub(crate) fn on_line(&self, rtt_ms: f64, rate_mbit: f64, aim: Aim) -> Option<Aim> {
        (self.shape == Some(Shape { rtt_ms, rate_mbit: Some(rate_mbit) })).then_some(aim)
    }

    /// Compares wall time.
    pub(crate) fn seconds(&mut self, rival: &str, aim: Option<Aim>) {
        self.timed("seconds", rival, aim, |sample| Some(sample.seconds));
    }

    /// Compares wall time with what it takes to write everything out afterwards.
    pub(crate) fn durable_seconds(&mut self, rival: &str, aim: Option<Aim>) {
        self.timed("seconds, with syncfs", rival, aim, |sample| {
            sample.syncfs_seconds.map(|syncfs| sample.seconds + syncfs)
        });
    }

    /// Compares TCP payload.
    pub(crate) fn wire(&mut self, rival: &str, aim: Option<Aim>) {
        self.observed("bytes on the wire", rival, aim, |sample| sample.wire.map(|wire| wire.total_bytes()));
    }

    /// Compares what the tools say of themselves.
    pub(crate) fn payload(&mut self, rival: &str, aim: Option<Aim>) {
        self.observed("bytes before SSH", rival, aim, |sample| sample.payload.map(|payload| payload.total_bytes()));
    }

    /// Compares what is carried beyond SSH's own, on the wire without what a session that does nothing costs with each one's SSH client; and
    /// what the tools say of themselves, in which what starts the other side has no place.
    pub(crate) fn beyond_ssh(&mut self, rival: &str, aim: Option<Aim>) {
        self.beyond_login("bytes beyond SSH's own", Unit::Bytes, rival, aim, |wire| Some(wire.total_bytes()));
        self.payload(rival, None);
    }

    /// Compares round trips after the login, as the link sees them; and says how many Cutover counts, from its first message on,
    /// which is what the aim is for.
    pub(crate) fn round_trips(&mut self, rival: &str, aim: Option<Aim>) {
        self.beyond_login("round trips", Unit::Times, rival, None, |wire| wire.waits);
        self.push("round trips, as Cutover counts them", Unit::Times, "", aim, |track| {
            let figure = |sample: &Sample| sample.report.as_ref()?.get("round_trips").and_then(Value::as_f64);
            track.observed.iter().filter_map(figure).collect()
        });
    }

    fn beyond_login(
        &mut self,
        what: &str,
        unit: Unit,
        rival: &str,
        aim: Option<Aim>,
        figure: fn(WireBytes) -> Option<u64>,
    ) {
        let logins = self.logins.clone();
        self.push(what, unit, rival, aim, |track| {
            let login = logins.of(&track.tool).and_then(figure);
            let beyond = |sample: &Sample| {
                let whole = sample.wire.and_then(figure);
                whole.zip(login).map(|(whole, login)| whole as f64 - login as f64)
            };
            track.observed.iter().filter_map(beyond).collect()
        });
    }

    /// Compares a figure that is worked out of wall time.
    pub(crate) fn worked_out(&mut self, what: &str, ours: f64, rival: &str, theirs: f64, aim: Aim) {
        self.rows.push(Row::new(what, Unit::Seconds, vec![ours], rival, vec![theirs]).aim(aim));
    }

    /// Compares processor time and memory of both sides.
    pub(crate) fn costs(&mut self, rival: &str) {
        self.timed("processor time, client", rival, None, |sample| Some(sample.client_cpu_seconds));
        self.timed("processor time, server with sshd", rival, None, |sample| sample.server_cpu_seconds);
        let (client, agent) = (Some(Aim::OursAtMost(CLIENT_MEMORY)), Some(Aim::OursAtMost(AGENT_MEMORY)));
        self.memory("peak memory, client", rival, client, |sample| Some(sample.client_peak_bytes));
        let peaks: fn(&Sample) -> Option<u64> = |sample| sample.server_peaks.map(|peaks| peaks.largest_bytes);
        self.memory("peak memory, server's largest process", rival, None, peaks);
        let peaks: fn(&Sample) -> Option<u64> = |sample| sample.server_peaks.map(|peaks| peaks.together_bytes);
        self.memory("peak memory, server's processes together", rival, agent, peaks);
    }

    /// Compares peak memory of both sides; `limits` are those of Cutover's client and server.
    pub(crate) fn memory_of_both(&mut self, rival: &str, limits: Option<(f64, f64)>) {
        let (client, server) = limits.unzip();
        let most = |limit: Option<f64>| limit.map(Aim::OursAtMost);
        self.memory("peak memory, client", rival, most(client), |sample| Some(sample.client_peak_bytes));
        let peaks: fn(&Sample) -> Option<u64> = |sample| sample.server_peaks.map(|peaks| peaks.together_bytes);
        self.memory("peak memory, server's processes together", rival, most(server), peaks);
    }

    /// Returns the rows.
    pub(crate) fn finish(self) -> Vec<Row> {
        self.rows
    }

    /// Compares a figure of every timed run, where it was measured.
    fn timed(&mut self, what: &str, rival: &str, aim: Option<Aim>, figure: fn(&Sample) -> Option<f64>) {
        self.push(what, Unit::Seconds, rival, aim, |track| track.timed.iter().filter_map(figure).collect());
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
        let theirs = self.tracks.iter().find(|track| track.contender.strip_prefix(self.prefix) == Some(rival));
        let (ours, theirs) = (figures(self.ours), theirs.map(figures).unwrap_or_default());
        if ours.is_empty() || (theirs.is_empty() && !matches!(aim, Some(Aim::OursAtMost(_)))) {
            return;
        }
        let rival = if theirs.is_empty() { "" } else { rival };
        let row = Row::new(&format!("{}{what}", self.words), unit, ours, rival, theirs);
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
        let mut rows = Rows::new(&tracks).about("ours");
        rows.seconds("theirs", Some(Aim::RatioAtMost(1.0)));
        rows.seconds("another", Some(Aim::RatioAtMost(1.0)));
        rows.seconds("another", Some(Aim::OursAtMost(2.0)));
        let met: Vec<_> = rows.finish().into_iter().map(|row| (row.rival, row.met)).collect();
        assert_eq!(met, [("theirs".to_owned(), Some(true)), (String::new(), Some(true))]);
        assert!(Rows::new(&tracks).about("nobody").finish().is_empty());
    }

    #[test]
    fn what_is_beyond_ssh_is_counted_alike_for_both() {
        let wire = |sent_bytes, waits| Some(WireBytes { sent_bytes, waits: Some(waits), ..WireBytes::default() });
        let track = |tool: &str, sent_bytes, waits| {
            let report = (tool == "cutover").then(|| serde_json::json!({ "round_trips": 1 }));
            let observed = vec![Sample { wire: wire(sent_bytes, waits), report, ..Sample::default() }];
            Track { tool: tool.to_owned(), contender: tool.to_owned(), observed, ..Track::default() }
        };
        let tracks = [track("cutover", 6500, 9), track("rsync", 9200, 12)];
        let login = |sent_bytes, waits| Sample { wire: wire(sent_bytes, waits), ..Sample::default() };
        let mut rows = Rows::new(&tracks).about("cutover");
        rows.logins = Logins { openssh: login(6900, 4), cutover: login(3700, 5), session: login(7200, 6) };
        rows.beyond_ssh("rsync", None);
        rows.round_trips("rsync", Some(Aim::OursAtMost(1.0)));
        let median = |summary: Option<Summary>| summary.map(|summary| summary.median as i64);
        let rows: Vec<_> =
            rows.finish().into_iter().map(|row| (median(row.ours), median(row.theirs), row.met)).collect();
        let expected = [(Some(2500), Some(2000), None), (Some(2), Some(6), None), (Some(1), None, Some(true))];
        assert_eq!(rows, expected);
    }

    #[test]
    fn an_aim_holds_on_its_line() {
        let mut rows = Rows::new(&[]);
        let aim = Aim::RatioAtMost(1.0);
        assert_eq!((rows.on_loopback(aim), rows.on_line(40.0, 100.0, aim)), (Some(aim), None));
        rows.shape = Some(Shape { rtt_ms: 40.0, rate_mbit: Some(100.0) });
        assert_eq!((rows.on_loopback(aim), rows.on_line(40.0, 100.0, aim)), (None, Some(aim)));
        assert_eq!((rows.at_rate(100.0, aim), rows.at_rate(10.0, aim)), (Some(aim), None));
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
