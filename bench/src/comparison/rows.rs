//! Collects the rows that compare one track with others.

use crate::comparison::row::{Aim, Row, Unit};
use crate::line::shape::Shape;
use crate::record::logins::Logins;
use crate::record::sample::Sample;
use crate::record::track::Track;

/// The most memory that each side may take, in bytes.
const CLIENT_MEMORY: f64 = 250.0 * 1024.0 * 1024.0;
const AGENT_MEMORY: f64 = 150.0 * 1024.0 * 1024.0;

/// The circumstances of a run on which comparisons and aims depend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions<'a> {
    /// The cost of a login.
    pub(crate) logins: &'a Logins,
    /// The line; none for the loopback.
    pub(crate) shape: Option<Shape>,
}

impl Conditions<'_> {
    /// Returns an aim that holds on the loopback alone.
    pub(crate) fn on_loopback(&self, aim: Aim) -> Option<Aim> {
        self.shape.is_none().then_some(aim)
    }

    /// Returns an aim that holds on a line of that rate.
    pub(crate) fn at_rate(&self, rate_mbit: f64, aim: Aim) -> Option<Aim> {
        self.shape.filter(|shape| shape.rate_mbit == Some(rate_mbit)).map(|_| aim)
    }

    /// Returns an aim that holds on such a line alone.
    pub(crate) fn on_line(&self, rtt_ms: f64, rate_mbit: f64, aim: Aim) -> Option<Aim> {
        (self.shape == Some(Shape { rtt_ms, rate_mbit: Some(rate_mbit) })).then_some(aim)
    }
}

