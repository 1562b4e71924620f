//! The raw figures of a run, as they are kept in `bench/runs/NAME.json`.
//!
//! Every sample is kept with the line that was run; tables are made of these and can be made again. Paths are written
//! as `$WORK`, `$A`, `$B`, `$C`, so that a kept run says nothing of the machine's directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contest::Contender;
use crate::cutover;
use crate::failure::{Context, Failure, Result};
use crate::lab::Line;
use crate::machine::{Machine, Versions};
use crate::process::Finished;
use crate::procfs::ServerPeaks;
use crate::row::{Row, Summary};
use crate::shape::Shape;
use crate::tool::Tool;
use crate::tree::Trees;
use crate::wire::WireBytes;

/// The layout of the raw record.
pub(crate) const FORMAT: u32 = 1;

/// One whole run of the bench.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// The layout of this file.
    pub(crate) format: u32,
    /// The run's name.
    pub(crate) name: String,
    /// When it began, in UTC.
    pub(crate) started: String,
    /// Where.
    pub(crate) machine: Machine,
    /// With what.
    pub(crate) versions: Versions,
    /// On what.
    pub(crate) trees: Trees,
    /// Files that have the same path, size and mtime in A and B.
    pub(crate) quick_check_matches: u64,
    /// Over which line. The first runs, which do not say it, were over the loopback.
    #[serde(default)]
    pub(crate) line: LineRecord,
    /// What logging in costs: `ssh SERVER true`, with what is watched in an observed run.
    #[serde(default)]
    pub(crate) login: Sample,
    /// What a login costs each of the two SSH clients that take part, up to where it asks for a session. The first runs did
    /// not measure it.
    #[serde(default)]
    pub(crate) logins: Logins,
    /// Timed runs of each contender.
    pub(crate) repeats: u32,
    /// The scenarios, in the order they were run.
    pub(crate) scenarios: Vec<ScenarioRecord>,
}

impl RunRecord {
    /// Reads a kept run.
    pub(crate) fn read(path: &Path) -> Result<RunRecord> {
        let text = fs::read_to_string(path).context(|| format!("Could not read `{}`", path.display()))?;
        let run: RunRecord = serde_json::from_str(&text).context(|| {
            format!("`{}` is not the record of a run; name a `NAME.json` as `bench run` keeps it", path.display())
        })?;
        if run.format != FORMAT {
            return Err(Failure::new(format!(
                "`{}` has format {}, and this bench reads format {FORMAT}; use the bench of its time",
                path.display(),
                run.format
            )));
        }
        Ok(run)
    }
}

/// Logins that end where a session is refused.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Logins {
    /// Of the system's `ssh`.
    pub(crate) openssh: Sample,
    /// Of the one that Cutover has built in.
    pub(crate) cutover: Sample,
    /// A login of the system's `ssh` with a session that does nothing.
    #[serde(default)]
    pub(crate) session: Sample,
}

impl Logins {
    /// Returns what is SSH's own when a tool runs, where it was counted: its login, and a session that does nothing.
    pub(crate) fn of(&self, tool: &str) -> Option<WireBytes> {
        let login = if tool == cutover::NAME { self.cutover.wire } else { self.openssh.wire };
        let (login, whole, refused) = (login?, self.session.wire?, self.openssh.wire?);
        let session = |figure: fn(WireBytes) -> u64| figure(login) + figure(whole).saturating_sub(figure(refused));
        let waits = |wire: WireBytes| wire.waits.unwrap_or(0);
        Some(WireBytes {
            sent_bytes: session(|wire| wire.sent_bytes),
            received_bytes: session(|wire| wire.received_bytes),
            waits: login.waits.map(|_| session(waits)),
            ..login
        })
    }
}

/// The line between client and server.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct LineRecord {
    /// What carries it.
    pub(crate) kind: LineKind,
    /// What it is made like, if like anything.
    pub(crate) shape: Option<Shape>,
    /// What may queue before it in each direction.
    pub(crate) queue_bytes: Option<u64>,
    /// Why there is no link, where one was asked for.
    pub(crate) without_link: Option<String>,
}

/// What carries a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LineKind {
    /// The loopback; a relay where bytes are counted.
    #[default]
    Loopback,
    /// Packets between two network namespaces, delayed and limited.
    Link,
    /// A relay that delays and limits the two ends.
    Relay,
    /// Whatever leads to a server of the user's. Nothing is counted on it.
    Target,
}

