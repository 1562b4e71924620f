//! B after A, when all mtimes are new, as after a fresh checkout: both tools must read every file.
//!
//! rsync's honest counterpart is a new directory beside the old one with hardlinks to what did not change, found by
//! checksum.

use crate::contest::{Job, compete};
use crate::difference;
use crate::failure::Result;
use crate::lab::Lab;
use crate::record::Outcome;
use crate::row::{Aim, Rows};
use crate::scenario::Scenario;

/// The rival.
const RSYNC: &str = "rsync -rlpzc --link-dest";

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let trees = lab.trees();
    let tracks = compete(lab, &Job::next(Scenario::Next, &trees.a, &trees.b))?;
    let mut rows = Rows::of(lab, &tracks);
    let on_link = rows.on_line(40.0, 100.0, Aim::RatioAtMost(1.0 / 12.0));
    rows.seconds(RSYNC, on_link.or(rows.on_loopback(Aim::RatioAtMost(1.0 / 6.0))));
    rows.wire(RSYNC, Some(Aim::OursAtMost(290_000.0)));
    rows.payload(RSYNC, None);
    rows.costs(RSYNC);
    let mut outcome = Outcome { rows: rows.finish(), tracks, ..Outcome::default() };
    difference::note(&mut outcome, &trees.a.path, &trees.b.path)?;
    Ok(outcome)
}
