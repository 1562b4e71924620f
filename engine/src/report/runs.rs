//! The result of `log`.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::release::ReleaseId;

/// The runs that have a journal, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsReport {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
}

/// The summary of a run, in a list of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The number of the run.
    pub run: u64,
    /// The time at which it began.
    pub began: Moment,
    /// The time at which it ended. None: it is at work, or was killed.
    pub ended: Option<Moment>,
    /// The verb.
    pub verb: String,
    /// The person who ran it, as `user@host`.
    pub who: String,
    /// The release that was live before.
    pub previous: Option<ReleaseId>,
    /// The release that was live after it.
    pub live: Option<ReleaseId>,
    /// The error, if it failed.
    pub error: Option<String>,
    /// Whether its client heard the result.
    pub is_heard: bool,
}
