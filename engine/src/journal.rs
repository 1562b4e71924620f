//! The journal of a run on the server: its lines, and its summary.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::news::News;
use crate::release::{Provenance, ReleaseId};

/// A line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    /// The time.
    pub at: Moment,
    /// The entry.
    #[serde(flatten)]
    pub entry: JournalEntry,
}

/// An entry of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEntry {
    /// The run began.
    Begun(RunHead),
    /// News of the run.
    News(News),
    /// The run ended.
    Ended(RunResult),
}

/// The beginning of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHead {
    /// The verb.
    pub verb: String,
    /// The person who runs it.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// The result of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    /// The error, if the run failed.
    pub error: Option<String>,
    /// The live release after it.
    pub live: Option<ReleaseId>,
    /// The live release before it.
    pub previous: Option<ReleaseId>,
    /// Whether the client heard of it.
    pub is_heard: bool,
}
