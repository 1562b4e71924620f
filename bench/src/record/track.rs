//! All runs of one contender.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::record::sample::Sample;

/// All runs of one contender.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Track {
    /// The program.
    pub(crate) tool: String,
    /// Its name in tables.
    pub(crate) contender: String,
    /// The line of the last run. Its paths are `$A`, `$B`, `$C` for the trees and `$WORK`. Runs that were observed differ
    /// from it in the configuration of SSH alone, which is `$WORK/ssh/counted`.
    #[serde(default)]
    pub(crate) command: String,
    /// Why it has no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    /// The disk of its directory on the server after the observed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disk_bytes: Option<u64>,
    /// Where it stands among tracks of the same work at other sizes, if there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<Mark>,
    /// Runs of which bytes are counted, with memory watched: bytes and memory, and the warm-up of the timed ones.
    #[serde(default)]
    pub(crate) observed: Vec<Sample>,
    /// Runs with nothing beside them: seconds and processor time.
    #[serde(default)]
    pub(crate) timed: Vec<Sample>,
}

/// A place on the axis of a scenario in which something grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The step of the course.
    pub(crate) step: String,
    /// The size at this place: files, or per cent.
    pub(crate) at: u64,
}

impl Track {
    /// The track of a contender that has not run yet.
    pub(crate) fn new(tool: &str, contender: &str) -> Track {
        Track { tool: tool.to_owned(), contender: contender.to_owned(), ..Track::default() }
    }

    /// Keeps a run.
    pub(crate) fn keep(&mut self, sample: Sample, is_observed: bool) {
        self.command.clone_from(&sample.command);
        if is_observed { self.observed.push(sample) } else { self.timed.push(sample) }
    }

    /// Returns the samples of which seconds are told: the timed, or where there are none the observed.
    pub(crate) fn for_seconds(&self) -> &[Sample] {
        if self.timed.is_empty() { &self.observed } else { &self.timed }
    }

    /// Returns the samples of which bytes and memory are told: the observed, or where there are none the timed.
    pub(crate) fn for_bytes(&self) -> &[Sample] {
        if self.observed.is_empty() { &self.timed } else { &self.observed }
    }

    /// Drops the figures: a tool that failed once has none.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        let (tool, contender, mark) = (self.tool.clone(), self.contender.clone(), self.mark.take());
        *self = Track { tool, contender, mark, failure: Some(failure.to_string()), ..Track::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_failed_has_no_figures() {
        let mut track = Track { disk_bytes: Some(7), ..Track::new("rsync", "rsync -a") };
        track.keep(Sample { command: "rsync".to_owned(), ..Sample::default() }, true);
        track.fail(&Failure::new("It broke"));
        assert!(track.for_seconds().is_empty() && track.for_bytes().is_empty() && track.disk_bytes.is_none());
        assert_eq!((track.contender.as_str(), track.failure.as_deref()), ("rsync -a", Some("It broke")));
    }
}