/// Collects the rows that compare one track with others.
#[derive(Clone)]
pub(crate) struct Rows<'a> {
    /// The circumstances.
    pub(crate) conditions: Conditions<'a>,
    tracks: &'a [Track],
    ours: Option<&'a Track>,
    prefix: &'a str,
    words: &'a str,
    rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    /// Compares Cutover's deploy with the other tracks; where it was not run there are no rows.
    pub(crate) fn of(conditions: Conditions<'a>, tracks: &'a [Track]) -> Rows<'a> {
        let rows = Rows { conditions, tracks, ours: None, prefix: "", words: "", rows: Vec::new() };
        rows.about("cutover deploy")
    }

    /// Names the track that is compared with the others from now on.
    pub(crate) fn about(mut self, ours: &str) -> Rows<'a> {
        self.ours = self.tracks.iter().find(|track| track.contender == ours);
        self
    }

    /// Puts words before the rivals' names, and before the quantities.
    pub(crate) fn prefix(mut self, prefix: &'a str) -> Rows<'a> {
        (self.prefix, self.words) = (prefix, prefix);
        self
    }

    /// Puts words before the quantities.
    pub(crate) fn words(mut self, words: &'a str) -> Rows<'a> {
        self.words = words;
        self
    }

    /// Compares wall time.
    pub(crate) fn seconds(&mut self, rival: &str, aim: Option<Aim>) {
        self.timed("seconds", rival, aim, |sample| Some(sample.seconds));
    }

    /// Compares wall time with the time to write everything out afterwards.
    pub(crate) fn durable_seconds(&mut self, rival: &str) {
        self.timed("seconds, with syncfs", rival, None, |sample| {
            sample.syncfs_seconds.map(|syncfs| sample.seconds + syncfs)
        });
    }

    /// Compares TCP payload.
    pub(crate) fn wire(&mut self, rival: &str, aim: Option<Aim>) {
        self.observed("bytes on the wire", Unit::Bytes, rival, aim, |sample| {
            sample.wire.map(|wire| wire.total_bytes() as f64)
        });
    }

    /// Compares the bytes beyond SSH's own: those on the wire without those of a session that does nothing, for each
    /// one's SSH client.
    pub(crate) fn beyond_ssh(&mut self, rival: &str, aim: Option<Aim>) {
        let logins = self.conditions.logins;
        self.push("bytes beyond SSH's own", Unit::Bytes, rival, aim, |track| {
            let login = logins.of(&track.tool);
            let beyond = |sample: &Sample| {
                let whole = sample.wire.map(|wire| wire.total_bytes());
                whole.zip(login).map(|(whole, login)| whole as f64 - login as f64)
            };
            track.observed.iter().filter_map(beyond).collect()
        });
    }

    /// Says how many round trips Cutover counts, from its first message on.
    pub(crate) fn round_trips(&mut self, aim: Aim) {
        self.observed("round trips, as Cutover counts them", Unit::Times, "", Some(aim), |sample| {
            sample.report.number("/round_trips")
        });
    }

    /// Compares processor time and memory of both sides.
    pub(crate) fn costs(&mut self, rival: &str) {
        self.timed("processor time, client", rival, None, |sample| Some(sample.cpu.client_seconds));
        self.timed("processor time, server with sshd", rival, None, |sample| Some(sample.cpu.server_seconds));
        self.memory(rival, Some((CLIENT_MEMORY, AGENT_MEMORY)));
    }

    /// Compares peak memory of both sides; `limits` are those of Cutover's client and server.
    pub(crate) fn memory(&mut self, rival: &str, limits: Option<(f64, f64)>) {
        let (client, server) = limits.unzip();
        let most = |limit: Option<f64>| limit.map(Aim::OursAtMost);
        self.observed("peak memory, client", Unit::Memory, rival, most(client), client_memory);
        let quantity = "peak memory, server's processes together";
        self.observed(quantity, Unit::Memory, rival, most(server), server_memory);
    }

    /// Returns the rows.
    pub(crate) fn finish(self) -> Vec<Row> {
        self.rows
    }

    /// Compares a figure of every timed run, where it was measured.
    pub(crate) fn timed(&mut self, quantity: &str, rival: &str, aim: Option<Aim>, figure: fn(&Sample) -> Option<f64>) {
        self.push(quantity, Unit::Seconds, rival, aim, |track| track.timed.iter().filter_map(figure).collect());
    }

    /// Compares a figure of every observed run, where it was observed.
    fn observed(
        &mut self,
        quantity: &str,
        unit: Unit,
        rival: &str,
        aim: Option<Aim>,
        figure: fn(&Sample) -> Option<f64>,
    ) {
        self.push(quantity, unit, rival, aim, |track| track.observed.iter().filter_map(figure).collect());
    }

    /// Without figures of ours there is no row, and without the rival's only one that has an aim of ours alone.
    fn push(
        &mut self,
        quantity: &str,
        unit: Unit,
        rival: &str,
        aim: Option<Aim>,
        figures: impl Fn(&Track) -> Vec<f64>,
    ) {
        let theirs = self.tracks.iter().find(|track| track.contender.strip_prefix(self.prefix) == Some(rival));
        let [ours, theirs] = [self.ours, theirs].map(|track| track.map(&figures).unwrap_or_default());
        if ours.is_empty() || (theirs.is_empty() && !matches!(aim, Some(Aim::OursAtMost(_)))) {
            return;
        }
        let rival = if theirs.is_empty() { "" } else { rival };
        self.rows.push(Row::new(&format!("{}{quantity}", self.words), unit, ours, rival, theirs).aim(aim));
    }
}

/// The client's peak memory.
#[expect(clippy::unnecessary_wraps, reason = "a figure of a sample, of which others may not have been observed")]
pub(crate) fn client_memory(sample: &Sample) -> Option<f64> {
    Some(sample.memory.client_bytes as f64)
}

/// The peak memory of the server's processes together.
pub(crate) fn server_memory(sample: &Sample) -> Option<f64> {
    sample.memory.server_bytes.map(|bytes| bytes as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::comparison::row::Summary;
    use crate::record::sample::{Memory, Report, WireBytes};

    fn conditions(logins: &Logins) -> Conditions<'_> {
        Conditions { logins, shape: None }
    }

    #[test]
    fn a_rival_that_was_not_run_gives_no_row() {
        let sample = |seconds| Sample { seconds, memory: Memory::default(), ..Sample::default() };
        let track =
            |name: &str| Track { timed: vec![sample(1.0)], observed: vec![sample(2.0)], ..Track::new("", name) };
        let (tracks, logins) = ([track("ours"), track("theirs")], Logins::default());
        let mut rows = Rows::of(conditions(&logins), &tracks).about("ours");
        rows.seconds("theirs", Some(Aim::RatioAtMost(1.0)));
        rows.seconds("another", Some(Aim::RatioAtMost(1.0)));
        rows.seconds("another", Some(Aim::OursAtMost(2.0)));
        let rows: Vec<_> = rows.finish().into_iter().map(|row| (row.is_met(), row.rival)).collect();
        assert_eq!(rows, [(Some(true), "theirs".to_owned()), (Some(true), String::new())]);
        let mut nobody = Rows::of(conditions(&logins), &tracks).about("nobody");
        nobody.seconds("theirs", None);
        assert!(nobody.finish().is_empty());
    }

    #[test]
    fn what_is_beyond_ssh_is_counted_alike_for_both() {
        let sample = |sent_bytes| {
            let wire = Some(WireBytes { sent_bytes, ..WireBytes::default() });
            Sample { wire, report: Report(json!({ "round_trips": 1 })), ..Sample::default() }
        };
        let track = |tool: &str, bytes| Track { observed: vec![sample(bytes)], ..Track::new(tool, tool) };
        let tracks = [track("cutover", 6500), track("rsync", 9200)];
        let logins = Logins { openssh: sample(6900), cutover: sample(3700), session: sample(7200) };
        let mut rows = Rows::of(conditions(&logins), &tracks).about("cutover");
        rows.beyond_ssh("rsync", None);
        rows.round_trips(Aim::OursAtMost(1.0));
        let median = |summary: Option<Summary>| summary.map(|summary| summary.median as i64);
        let rows = rows.finish();
        let rows: Vec<_> = rows.iter().map(|row| (median(row.ours), median(row.theirs), row.is_met())).collect();
        assert_eq!(rows, [(Some(2500), Some(2000), None), (Some(1), None, Some(true))]);
    }

    #[test]
    fn an_aim_holds_on_its_line() {
        let logins = Logins::default();
        let loopback = conditions(&logins);
        let aim = Aim::RatioAtMost(1.0);
        assert_eq!((loopback.on_loopback(aim), loopback.on_line(40.0, 100.0, aim)), (Some(aim), None));
        let line = Conditions { shape: Some(Shape { rtt_ms: 40.0, rate_mbit: Some(100.0) }), ..loopback };
        assert_eq!((line.on_loopback(aim), line.on_line(40.0, 100.0, aim)), (None, Some(aim)));
        assert_eq!((line.at_rate(100.0, aim), line.at_rate(10.0, aim)), (Some(aim), None));
    }
}
