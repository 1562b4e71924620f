//! Growth with the share of changed files: a made tree in which none to all of them get another line.

use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::number::grouped;
use crate::record::scenario::Outcome;
use crate::record::track::Mark;
use crate::scenarios::course::{Course, Tracks, lead};
use crate::source::grown::Grown;

/// The tree's files.
const FILES: u64 = 50_000;

/// As in `growth`, and room for the changed files.
const SERVER_BYTES_PER_FILE: u64 = 32 << 10;

/// Per cent of the files that change.
const SHARES: [u64; 5] = [0, 1, 10, 50, 100];

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let files = FILES.min(lab.settings().effort.files_max);
    let grown = Grown::make(lab.work(), files)?;
    lab.reserve(files * SERVER_BYTES_PER_FILE)?;
    let mut tracks = Tracks::default();
    lead(lab, &grown.tree, &mut tracks, |course, tracks| go(course, tracks, &grown))?;
    grown.remove()?;
    Ok(Outcome::of(tracks.finish()).fact("files", files))
}

fn go(course: &Course<'_>, tracks: &mut Tracks, grown: &Grown) -> Result<()> {
    grown.restore()?;
    course.first()?;
    course.settle()?;
    for share in SHARES {
        let mark = Mark { step: "changed".to_owned(), at: share };
        let job = format!("{share} % of {} files", grouped(grown.files));
        if share == 0 {
            tracks.keep(course, &job, mark, course.again()?);
            continue;
        }
        grown.change(grown.files * share / 100, share)?;
        tracks.keep(course, &job, mark, course.update()?);
        grown.restore()?;
        course.settle_back()?;
    }
    Ok(())
}
