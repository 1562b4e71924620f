//! A large file of random bytes into which a little is put, in the middle.

use crate::contest::{Contender, Job, installed, race};
use crate::cutover;
use crate::difference;
use crate::failure::Result;
use crate::lab::Lab;
use crate::made::{self, Content, File};
use crate::record::Outcome;
use crate::row::{Aim, Rows};
use crate::scenario::Scenario;

/// The file's size.
const BYTES: u64 = 256_000_000;

/// What is put in.
const INSERTED: u64 = 1024;

/// The rival: into a new file beside the old one. Over the old one, `rsync -a`, it takes longer.
const RSYNC: &str = "rsync -az --link-dest";

/// What is done to the client in between.
const WITHOUT_CACHE: &str = ", content cache removed";

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    lab.reserve(8 * BYTES)?;
    let file = |bytes, content| std::iter::once(File { path: "data.bin".to_owned(), bytes, content });
    let before = made::ensure_files(&made::path(lab, "insert-before")?, file(BYTES, Content::Random(256)))?;
    let content = Content::Inserted { seed: 256, after: BYTES / 2, inserted: INSERTED };
    let after = made::ensure_files(&made::path(lab, "insert-after")?, file(BYTES + INSERTED, content))?;
    let job = Job::next(Scenario::Insert, &before, &after);
    let (tools, skipped) = installed(lab, Scenario::Insert);
    let mut contenders: Vec<Contender<'_>> = tools.iter().map(|tool| Contender::of(lab, &**tool, &job)).collect();
    for tool in tools.iter().filter(|tool| tool.name() == cutover::NAME) {
        contenders.push(Contender::with(lab, &**tool, &job, WITHOUT_CACHE, |place| {
            made::remove(&place.client.join(cutover::CONTENT_CACHE))
        }));
    }
    let mut tracks = race(lab, &contenders)?;
    tracks.extend(skipped);

    let mut rows = Rows::of(lab, &tracks);
    rows.beyond_ssh(RSYNC, Some(Aim::OursAtMost(4000.0)));
    rows.seconds(RSYNC, None);
    rows.wire(RSYNC, None);
    rows.costs(RSYNC);
    let mut without =
        Rows::of(lab, &tracks).about(&format!("cutover deploy{WITHOUT_CACHE}")).words("without the content cache: ");
    without.beyond_ssh(RSYNC, Some(Aim::OursAtMost(16_000.0)));
    without.seconds(RSYNC, None);
    let rows = rows.finish().into_iter().chain(without.finish()).collect();
    let mut outcome = Outcome { rows, tracks, ..Outcome::default() };
    difference::note(&mut outcome, &before.path, &after.path)?;
    Ok(outcome)
}
