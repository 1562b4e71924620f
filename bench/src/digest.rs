//! The figures of kept runs in a document: its tables are made of the raw records, and can be made again.
//!
//! A document holds two marks, each a line of its own; what stands between them is replaced.

use std::fmt::{self, Display, Write};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::failure::{Context, Failure, Result};
use crate::record::{RunRecord, Sample, ScenarioRecord, Track};
use crate::row::{Aim, Row, Unit};
use crate::table::{ShownLine, aim, short, shown, shown_ratio};

const BEGIN: &str = "<!-- runs: written by `bench digest` -->\n";
const END: &str = "<!-- end of runs -->\n";

/// Contenders that are Cutover at a level that was named, in their scenario.
const FIXED_LEVEL: &str = "cutover deploy --zstd-level ";
/// A level that is chosen takes no longer than any that can be named, but for a tenth.
const CHOSEN_LEVEL: Aim = Aim::RatioAtMost(1.1);

/// Writes the figures of runs into a document, in place of those that stand there.
pub(crate) fn write(document: &Path, records: &[PathBuf], runs: &[RunRecord], is_brief: bool) -> Result<()> {
    let text = fs::read_to_string(document).context(|| format!("Could not read `{}`", document.display()))?;
    let digest = if is_brief { brief(runs) } else { whole(document, records, runs)? };
    let text = replaced(&text, &digest).ok_or_else(|| {
        Failure::new(format!(
            "`{}` does not say where: it must hold the line `{}` and after it the line `{}`",
            document.display(),
            BEGIN.trim_end(),
            END.trim_end()
        ))
    })?;
    fs::write(document, text).context(|| format!("Could not write `{}`", document.display()))
}

fn replaced(text: &str, digest: &str) -> Option<String> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text[begin..].find(END)?;
    Some(format!("{}\n{digest}\n{}", &text[..begin], &text[end..]))
}

/// A section for each run, with what should be reached, and one comparison of each quantity where nothing is said of that.
fn whole(document: &Path, records: &[PathBuf], runs: &[RunRecord]) -> Result<String> {
    let sections: Vec<String> = records
        .iter()
        .zip(runs)
        .map(|(record, run)| Ok(Section { run, link: link(document, record)? }.to_string()))
        .collect::<Result<_>>()?;
    Ok(sections.join("\n"))
}

struct Section<'a> {
    run: &'a RunRecord,
    link: String,
}

impl Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Section { run, link } = self;
        let table = Path::new(link).with_extension("md");
        writeln!(f, "### {}\n", run.name)?;
        writeln!(
            f,
            "[table]({}) · [record]({link}) · {} · build `{}` · {} → {} · {} · timed runs: {}\n",
            table.display(),
            run.started,
            short(&run.versions.cutover_sha256),
            run.trees.a.name,
            run.trees.b.name,
            ShownLine(&run.line),
            run.repeats,
        )?;
        writeln!(f, "| | | Cutover | compared with | | ratio | aim |\n|---|---|---:|---|---:|---:|---|")?;
        for scenario in &run.scenarios {
            for row in telling(scenario) {
                writeln!(f, "| {} | {} | {} |", scenario.name, columns(&row), aim(&row))?;
            }
        }
        Ok(())
    }
}

/// One table of all runs, without what is said elsewhere.
fn brief(runs: &[RunRecord]) -> String {
    let mut table = "| | | Cutover | compared with | | ratio |\n|---|---|---:|---|---:|---:|\n".to_owned();
    for run in runs {
        let shape = run.line.shape.map(|shape| {
            let rate = shape.rate_mbit.map(|rate| format!(" and {rate} Mbit/s"));
            format!(", at {} ms{}", shape.rtt_ms, rate.unwrap_or_default())
        });
        let line = shape.unwrap_or_default();
        for scenario in &run.scenarios {
            for row in telling(scenario).iter().filter(|row| is_brief(scenario, row)) {
                // Writing to a String cannot fail.
                let _ = writeln!(table, "| {}{line} | {} |", scenario.title, columns(row));
            }
        }
    }
    table
}

fn is_brief(scenario: &ScenarioRecord, row: &Row) -> bool {
    let has_aim_in_bytes = || scenario.outcome.rows.iter().any(|row| row.unit == Unit::Bytes && row.aim.is_some());
    if row.rival.starts_with(FIXED_LEVEL) {
        return false;
    }
    match row.unit {
        Unit::Seconds => true,
        Unit::Bytes => row.aim.is_some() || !has_aim_in_bytes(),
        // Nothing takes more than a first deploy.
        Unit::Memory => scenario.name == "first",
        Unit::Times => false,
    }
}

