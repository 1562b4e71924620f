//! What the agent asks for: the entries whose content is lacking.

use crate::error::Error;
use crate::wire::message::{FromAgent, Lacks};

use crate::agent::receive::WantedObjects;
use crate::agent::talk::Talk;

/// Says what is lacking, and of which files a beginning is there.
pub(super) fn send_lacks(
    talk: &Talk,
    wanted: &WantedObjects,
    partial: Vec<(u32, u64)>,
    after_commits: u32,
) -> Result<(), Error> {
    let runs = Lacks::pack(wanted.missing_entries());
    talk.send(&FromAgent::Lacks(Lacks { after_commits, runs, partial }))
}
