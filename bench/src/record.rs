//! The raw figures of a run, as they are kept in `bench/runs/NAME.json`.
//!
//! Every sample is kept with the line that was run; tables are made of these and can be made again. Paths are written
//! as `$WORK`, `$A`, `$B`, `$C`, so that a kept run says nothing of the machine's directories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::{Machine, Versions};
use crate::procfs::ServerPeaks;
use crate::relay::WireBytes;
use crate::row::Row;
use crate::tree::Trees;

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
    /// The line between client and server; none on the loopback.
    #[serde(default)]
    pub(crate) link: Option<Link>,
    /// On what.
    pub(crate) trees: Trees,
    /// Files that have the same path, size and mtime in A and B.
    pub(crate) quick_check_matches: u64,
    /// Timed runs of each contender.
    pub(crate) repeats: u32,
    /// The scenarios, in the order they were run.
    pub(crate) scenarios: Vec<ScenarioRecord>,
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
    /// Tells whether contenders did the same in turn, once with bytes counted; in other scenarios runs follow each other.
    pub(crate) fn is_race(&self) -> bool {
        let tracks = &self.outcome.tracks;
        let is_counted = |track: &Track| track.observed.iter().any(|sample| sample.wire.is_some());
        tracks.iter().any(is_counted) && tracks.iter().all(|track| track.observed.len() <= 1)
    }
}

/// A line with a delay and a rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Link {
    rtt_ms: f64,
    rate_mbit: Option<f64>,
}

impl Link {
    pub(crate) fn rtt_ms(&self) -> f64 {
        self.rtt_ms
    }
    pub(crate) fn rate_bits(&self) -> Option<u64> {
        self.rate_mbit.map(|rate| (rate * 1e6) as u64)
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms", self.rtt_ms)?;
        self.rate_mbit.map_or(Ok(()), |rate| write!(f, ", {rate} Mbit/s"))
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

/// All runs of one contender.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Track {
    /// Its name in the table.
    pub(crate) contender: String,
    /// Runs through the relay, with memory watched: bytes and memory, and the warm-up of the timed ones.
    pub(crate) observed: Vec<Sample>,
    /// Runs with nothing beside them: seconds and processor time.
    pub(crate) timed: Vec<Sample>,
}

impl Track {
    /// Tells whether it is Cutover's.
    pub(crate) fn is_ours(&self) -> bool {
        self.contender.starts_with("cutover")
    }
}

/// One run of one program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The line that was run.
    pub(crate) command: String,
    /// From the client's start to its end.
    pub(crate) seconds: f64,
    /// `syncfs` of the destination afterwards, where the tool leaves it to others.
    pub(crate) syncfs_seconds: Option<f64>,
    /// How long the server went on after the client ended.
    pub(crate) server_lingered_seconds: f64,
    /// Processor time of the client, with the `ssh` that it may run.
    pub(crate) client_cpu_seconds: f64,
    /// Processor time of everything below the listening `sshd`, with its cryptography.
    pub(crate) server_cpu_seconds: f64,
    /// Peak memory of the client's largest process.
    pub(crate) client_peak_bytes: u64,
    /// Peak memory on the server; only in observed runs.
    pub(crate) server_peaks: Option<ServerPeaks>,
    /// TCP payload; only in observed runs.
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
    /// Returns the TCP payload of both directions, 0 where it was not counted.
    pub(crate) fn wire_bytes(&self) -> u64 {
        self.wire.map_or(0, |wire| wire.total_bytes())
    }
}

#[cfg(test)]
impl Link {
    /// A link for tests.
    pub(crate) fn of(rtt_ms: f64, rate_mbit: f64) -> Link {
        Link { rtt_ms, rate_mbit: Some(rate_mbit) }
    }
}
