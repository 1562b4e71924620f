//! Trees unlike any code: how much longer they take per byte, or per file, than the typical tree.

use crate::aside::remove;
use crate::contest::{Job, compete};
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::record::scenario::Outcome;
use crate::record::track::Track;
use crate::scenario::Scenario;
use crate::source::made;
use crate::source::random::{Content, File, ensure_files};
use crate::source::tree::Tree;

/// The size of each tree of few files.
const BYTES: u64 = 1_000_000_000;

/// Tiny files.
const FILES: u64 = 200_000;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    lab.reserve(4 * BYTES)?;
    let mut tracks = first(lab, &lab.trees().a, "typical: ")?;
    for (label, name) in [
        ("zeros: ", "worst-zeros"),
        ("one block: ", "worst-block"),
        ("random: ", "worst-random"),
        ("tiny files: ", "worst-tiny"),
    ] {
        let path = made::path(lab.work(), name)?;
        tracks.extend(first(lab, &ensure_files(&path, files(name))?, label)?);
        // They are large and quickly made again.
        remove(&path)?;
    }
    Ok(Outcome::of(tracks).fact("bytes", BYTES).fact("tiny_files", FILES))
}

fn first(lab: &Lab, tree: &Tree, label: &str) -> Result<Vec<Track>> {
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
