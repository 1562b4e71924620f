//! What is unlike any code: how much longer it takes per byte, or per file, than the typical tree.

use crate::contest::{Job, compete};
use crate::failure::Result;
use crate::lab::Lab;
use crate::made::{self, Content, File};
use crate::record::{Outcome, Track};
use crate::row::{Aim, Rows};
use crate::scenario::Scenario;
use crate::tree::Tree;

/// The size of each tree of few files.
const BYTES: u64 = 1_000_000_000;

/// Tiny files.
const FILES: u64 = 200_000;

/// How many times as long it may take.
const MOST: f64 = 3.0;

/// A billion bytes, or a million files: figures that can be read.
const GIGABYTE: f64 = 1e9;
const MILLION: f64 = 1e6;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    lab.reserve(4 * BYTES)?;
    let typical = &lab.trees().a;
    let mut outcome = Outcome { tracks: first(lab, typical, "typical: ")?, ..Outcome::default() };
    let seconds = |tracks: &[Track], label: &str| {
        let name = format!("{label}cutover deploy");
        let track = tracks.iter().find(|track| track.contender == name);
        track.and_then(|track| track.seconds(|sample| Some(sample.seconds))).map(|summary| summary.median)
    };
    let typical_seconds = seconds(&outcome.tracks, "typical: ");
    for (label, name) in [
        ("zeros: ", "worst-zeros"),
        ("one block: ", "worst-block"),
        ("random: ", "worst-random"),
        ("tiny files: ", "worst-tiny"),
    ] {
        let path = made::path(lab, name)?;
        let tree = made::ensure_files(&path, files(name))?;
        let tracks = first(lab, &tree, label)?;
        if let Some((ours, theirs)) = seconds(&tracks, label).zip(typical_seconds) {
            let (what, ours, theirs) = if name == "worst-tiny" {
                let of = |seconds: f64, tree: &Tree| seconds * MILLION / tree.files as f64;
                ("seconds per million files", of(ours, &tree), of(theirs, typical))
            } else {
                let of = |seconds: f64, tree: &Tree| seconds * GIGABYTE / tree.bytes as f64;
                ("seconds per GB", of(ours, &tree), of(theirs, typical))
            };
            let mut rows = Rows::of(lab, &tracks);
            rows.worked_out(&format!("{label}{what}"), ours, "the typical tree", theirs, Aim::RatioAtMost(MOST));
            outcome.rows.extend(rows.finish());
        }
        outcome.tracks.extend(tracks);
        // They are large and quickly made again.
        made::remove(&path)?;
    }
    Ok(outcome)
}

fn first(lab: &Lab, tree: &Tree, label: &'static str) -> Result<Vec<Track>> {
    compete(lab, &Job { label, ..Job::first(Scenario::Worst, tree) })
}

fn files(name: &str) -> Box<dyn Iterator<Item = File>> {
    let one = |content| Box::new(std::iter::once(File { path: "data.bin".to_owned(), bytes: BYTES, content }));
    match name {
        "worst-zeros" => one(Content::Zeros),
        "worst-block" => one(Content::Block),
        "worst-random" => one(Content::Random(9)),
        // Two hundred in each of a thousand directories, no two alike.
        _ => Box::new((0..FILES).map(|number| File {
            path: format!("{:03}/{number:06}", number / 200),
            bytes: 12,
            content: Content::Random(number),
        })),
    }
}