/// What came of a scenario.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ScenarioRecord {
    /// Its name.
    pub(crate) name: String,
    /// What it measures.
    pub(crate) title: String,
    /// Why it failed; then it has no figures.
    pub(crate) failure: Option<String>,
    /// What was measured.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

impl ScenarioRecord {
    /// Tells whether nothing failed.
    pub(crate) fn is_sound(&self) -> bool {
        self.failure.is_none() && self.outcome.tracks.iter().all(|track| track.failure.is_none())
    }
}

/// The figures of a scenario.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
    /// The comparisons.
    pub(crate) rows: Vec<Row>,
    /// The runs that they were made of.
    pub(crate) tracks: Vec<Track>,
    /// Single figures that belong to no run.
    pub(crate) facts: BTreeMap<String, u64>,
}

impl Outcome {
    /// A scenario that was not run.
    pub(crate) fn skipped(why: &str) -> Outcome {
        Outcome { skipped: Some(why.to_owned()), ..Outcome::default() }
    }
}

/// All runs of one contender.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The word of `--tools`.
    #[serde(default)]
    pub(crate) tool: String,
    /// Its name in the table.
    pub(crate) contender: String,
    /// What the program says of its version.
    pub(crate) version: Option<String>,
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
    /// Why it has no figures.
    pub(crate) failure: Option<String>,
    /// What its directory on the server takes after the first run.
    pub(crate) disk_bytes: Option<u64>,
    /// Runs of which bytes are counted, with memory watched: bytes and memory, and the warm-up of the timed ones.
    pub(crate) observed: Vec<Sample>,
    /// Runs with nothing beside them: seconds and processor time.
    pub(crate) timed: Vec<Sample>,
    /// Runs that differ, each after the one before: no median is made of them.
    #[serde(default)]
    pub(crate) steps: Vec<Sample>,
    /// Where it stands among tracks of the same work at other sizes, if there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<Mark>,
}

/// A place on the axis of a scenario in which something grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// What was done: tracks of the same are one line of a plot.
    pub(crate) step: String,
    /// How much there was of what grows: files, or per cent.
    pub(crate) at: u64,
}

impl Track {
    /// The track of nobody.
    pub(crate) const EMPTY: Track = Track {
        tool: String::new(),
        contender: String::new(),
        version: None,
        skipped: None,
        failure: None,
        disk_bytes: None,
        observed: Vec::new(),
        timed: Vec::new(),
        steps: Vec::new(),
        mark: None,
    };

    /// The track of a contender that has not run yet.
    pub(crate) fn of(contender: &Contender<'_>) -> Track {
        let (tool, contender, version) = (contender.tool.to_owned(), contender.name.clone(), contender.version.clone());
        Track { tool, contender, version, ..Track::default() }
    }

    /// The track of a tool that has not run yet.
    pub(crate) fn of_tool(tool: &dyn Tool) -> Track {
        Track { tool: tool.name().to_owned(), contender: tool.title(), version: tool.version(), ..Track::default() }
    }

    /// The track of a contender that is not run.
    pub(crate) fn skipped(tool: &str, contender: String, reason: String) -> Track {
        Track { tool: tool.to_owned(), contender, skipped: Some(reason), ..Track::default() }
    }

    /// Summarizes a figure of the timed runs; where there are none, of the observed.
    pub(crate) fn seconds(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Summary> {
        let runs = if self.timed.is_empty() { &self.observed } else { &self.timed };
        Summary::of(runs.iter().filter_map(figure))
    }

    /// Summarizes a figure of the observed runs; where there are none, of the timed.
    pub(crate) fn bytes(&self, figure: impl Fn(&Sample) -> Option<u64>) -> Option<Summary> {
        let runs = if self.observed.is_empty() { &self.timed } else { &self.observed };
        Summary::of(runs.iter().filter_map(figure).map(|value| value as f64))
    }

    /// Says what releases were made of, where the reports of Cutover tell it and another one stood before.
    pub(crate) fn made_of(&self) -> Option<String> {
        let samples = self.observed.iter().chain(&self.timed).chain(&self.steps);
        let reports = samples.filter_map(|sample| sample.report.as_ref()).filter(|report| {
            report["state"] == "live" && report["previous"].is_string() && report.get("reused").is_some()
        });
        let (made_of_one, made_of_none): (Vec<&Value>, Vec<&Value>) =
            reports.partition(|report| report["reused"].is_object());
        let number = |report: &Value, name: &str| report["reused"][name].as_u64().unwrap_or(0);
        match (made_of_one.first(), made_of_none.len()) {
            (None, 0) => None,
            (None, _) => Some("releases were made anew: none that had been given up was reused".to_owned()),
            (Some(first), 0) => Some(format!(
                "each release was made of one that had been given up: {} of its files and symlinks kept, {} names removed, \
                 {} directories moved",
                number(first, "kept"),
                number(first, "removed"),
                number(first, "moved"),
            )),
            (Some(_), anew) => Some(format!(
                "{} of {} releases were made of one that had been given up",
                made_of_one.len(),
                made_of_one.len() + anew
            )),
        }
    }

    /// Tells whether there is anything of which a figure is shown.
    pub(crate) fn has_figures(&self) -> bool {
        !self.observed.is_empty() || !self.timed.is_empty() || self.disk_bytes.is_some()
    }

    /// Drops the figures: a tool that failed once has none.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.failure = Some(failure.to_string());
        self.observed.clear();
        self.timed.clear();
        self.steps.clear();
        self.disk_bytes = None;
    }
}

