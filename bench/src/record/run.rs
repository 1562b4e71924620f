//! One whole run of the bench, as it is kept in `bench/runs/NAME.json`.
//!
//! ```text
//! format, name, started       the layout, and which run this is
//! machine, versions           where, and with which programs and builds
//! trees, quick_check_matches  the versions, and how many files of A and B have equal path, size and mtime
//! line                        round-trip time and rate; null for the loopback
//! logins                      the cost of a login: one sample each
//! scenarios                   each with its tracks, a track with its samples: one a line
//! ```
//! Samples alone are kept. Medians and ratios are made of them whenever a table is written ([`crate::comparison`]), so
//! no table can say something else than its record. Paths are `$WORK`, `$A`, `$B`, `$C`: a record says nothing of
//! somebody's directories.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::{Context, Failure, Result};
use crate::line::shape::Shape;
use crate::record::layout;
use crate::record::logins::Logins;
use crate::record::machine::{Machine, Versions};
use crate::record::scenario::ScenarioRecord;
use crate::source::tree::Trees;

/// The layout of the record.
pub(crate) const FORMAT: u32 = 2;

/// One whole run of the bench.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunRecord {
    /// The layout.
    pub(crate) format: u32,
    /// The run's name.
    pub(crate) name: String,
    /// When it began, in UTC.
    pub(crate) started: String,
    /// Where.
    pub(crate) machine: Machine,
    /// With which programs.
    pub(crate) versions: Versions,
    /// The versions that were deployed.
    pub(crate) trees: Trees,
    /// Files that have the same path, size and mtime in A and B.
    pub(crate) quick_check_matches: u64,
    /// The line; none for the loopback.
    pub(crate) line: Option<Shape>,
    /// The cost of a login.
    pub(crate) logins: Logins,
    /// The scenarios, in the order that they were run.
    pub(crate) scenarios: Vec<ScenarioRecord>,
}

/// The one field that every layout has.
#[derive(Deserialize)]
struct Layout {
    format: u32,
}

impl RunRecord {
    /// Reads a kept run.
    pub(crate) fn read(path: &Path) -> Result<RunRecord> {
        let text = fs::read_to_string(path).context(|| format!("Could not read `{}`", path.display()))?;
        let failed =
            || format!("`{}` is not the record of a run; name a `NAME.json` as `bench run` keeps it", path.display());
        let Layout { format } = serde_json::from_str(&text).context(failed)?;
        if format != FORMAT {
            return Err(Failure::new(format!(
                "`{}` has format {format}, and this bench reads format {FORMAT}; use the bench of its time",
                path.display(),
            )));
        }
        serde_json::from_str(&text).context(failed)
    }

    /// Keeps the run in a directory, under its name.
    pub(crate) fn write(&self, runs: &Path) -> Result<()> {
        let path = runs.join(format!("{}.json", self.name));
        fs::write(&path, self.text()?).context(|| format!("Could not write `{}`", path.display()))
    }

    /// Returns the record as it is kept.
    pub(crate) fn text(&self) -> Result<String> {
        let value = serde_json::to_value(self).context(|| "Could not write the record as JSON")?;
        Ok(layout::lines(&value))
    }

    /// Returns how often the contenders ran: the most timed runs of one of them.
    pub(crate) fn repeats(&self) -> usize {
        let tracks = self.scenarios.iter().flat_map(|scenario| &scenario.tracks);
        tracks.map(|track| track.timed.len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records that the documents tell of.
    const RUNS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/runs");

    #[test]
    fn kept_runs_are_read_and_written_as_they_stand() {
        let mut names = 0;
        for entry in fs::read_dir(RUNS).unwrap() {
            let path = entry.unwrap().path();
            let run = RunRecord::read(&path).unwrap();
            assert!(run.text().unwrap() == fs::read_to_string(&path).unwrap(), "{}", path.display());
            assert_eq!(path.file_stem().and_then(|name| name.to_str()), Some(run.name.as_str()));
            names += 1;
        }
        assert!(names > 0);
    }

    #[test]
    fn another_format_is_refused_with_both_numbers() {
        let path = std::env::temp_dir().join(format!("bench-format-{}.json", std::process::id()));
        fs::write(&path, r#"{ "format": 1, "unknown": 7 }"#).unwrap();
        let failure = RunRecord::read(&path).unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        assert!(failure.contains("format 1") && failure.contains("format 2"), "{failure}");
    }
}
