//! The comparisons of scenarios that look at the server by itself, or at trees unlike code.

use std::collections::BTreeMap;

use crate::comparison::row::{Aim, Row, Summary, Unit};
use crate::comparison::rows::Conditions;
use crate::record::sample::Report;
use crate::record::track::Track;
use crate::source::tree::Tree;

/// How many times as long as the typical tree one unlike code may take.
const MOST_OF_TYPICAL: f64 = 3.0;

/// A billion bytes, or a million files: figures that can be read.
const GIGABYTE: f64 = 1e9;
const MILLION: f64 = 1e6;

/// The assembly of a release, against links to all files of one.
pub(super) fn assembly(conditions: Conditions<'_>, tracks: &[Track]) -> Vec<Row> {
    let samples = |contender: &str| {
        let track = tracks.iter().find(|track| track.contender == contender);
        track.map(|track| track.timed.as_slice()).unwrap_or_default()
    };
    let reports = |contender, figure: fn(&Report) -> Option<f64>| -> Vec<f64> {
        samples(contender).iter().filter_map(|sample| figure(&sample.report)).collect()
    };
    let seconds = |contender| reports(contender, |report| report.number("/seconds/assemble"));
    let copy = "cp -al of a release";
    let copied = || samples(copy).iter().map(|sample| sample.seconds).collect();
    let (reused, anew) = ("assembly with a release to reuse", "assembly anew");
    vec![
        Row::new(reused, Unit::Seconds, seconds("of one given up"), copy, copied())
            .aim(conditions.on_loopback(Aim::OursAtMost(0.35))),
        Row::new(anew, Unit::Seconds, seconds("anew"), copy, copied()),
        Row::new(
            "names linked and unlinked with a release to reuse",
            Unit::Times,
            reports("of one given up", names_touched),
            "those that the difference takes",
            reports("of one given up", names_that_differ),
        )
        .aim(Aim::RatioAtMost(1.2)),
    ]
}

/// A directory that was removed with all its content counts once on both sides.
fn names_touched(report: &Report) -> Option<f64> {
    Some(report.number("/objects_linked")? + report.number("/reused/removed")?)
}

/// A changed file is one name less and one more.
fn names_that_differ(report: &Report) -> Option<f64> {
    let number = |name| report.number(name);
    Some(number("/files_new")? + number("/files_removed")? + 2.0 * number("/files_changed")?)
}

/// Trees unlike code, by byte or by file.
pub(super) fn worst(tracks: &[Track], facts: &BTreeMap<String, u64>, typical: &Tree) -> Vec<Row> {
    let seconds = |label: &str| {
        let name = format!("{label}cutover deploy");
        let track = tracks.iter().find(|track| track.contender == name)?;
        Summary::of(track.for_seconds().iter().map(|sample| sample.seconds)).map(|summary| summary.median)
    };
    let row = |label: &str, of: (f64, u64), fact: &str, quantity: &str| {
        let (unit, typical) = of;
        let ours = seconds(label)? * unit / *facts.get(fact)? as f64;
        let theirs = seconds("typical: ")? * unit / typical as f64;
        let row = Row::new(&format!("{label}{quantity}"), Unit::Seconds, vec![ours], "the typical tree", vec![theirs]);
        Some(row.aim(Aim::RatioAtMost(MOST_OF_TYPICAL)))
    };
    let by_byte = ["zeros: ", "one block: ", "random: "]
        .into_iter()
        .filter_map(|label| row(label, (GIGABYTE, typical.bytes), "bytes", "seconds per GB"));
    let by_file = row("tiny files: ", (MILLION, typical.files), "tiny_files", "seconds per million files");
    by_byte.chain(by_file).collect()
}

/// Three releases against one plain copy.
pub(super) fn disk(tracks: &[Track]) -> Vec<Row> {
    let disk = |name: &str| -> Vec<f64> {
        let track = tracks.iter().find(|track| track.contender == name);
        track.and_then(|track| track.disk_bytes).iter().map(|bytes| *bytes as f64).collect()
    };
    let row = |shown: &str, rival: &str| {
        Row::new("disk of three releases", Unit::Bytes, disk("cutover deploy"), shown, disk(rival))
    };
    let mut rows = vec![
        row("one plain copy (rsync -a of C)", "rsync -a").aim(Aim::RatioAtMost(1.17)),
        row("rsync --link-dest", "rsync -rlpzc --link-dest"),
    ];
    rows.retain(|row| row.ours.is_some() && row.theirs.is_some());
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_changed_file_is_two_names() {
        let report = Report(json!({
            "files_new": 3, "files_changed": 10, "files_removed": 1,
            "objects_linked": 14, "reused": { "removed": 11 },
        }));
        assert_eq!((names_touched(&report), names_that_differ(&report)), (Some(25.0), Some(24.0)));
    }

    #[test]
    fn a_tree_unlike_code_is_compared_by_its_bytes() {
        let track = |name: &str, seconds| {
            let sample = crate::record::sample::Sample { seconds, ..Default::default() };
            Track { timed: vec![sample], ..Track::new("cutover", name) }
        };
        let tracks = [track("typical: cutover deploy", 4.0), track("zeros: cutover deploy", 1.0)];
        let typical =
            Tree { path: "".into(), name: String::new(), files: 1, directories: 1, symlinks: 0, bytes: 2_000_000_000 };
        let rows = worst(&tracks, &[("bytes".to_owned(), 1_000_000_000)].into(), &typical);
        let ratios: Vec<_> = rows.iter().map(|row| (row.quantity.as_str(), row.ratio())).collect();
        assert_eq!(ratios, [("zeros: seconds per GB", Some(0.5))]);
    }
}
