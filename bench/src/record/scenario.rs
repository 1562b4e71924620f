//! The samples of one scenario.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::track::Track;
use crate::scenario::Scenario;

/// A scenario that was run, or was to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScenarioRecord {
    /// Which.
    pub(crate) scenario: Scenario,
    /// Why it failed; then it has no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    /// Why it was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    /// Single figures that belong to no run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) facts: BTreeMap<String, u64>,
    /// The contenders.
    #[serde(default)]
    pub(crate) tracks: Vec<Track>,
}

/// The figures of a scenario that has ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
    /// Single figures that belong to no run.
    pub(crate) facts: BTreeMap<String, u64>,
    /// The contenders.
    pub(crate) tracks: Vec<Track>,
}

impl Outcome {
    /// A scenario that was not run.
    pub(crate) fn skipped(why: String) -> Outcome {
        Outcome { skipped: Some(why), ..Outcome::default() }
    }

    /// A scenario with these contenders.
    pub(crate) fn of(tracks: Vec<Track>) -> Outcome {
        Outcome { tracks, ..Outcome::default() }
    }

    /// Adds a single figure.
    pub(crate) fn fact(mut self, name: &str, value: u64) -> Outcome {
        self.facts.insert(name.to_owned(), value);
        self
    }
}

impl ScenarioRecord {
    /// The record of a scenario that has ended.
    pub(crate) fn of(scenario: Scenario, outcome: Outcome) -> ScenarioRecord {
        let Outcome { skipped, facts, tracks } = outcome;
        ScenarioRecord { scenario, failure: None, skipped, facts, tracks }
    }

    /// The record of a scenario that failed.
    pub(crate) fn failed(scenario: Scenario, failure: String) -> ScenarioRecord {
        ScenarioRecord { failure: Some(failure), ..ScenarioRecord::of(scenario, Outcome::default()) }
    }

    /// Tells whether nothing failed.
    pub(crate) fn is_sound(&self) -> bool {
        self.failure.is_none() && self.tracks.iter().all(|track| track.failure.is_none())
    }
}
