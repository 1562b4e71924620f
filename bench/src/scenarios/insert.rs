//! A large file of random bytes into which a little is put, in the middle; once more by a client without its content cache.

use crate::contest::{Deploy, Job, race};
use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::record::logins::CUTOVER;
use crate::record::scenario::Outcome;
use crate::scenario::Scenario;
use crate::source::made;
use crate::source::random::{Content, File, ensure_files};
use crate::tools::cutover::CONTENT_CACHE;
use crate::tools::joining;

/// The file's size.
const BYTES: u64 = 256_000_000;

/// How much is put in.
const INSERTED: u64 = 1024;

/// Stands behind the name of a client whose content cache was removed.
const WITHOUT_CACHE: &str = ", content cache removed";

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    lab.reserve(8 * BYTES)?;
    let file = |bytes, content| std::iter::once(File { path: "data.bin".to_owned(), bytes, content });
    let path = |name| made::path(lab.work(), name);
    let before = ensure_files(&path("insert-before")?, file(BYTES, Content::Random(256)))?;
    let content = Content::Inserted { seed: 256, after: BYTES / 2, inserted: INSERTED };
    let after = ensure_files(&path("insert-after")?, file(BYTES + INSERTED, content))?;
    let job = Job::next(Scenario::Insert, &before, &after);
    let tools = joining(Scenario::Insert, &lab.settings().variants);
    let mut contenders: Vec<Deploy<'_>> = tools.iter().map(|tool| Deploy::of(lab, &**tool, &job)).collect();
    for tool in tools.iter().filter(|tool| tool.name() == CUTOVER) {
        contenders.push(Deploy::of(lab, &**tool, &job).without(CONTENT_CACHE, WITHOUT_CACHE));
    }
    race(lab, &contenders).map(Outcome::of)
}
