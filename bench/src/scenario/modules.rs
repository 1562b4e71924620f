//! The packages of a JavaScript application, one of them upgraded, each time installed afresh: all mtimes are new.

use crate::contest::{Job, compete};
use crate::difference;
use crate::failure::Result;
use crate::lab::Lab;
use crate::made;
use crate::record::Outcome;
use crate::row::Rows;
use crate::scenario::Scenario;

/// The rival.
const RSYNC: &str = "rsync -rlpzc --link-dest";

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let [before, after] = match made::modules(lab) {
        Ok(trees) => trees,
        Err(failure) => return Ok(Outcome::skipped(&format!("its packages cannot be had from npm: {failure}"))),
    };
    lab.reserve(8 * before.bytes)?;
    let tracks = compete(lab, &Job::next(Scenario::Modules, &before, &after))?;
    let mut rows = Rows::of(lab, &tracks);
    rows.seconds(RSYNC, None);
    rows.wire(RSYNC, None);
    rows.beyond_ssh(RSYNC, None);
    rows.costs(RSYNC);
    let facts = [("files", after.files), ("bytes", after.bytes)].map(|(name, value)| (name.to_owned(), value)).into();
    let mut outcome = Outcome { rows: rows.finish(), tracks, facts, ..Outcome::default() };
    difference::note(&mut outcome, &before.path, &after.path)?;
    Ok(outcome)
}
