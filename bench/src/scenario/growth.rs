//! What grows with the number of files, and what does not: the same work on made trees of a thousand files to a million.

use crate::cutover::{self, text_of};
use crate::failure::Result;
use crate::lab::Lab;
use crate::made::Grown;
use crate::record::{Mark, Outcome, Sample, Track};
use crate::row::{Aim, Row, Rows, Unit};
use crate::scenario::course::{Course, Runner, Tracks, lead};
use crate::table::grouped;

/// The trees.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// What the server's filesystem must hold for each file: the content of one copy, names and directories of several.
const SERVER_BYTES_PER_FILE: u64 = 16 << 10;

/// What each step is compared with.
const STEPS: [(&str, &str, &str); 5] = [
    ("first", "cutover deploy", "rsync -az --zc=zstd"),
    ("unchanged", "cutover deploy", "rsync -az --zc=zstd"),
    ("one-file", "cutover deploy", "rsync -az --zc=zstd --link-dest"),
    ("rename", "cutover deploy", "rsync -az --zc=zstd --link-dest"),
    ("rollback", "cutover rollback", "ssh, ln and mv"),
];

/// Of the largest trees, and what they should come to.
const MOST_FILES: u64 = 1_000_000;
const MOST_RATIO: f64 = 1.0 / 5.0;
const MOST_PER_FILE: f64 = 1.3;
const CLIENT_MEMORY: f64 = 500.0 * 1024.0 * 1024.0;
const AGENT_MEMORY: f64 = 250.0 * 1024.0 * 1024.0;

/// The least that figures per file are compared with.
const LEAST_FILES: u64 = 10_000;

/// Figures per file are told of so many.
const MILLION: f64 = 1e6;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let mut tracks = Tracks::default();
    let sizes: Vec<u64> = SIZES.into_iter().filter(|files| *files <= lab.settings().files_max).collect();
    for &files in &sizes {
        let grown = Grown::make(lab, files)?;
        lab.reserve(files * SERVER_BYTES_PER_FILE)?;
        lead(lab, &grown.tree, &mut tracks, |course, tracks| go(course, tracks, &grown))?;
        grown.remove()?;
    }
    let tracks = tracks.finish();
    let rows = rows(lab, &tracks, &sizes);
    Ok(Outcome { rows, tracks, ..Outcome::default() })
}

fn go(course: &Course<'_>, tracks: &mut Tracks, grown: &Grown) -> Result<()> {
    grown.restore()?;
    let mut keep = |step: &str, came| {
        let mark = Mark { step: step.to_owned(), at: grown.files };
        tracks.keep(course, &job(grown.files, step), mark, came);
    };
    keep("first", course.first()?);
    course.settle()?;
    keep("unchanged", course.again()?);
    grown.change(1, 1)?;
    let changed = course.update()?;
    if course.runner == Runner::Cutover {
        let before = text_of(&changed.1, "previous")?.to_owned();
        let (site, lab, line) = (course.site(), course.lab, course.line);
        keep("one-file", changed);
        keep("status", ("cutover status", site.ask(lab, line, &["status"])?));
        keep("releases", ("cutover releases", site.ask(lab, line, &["releases"])?));
        keep("diff", ("cutover diff", site.ask(lab, line, &["diff", &before])?));
    } else {
        keep("one-file", changed);
    }
    course.settle()?;
    grown.rename_largest()?;
    keep("rename", course.update()?);
    keep("rollback", course.rollback()?);
    if course.runner == Runner::Cutover {
        keep("cleanup", ("cutover cleanup", course.site().ask(course.lab, course.line, &["cleanup"])?));
    }
    grown.restore()
}

/// What stands before the contenders' names.
fn job(files: u64, step: &str) -> String {
    format!("{} files, {step}", grouped(files))
}

fn rows(lab: &Lab, tracks: &[Track], sizes: &[u64]) -> Vec<Row> {
    let Some(&most) = sizes.last() else { return Vec::new() };
    let is_full = most == MOST_FILES;
    let mut all = Vec::new();
    for (step, ours, rival) in STEPS {
        let (about, prefix) = (format!("{}: {ours}", job(most, step)), format!("{}: ", job(most, step)));
        let mut rows = Rows::of(lab, tracks).about(&about).prefix(&prefix);
        let is_judged = is_full && ["unchanged", "one-file"].contains(&step);
        rows.seconds(rival, rows.on_loopback(Aim::RatioAtMost(MOST_RATIO)).filter(|_| is_judged));
        rows.wire(rival, None);
        if step != "rollback" {
            let limits = is_judged.then_some((CLIENT_MEMORY, AGENT_MEMORY));
            rows.memory_of_both(rival, limits);
        }
        all.extend(rows.finish());
    }
    // With fewer, what every process and every login costs by itself would outweigh the files.
    let Some(&fewer) = sizes.iter().rev().nth(1).filter(|fewer| **fewer >= LEAST_FILES) else { return all };
    let aim = |row: Row| if is_full { row.aim(Aim::RatioAtMost(MOST_PER_FILE)) } else { row };
    for (step, ours, _) in STEPS.into_iter().filter(|(step, ..)| *step != "rollback") {
        let per_million = |what: &str, unit, figure: fn(&Sample) -> Option<f64>, is_timed: bool| {
            let of = |files: u64| {
                let name = format!("{}: {ours}", job(files, step));
                let track = tracks.iter().find(|track| track.contender == name && track.tool == cutover::NAME);
                let samples = track.map(|track| if is_timed { &track.timed } else { &track.observed });
                let figures = samples.into_iter().flatten().filter_map(figure);
                figures.map(|figure| figure * MILLION / files as f64).collect::<Vec<f64>>()
            };
            let what = format!("{}: {what} per million files", job(most, step));
            Row::new(&what, unit, of(most), &format!("Cutover with {} files", grouped(fewer)), of(fewer))
        };
        all.push(aim(per_million("seconds", Unit::Seconds, |sample| Some(sample.seconds), true)));
        let client = |sample: &Sample| Some(sample.client_peak_bytes as f64);
        all.push(aim(per_million("peak memory, client,", Unit::Memory, client, false)));
        let server = |sample: &Sample| sample.server_peaks.map(|peaks| peaks.together_bytes as f64);
        all.push(aim(per_million("peak memory, server,", Unit::Memory, server, false)));
    }
    all.extend(rollback(tracks, most, sizes).map(aim));
    all.retain(|row| row.ours.is_some());
    all
}

/// A rollback must not know how many files there are.
fn rollback(tracks: &[Track], most: u64, sizes: &[u64]) -> Option<Row> {
    let least = *sizes.first()?;
    let of = |files: u64| {
        let name = format!("{}: cutover rollback", job(files, "rollback"));
        let track = tracks.iter().find(|track| track.contender == name);
        track.map(|track| track.timed.iter().map(|sample| sample.seconds).collect::<Vec<f64>>()).unwrap_or_default()
    };
    let (what, than) =
        (format!("{}: seconds", job(most, "rollback")), format!("Cutover with {} files", grouped(least)));
    Some(Row::new(&what, Unit::Seconds, of(most), &than, of(least)))
}