fn columns(row: &Row) -> String {
    let (ours, theirs) = (shown(row.ours, row.unit), shown(row.theirs, row.unit));
    let ratio = row.ratio.map(shown_ratio).unwrap_or_default();
    format!("{} | {ours} | {} | {theirs} | {ratio}", row.what, row.rival)
}

/// Returns the rows with an aim, the first of each of the common quantities, and how the chosen level does.
fn telling(scenario: &ScenarioRecord) -> Vec<Row> {
    let mut named: Vec<&str> = Vec::new();
    let mut telling: Vec<Row> = Vec::new();
    for row in &scenario.outcome.rows {
        let is_common = ["seconds", "seconds, with syncfs", "bytes on the wire"].contains(&row.what.as_str());
        let is_first = is_common && !named.contains(&row.what.as_str());
        if row.aim.is_some() || is_first {
            named.push(&row.what);
            telling.push(row.clone());
        }
    }
    let tracks = &scenario.outcome.tracks;
    let Some(chosen) = tracks.iter().find(|track| track.contender == "cutover deploy") else { return telling };
    for level in tracks.iter().filter(|track| track.contender.starts_with(FIXED_LEVEL) && track.has_figures()) {
        let seconds = |track: &Track| track.timed.iter().map(|sample| sample.seconds).collect();
        let bytes = |track: &Track| track.observed.iter().map(|sample: &Sample| sample.wire_bytes() as f64).collect();
        let name = level.contender.as_str();
        telling.push(Row::new("seconds", Unit::Seconds, seconds(chosen), name, seconds(level)).aim(CHOSEN_LEVEL));
        telling.push(Row::new("bytes on the wire", Unit::Bytes, bytes(chosen), name, bytes(level)));
    }
    telling
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
    use crate::record::Outcome;

    fn sample(seconds: f64) -> Sample {
        Sample { seconds, ..Sample::default() }
    }

    fn scenario(rows: Vec<Row>, tracks: Vec<Track>) -> ScenarioRecord {
        let outcome = Outcome { rows, tracks, ..Outcome::default() };
        ScenarioRecord { name: "first".to_owned(), title: "the first deploy".to_owned(), failure: None, outcome }
    }

    fn track(contender: &str, seconds: f64) -> Track {
        Track { contender: contender.to_owned(), timed: vec![sample(seconds)], ..Track::default() }
    }

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let expected = format!("before\n{BEGIN}\nnew\n\n{END}after\n");
        assert_eq!(replaced(&text, "new\n"), Some(expected.clone()));
        assert_eq!(replaced(&expected, "new\n"), Some(expected));
        assert_eq!(replaced("before\n", "new\n"), None);
        assert_eq!(replaced(&format!("{END}{BEGIN}"), "new\n"), None);
    }

    #[test]
    fn rows_with_an_aim_and_the_first_of_a_quantity_are_told() {
        let row = |what, rival| Row::new(what, Unit::Seconds, vec![1.0], rival, vec![2.0]);
        let rows = vec![
            row("seconds", "rsync -a"),
            row("seconds", "rsync -az"),
            row("seconds", "nothing changed").aim(Aim::RatioAtMost(1.3)),
            row("processor time, client", "rsync -a"),
        ];
        let told: Vec<String> = telling(&scenario(rows, vec![])).into_iter().map(|row| row.rival).collect();
        assert_eq!(told, ["rsync -a", "nothing changed"]);
    }

    #[test]
    fn the_chosen_level_is_compared_with_each_that_was_named() {
        let tracks = vec![
            track("cutover deploy", 10.5),
            track("cutover deploy --zstd-level 3", 10.0),
            track("cutover deploy --zstd-level 9", 9.0),
            track("rsync -a", 1.0),
        ];
        let told = telling(&scenario(vec![], tracks));
        let seconds = told.iter().filter(|row| row.unit == Unit::Seconds);
        let met: Vec<(&str, Option<bool>)> = seconds.map(|row| (row.rival.as_str(), row.met)).collect();
        let expected = [("cutover deploy --zstd-level 3", Some(true)), ("cutover deploy --zstd-level 9", Some(false))];
        assert_eq!(met, expected);
    }
}
