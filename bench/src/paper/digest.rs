//! Documents of kept runs: a table of each run, one short table of all, and its picture.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::comparison;
use crate::comparison::row::{Aim, Row, Unit};
use crate::failure::{Context, Failure, Result};
use crate::paper::figure::{columns, short};
use crate::paper::marks;
use crate::paper::picture::picture;
use crate::paper::point::{self, Point};
use crate::paper::table::{HEAD, ShownLine};
use crate::record::run::RunRecord;
use crate::record::scenario::ScenarioRecord;
use crate::record::track::Track;
use crate::scenario::Scenario;

/// Contenders that are Cutover at a level that was named.
const FIXED_LEVEL: &str = "cutover deploy --zstd-level ";

/// A level that is chosen takes no longer than any that can be named, but for a tenth.
const CHOSEN_LEVEL: Aim = Aim::RatioAtMost(1.1);

/// The quantities that are told of every scenario.
const COMMON: [&str; 3] = ["seconds", "seconds, with syncfs", "bytes on the wire"];

/// Kept runs, in the order in which they are told.
pub(crate) struct Digest {
    runs: Vec<(PathBuf, RunRecord)>,
}

impl Digest {
    /// Reads the records.
    pub(crate) fn read(records: &[PathBuf]) -> Result<Digest> {
        let read = |path: &PathBuf| Ok((path.clone(), RunRecord::read(path)?));
        Ok(Digest { runs: records.iter().map(read).collect::<Result<_>>()? })
    }

    /// Returns the runs.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.iter().map(|(_, run)| run)
    }

    /// Writes a section for each run.
    pub(crate) fn write_tables(&self, document: &Path) -> Result<()> {
        let section = |(record, run): &(PathBuf, RunRecord)| Ok(section(run, &link(document, record)?));
        let sections: Vec<String> = self.runs.iter().map(section).collect::<Result<_>>()?;
        marks::replace(document, &sections.join("\n"))
    }

    /// Writes the short table, with the records that it is made of.
    pub(crate) fn write_summary(&self, document: &Path) -> Result<()> {
        let points = self.points()?;
        let mut records = Vec::new();
        for (record, run) in self.runs.iter().filter(|(_, run)| points.iter().any(|point| point.run == run.name)) {
            records.push(format!("[{}]({})", run.name, link(document, record)?));
        }
        marks::replace(document, &format!("{}\nRecords: {}\n", point::table(&points), records.join(", ")))
    }

    /// Writes the picture of the short table.
    pub(crate) fn write_picture(&self, file: &Path) -> Result<()> {
        fs::write(file, picture(&self.points()?)).context(|| format!("Could not write `{}`", file.display()))
    }

    fn points(&self) -> Result<Vec<Point>> {
        let points = Point::all(&self.runs().collect::<Vec<_>>());
        if points.is_empty() {
            return Err(Failure::new("The runs hold no comparison that the short table is made of"));
        }
        Ok(points)
    }
}

fn section(run: &RunRecord, link: &str) -> String {
    let mut text = format!(
        "### {}\n\n[record]({link}) · {} · build `{}` · {} → {} · {} · timed runs: {}\n\n| |{}\n|---|{}\n",
        run.name,
        run.started,
        short(&run.versions.cutover_sha256),
        run.trees.a.name,
        run.trees.b.name,
        ShownLine(run.line),
        run.repeats(),
        HEAD[0],
        HEAD[1],
    );
    for record in &run.scenarios {
        for row in telling(run, record) {
            text += &format!("| {} | {} |\n", record.scenario.name(), columns(&row));
        }
    }
    text
}

/// Returns the rows with an aim, the first of each of the common quantities, all rows of `share`, and the
/// comparison of the chosen level with each that was named.
fn telling(run: &RunRecord, record: &ScenarioRecord) -> Vec<Row> {
    let mut named: Vec<String> = Vec::new();
    let mut telling: Vec<Row> = Vec::new();
    for row in comparison::of(run, record) {
        let is_first = COMMON.contains(&row.quantity.as_str()) && !named.contains(&row.quantity);
        if row.aim.is_some() || is_first || record.scenario == Scenario::Share {
            named.push(row.quantity.clone());
            telling.push(row);
        }
    }
    telling.extend(levels(&record.tracks));
    telling
}

