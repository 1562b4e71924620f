//! The comparisons of courses over made trees: with rsync on the same tree, and with Cutover on a smaller one.

use crate::comparison::row::{Aim, Row, Unit};
use crate::comparison::rows::{Conditions, Rows, client_memory, server_memory};
use crate::number::grouped;
use crate::record::logins::CUTOVER;
use crate::record::sample::Sample;
use crate::record::track::Track;

/// The rivals of each step.
const STEPS: [(&str, &str); 5] = [
    ("first", "rsync -az --zc=zstd"),
    ("unchanged", "rsync -az --zc=zstd"),
    ("one-file", "rsync -az --zc=zstd --link-dest"),
    ("rename", "rsync -az --zc=zstd --link-dest"),
    (ROLLBACK, "ssh, ln and mv"),
];

/// The step that must not know how many files there are.
const ROLLBACK: &str = "rollback";

/// Aims are of the largest trees.
const MOST_FILES: u64 = 1_000_000;
const MOST_RATIO: f64 = 1.0 / 5.0;
const MOST_PER_FILE: f64 = 1.3;
const MEMORY: (f64, f64) = (500.0 * 1024.0 * 1024.0, 250.0 * 1024.0 * 1024.0);

/// The least number of files that figures per file are compared with: with fewer, the cost of every process and every login
/// by itself would outweigh the files.
const LEAST_FILES: u64 = 10_000;

/// Figures per file are told of so many.
const MILLION: f64 = 1e6;

/// Compares courses over trees of growing size.
pub(super) fn growth(conditions: Conditions<'_>, tracks: &[Track]) -> Vec<Row> {
    let mut sizes: Vec<u64> = tracks.iter().filter_map(|track| track.mark.as_ref()).map(|mark| mark.at).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let Some(&most) = sizes.last() else { return Vec::new() };
    let mut rows: Vec<Row> = STEPS.iter().flat_map(|step| with_rsync(conditions, tracks, most, *step)).collect();
    let Some(&fewer) = sizes.iter().rev().nth(1).filter(|fewer| **fewer >= LEAST_FILES) else { return rows };
    for (step, _) in STEPS.into_iter().filter(|(step, _)| *step != ROLLBACK) {
        rows.extend(per_million(tracks, step, most, fewer));
    }
    rows.push(rollback(tracks, most, sizes[0]));
    rows.retain(|row| row.ours.is_some());
    rows
}

fn with_rsync(conditions: Conditions<'_>, tracks: &[Track], files: u64, (step, rival): (&str, &str)) -> Vec<Row> {
    let prefix = format!("{} files, {step}: ", grouped(files));
    let ours = of_cutover(tracks, step, files).map_or("", |track| track.contender.as_str());
    let mut rows = Rows::of(conditions, tracks).about(ours).prefix(&prefix);
    let is_judged = files == MOST_FILES && ["unchanged", "one-file"].contains(&step);
    rows.seconds(rival, conditions.on_loopback(Aim::RatioAtMost(MOST_RATIO)).filter(|_| is_judged));
    rows.wire(rival, None);
    if step != ROLLBACK {
        rows.memory(rival, is_judged.then_some(MEMORY));
    }
    rows.finish()
}

fn per_million(tracks: &[Track], step: &str, most: u64, fewer: u64) -> Vec<Row> {
    let row = |of_each: &str, unit, figure: fn(&Sample) -> Option<f64>| {
        let of = |files: u64| -> Vec<f64> {
            let track = of_cutover(tracks, step, files);
            let samples = track.map(|track| if unit == Unit::Seconds { &track.timed } else { &track.observed });
            samples.into_iter().flatten().filter_map(figure).map(|figure| figure * MILLION / files as f64).collect()
        };
        let quantity = format!("{} files, {step}: {of_each} per million files", grouped(most));
        Row::new(&quantity, unit, of(most), &with_files(fewer), of(fewer)).aim(aim(most))
    };
    vec![
        row("seconds", Unit::Seconds, |sample| Some(sample.seconds)),
        row("peak memory, client,", Unit::Memory, client_memory),
        row("peak memory, server,", Unit::Memory, server_memory),
    ]
}

fn rollback(tracks: &[Track], most: u64, least: u64) -> Row {
    let of = |files: u64| -> Vec<f64> {
        let track = of_cutover(tracks, ROLLBACK, files);
        track.into_iter().flat_map(|track| &track.timed).map(|sample| sample.seconds).collect()
    };
    let quantity = format!("{} files, {ROLLBACK}: seconds", grouped(most));
    Row::new(&quantity, Unit::Seconds, of(most), &with_files(least), of(least)).aim(aim(most))
}

fn with_files(files: u64) -> String {
    format!("Cutover with {} files", grouped(files))
}

fn aim(files: u64) -> Option<Aim> {
    (files == MOST_FILES).then_some(Aim::RatioAtMost(MOST_PER_FILE))
}

fn of_cutover<'a>(tracks: &'a [Track], step: &str, at: u64) -> Option<&'a Track> {
    let is_it = |track: &&Track| {
        track.tool == CUTOVER && track.mark.as_ref().is_some_and(|mark| mark.step == step && mark.at == at)
    };
    tracks.iter().find(is_it)
}

/// Compares courses in which a growing share of the files changes.
pub(super) fn share(conditions: Conditions<'_>, tracks: &[Track]) -> Vec<Row> {
    let ours = tracks.iter().filter(|track| track.tool == CUTOVER);
    let rows = ours.filter_map(|ours| {
        let prefix = ours.contender.strip_suffix("cutover deploy")?;
        let is_unchanged = ours.mark.as_ref()?.at == 0;
        let rival = if is_unchanged { "rsync -az --zc=zstd" } else { "rsync -az --zc=zstd --link-dest" };
        let mut rows = Rows::of(conditions, tracks).about(&ours.contender).prefix(prefix);
        rows.seconds(rival, None);
        rows.wire(rival, None);
        Some(rows.finish())
    });
    rows.flatten().collect()
}
