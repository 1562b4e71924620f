//! Growth with the number of files: the same work on made trees of a thousand files to a million.

use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::number::grouped;
use crate::record::scenario::Outcome;
use crate::record::track::Mark;
use crate::scenarios::course::{Course, Tracks, lead};
use crate::source::grown::Grown;

/// The trees.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// The room of the server's filesystem for each file: the content of one copy, names and directories of several.
const SERVER_BYTES_PER_FILE: u64 = 16 << 10;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let mut tracks = Tracks::default();
    for files in SIZES.into_iter().filter(|files| *files <= lab.settings().effort.files_max) {
        let grown = Grown::make(lab.work(), files)?;
        lab.reserve(files * SERVER_BYTES_PER_FILE)?;
        lead(lab, &grown.tree, &mut tracks, |course, tracks| go(course, tracks, &grown))?;
        grown.remove()?;
    }
    Ok(Outcome::of(tracks.finish()))
}

fn go(course: &Course<'_>, tracks: &mut Tracks, grown: &Grown) -> Result<()> {
    grown.restore()?;
    let mut keep = |step: &str, came| {
        let mark = Mark { step: step.to_owned(), at: grown.files };
        tracks.keep(course, &format!("{} files, {step}", grouped(grown.files)), mark, came);
    };
    keep("first", course.first()?);
    course.settle()?;
    keep("unchanged", course.again()?);
    grown.change(1, 1)?;
    keep("one-file", course.update()?);
    course.settle()?;
    grown.rename_largest()?;
    keep("rename", course.update()?);
    keep("rollback", course.rollback()?);
    grown.restore()
}
