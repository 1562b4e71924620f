//! The first deploy of A into an empty target, by a client without state.
//!
//! Cutover's is durable when it returns and rsync's is not, so the time of a `syncfs` after each run is measured too. Each run begins on an empty
//! filesystem: on one that holds earlier copies, all take longer with each.

use crate::contest::{Job, compete};
use crate::difference;
use crate::failure::Result;
use crate::lab::Lab;
use crate::record::Outcome;
use crate::row::{Aim, Rows};
use crate::scenario::Scenario;

pub(super) fn run(lab: &Lab) -> Result<Outcome> {
    let tracks = compete(lab, &Job::first(Scenario::First, &lab.trees().a))?;
    let mut rows = Rows::of(lab, &tracks);
    rows.seconds("rsync -a", rows.on_loopback(Aim::RatioAtMost(1.0 / 1.2)));
    rows.durable_seconds("rsync -a", None);
    rows.seconds("rsync -az --zc=zstd", rows.at_rate(100.0, Aim::RatioAtMost(1.0)));
    rows.wire("rsync -az --zc=zstd", rows.at_rate(100.0, Aim::OursAtMost(175e6)));
    rows.payload("rsync -az --zc=zstd", None);
    rows.costs("rsync -a");
    let facts = [(difference::FACT.to_owned(), lab.trees().a.bytes)].into();
    Ok(Outcome { rows: rows.finish(), tracks, facts, ..Outcome::default() })
}
