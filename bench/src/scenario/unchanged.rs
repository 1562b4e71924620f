//! The same tree again: the client knows what it deployed, rsync finds equal mtimes. Neither reads a file.

use crate::contest::{Job, compete};
use crate::difference;
use crate::failure::Result;
use crate::lab::Lab;
use crate::record::Outcome;
use crate::row::{Aim, Rows};
use crate::scenario::Scenario;
use crate::tool::Change;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let tree = &lab.trees().a;
    let mut job = Job::next(Scenario::Unchanged, tree, tree);
    job.change = Change { is_nothing: true, ..job.change };
    let tracks = compete(lab, &job)?;
    let mut rows = Rows::of(lab, &tracks);
    rows.seconds("rsync -a", rows.on_loopback(Aim::RatioAtMost(1.0 / 5.0)));
    rows.beyond_ssh("rsync -a", Some(Aim::OursAtMost(500.0)));
    rows.wire("rsync -a", None);
    rows.costs("rsync -a");
    let facts = [(difference::FACT.to_owned(), 0)].into();
    Ok(Outcome { rows: rows.finish(), tracks, facts, ..Outcome::default() })
}
