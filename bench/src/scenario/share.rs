//! What grows with the share of the files that changed: a made tree in which none to all of them get another line.

use crate::failure::Result;
use crate::lab::Lab;
use crate::made::Grown;
use crate::record::{Mark, Outcome};
use crate::row::Rows;
use crate::scenario::course::{Course, Tracks, lead};
use crate::table::grouped;

/// The tree's files.
const FILES: u64 = 50_000;

/// As in `growth`, and room for what changed.
const SERVER_BYTES_PER_FILE: u64 = 32 << 10;

/// Per cent of the files that change.
const SHARES: [u64; 5] = [0, 1, 10, 50, 100];

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let files = FILES.min(lab.settings().files_max);
    let grown = Grown::make(lab, files)?;
    lab.reserve(files * SERVER_BYTES_PER_FILE)?;
    let mut tracks = Tracks::default();
    lead(lab, &grown.tree, &mut tracks, |course, tracks| go(course, tracks, &grown))?;
    grown.remove()?;
    let tracks = tracks.finish();
    let mut rows = Vec::new();
    for share in SHARES {
        let (about, prefix) = (format!("{}: cutover deploy", job(files, share)), format!("{}: ", job(files, share)));
        let mut of = Rows::of(lab, &tracks).about(&about).prefix(&prefix);
        let rival = if share == 0 { "rsync -az --zc=zstd" } else { "rsync -az --zc=zstd --link-dest" };
        of.seconds(rival, None);
        of.wire(rival, None);
        rows.extend(of.finish());
    }
    Ok(Outcome { rows, tracks, facts: [("files".to_owned(), files)].into(), ..Outcome::default() })
}

fn go(course: &Course<'_>, tracks: &mut Tracks, grown: &Grown) -> Result<()> {
    grown.restore()?;
    course.first()?;
    course.settle()?;
    for share in SHARES {
        let mark = Mark { step: "changed".to_owned(), at: share };
        let job = job(grown.files, share);
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

/// What stands before the contenders' names.
fn job(files: u64, share: u64) -> String {
    format!("{share} % of {} files", grouped(files))
}