fn levels(tracks: &[Track]) -> Vec<Row> {
    let Some(chosen) = tracks.iter().find(|track| track.contender == "cutover deploy") else { return Vec::new() };
    let levels = tracks.iter().filter(|track| track.contender.starts_with(FIXED_LEVEL) && track.failure.is_none());
    let rows = levels.flat_map(|level| {
        let seconds = |track: &Track| track.timed.iter().map(|sample| sample.seconds).collect();
        let wire = |track: &Track| {
            let wires = track.observed.iter().filter_map(|sample| sample.wire);
            wires.map(|wire| wire.total_bytes() as f64).collect()
        };
        let name = level.contender.as_str();
        [
            Row::new("seconds", Unit::Seconds, seconds(chosen), name, seconds(level)).aim(CHOSEN_LEVEL),
            Row::new("bytes on the wire", Unit::Bytes, wire(chosen), name, wire(level)),
        ]
    });
    rows.collect()
}

/// Returns how a document names a file, relative to where it lies itself.
fn link(document: &Path, file: &Path) -> Result<String> {
    let absolute = |path: &Path| path.canonicalize().context(|| format!("Could not find `{}`", path.display()));
    let (document, file) = (absolute(document)?, absolute(file)?);
    let from: Vec<Component<'_>> = document.parent().into_iter().flat_map(Path::components).collect();
    let to: Vec<Component<'_>> = file.components().collect();
    let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let up = from[shared..].iter().map(|_| Component::ParentDir);
    Ok(up.chain(to[shared..].iter().copied()).collect::<PathBuf>().display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample::Sample;

    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

    fn track(contender: &str, seconds: f64) -> Track {
        Track { timed: vec![Sample { seconds, ..Sample::default() }], ..Track::new("", contender) }
    }

    #[test]
    fn the_chosen_level_is_compared_with_each_that_was_named() {
        let rows = levels(&[
            track("cutover deploy", 10.5),
            track("cutover deploy --zstd-level 3", 10.0),
            track("cutover deploy --zstd-level 9", 9.0),
            track("rsync -a", 1.0),
        ]);
        let seconds = rows.iter().filter(|row| row.unit == Unit::Seconds);
        let met: Vec<(&str, Option<bool>)> = seconds.map(|row| (row.rival.as_str(), row.is_met())).collect();
        let expected = [("cutover deploy --zstd-level 3", Some(true)), ("cutover deploy --zstd-level 9", Some(false))];
        assert_eq!(met, expected);
    }

    /// The records that a document links to, in their order.
    fn records_of(document: &Path) -> Digest {
        let text = fs::read_to_string(document).unwrap();
        let links = text.split("(").filter_map(|part| part.split_once(')').map(|(link, _)| link));
        let links = links.filter(|link| link.ends_with(".json"));
        let mut records: Vec<PathBuf> = Vec::new();
        for link in links.map(|link| document.parent().unwrap().join(link)) {
            if !records.contains(&link) {
                records.push(link);
            }
        }
        Digest::read(&records).unwrap()
    }

    #[test]
    fn documents_say_what_their_records_say() {
        let root = Path::new(ROOT);
        let (tables, summary) = (root.join("docs/benchmarks.md"), root.join("README.md"));
        let digest = records_of(&tables);
        assert_eq!(digest.runs.len(), fs::read_dir(root.join("bench/runs")).unwrap().count());
        let text = fs::read_to_string(&tables).unwrap();
        for (record, run) in &digest.runs {
            assert!(text.contains(&section(run, &link(&tables, record).unwrap())), "{}", run.name);
        }
        let points = digest.points().unwrap();
        assert_eq!(points.len(), 6);
        assert!(fs::read_to_string(&summary).unwrap().contains(&point::table(&points)));
        assert!(fs::read_to_string(root.join("docs/benchmarks.svg")).unwrap() == picture(&points));
    }
}