/// One run of one program.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The line that was run.
    pub(crate) command: String,
    /// Which way it went.
    #[serde(default)]
    pub(crate) line: String,
    /// From the client's start to its end.
    pub(crate) seconds: f64,
    /// `syncfs` of the server's filesystem afterwards: what the tool left to others.
    pub(crate) syncfs_seconds: Option<f64>,
    /// How long the server went on after the client ended.
    pub(crate) server_lingered_seconds: Option<f64>,
    /// Processor time of the client, with the `ssh` that it may run.
    pub(crate) client_cpu_seconds: f64,
    /// Processor time of everything below the listening `sshd`, with its cryptography.
    pub(crate) server_cpu_seconds: Option<f64>,
    /// Peak memory of the client's largest process.
    pub(crate) client_peak_bytes: u64,
    /// Peak memory on the server; only in observed runs.
    pub(crate) server_peaks: Option<ServerPeaks>,
    /// TCP payload; only where it was counted.
    pub(crate) wire: Option<WireBytes>,
    /// What the tool itself says it sent and received, before SSH.
    pub(crate) payload: Option<Payload>,
    /// The most that the filesystem held while it ran.
    pub(crate) most_used_bytes: Option<u64>,
    /// What `--json` printed.
    pub(crate) report: Option<Value>,
}

/// Bytes before SSH, as the tool counts them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// From the client to the server.
    pub(crate) sent_bytes: u64,
    /// From the server to the client.
    pub(crate) received_bytes: u64,
}

impl Payload {
    /// Returns both directions.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.sent_bytes + self.received_bytes
    }
}

impl Sample {
    /// What can be seen of a run from the client's side.
    pub(crate) fn of_client(command: String, line: Line, finished: &Finished) -> Sample {
        Sample {
            command,
            line: line.to_string(),
            seconds: finished.seconds,
            client_cpu_seconds: finished.cpu_seconds,
            client_peak_bytes: finished.peak_bytes,
            ..Sample::default()
        }
    }

    /// Returns the TCP payload of both directions, 0 where it was not counted.
    pub(crate) fn wire_bytes(&self) -> u64 {
        self.wire.map_or(0, |wire| wire.total_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_releases_were_made_of_is_told() {
        let of_one = json!({ "state": "live", "previous": "1", "reused": { "kept": 7, "removed": 2, "moved": 1 } });
        let of_none = json!({ "state": "live", "previous": "1", "reused": null });
        let first = json!({ "state": "live", "previous": null, "reused": null });
        let older = json!({ "state": "live", "previous": "1" });
        let said = |reports: &[&Value]| {
            let sample = |report: &&Value| Sample { report: Some((*report).clone()), ..Sample::default() };
            Track { timed: reports.iter().map(sample).collect(), ..Track::default() }.made_of()
        };
        let one = "each release was made of one that had been given up: 7 of its files and symlinks kept, 2 names removed, \
                   1 directories moved";
        assert_eq!(said(&[&of_one, &of_one]).as_deref(), Some(one));
        assert_eq!(
            said(&[&of_none]).as_deref(),
            Some("releases were made anew: none that had been given up was reused")
        );
        assert_eq!(
            said(&[&of_none, &of_one]).as_deref(),
            Some("1 of 2 releases were made of one that had been given up")
        );
        assert_eq!(said(&[&first, &older]), None);
    }
}
