//! The message that names the lacking content.

use crate::error::Error;
use crate::wire::message::{FromAgent, Lacks};

use crate::agent::conversation::Conversation;
use crate::agent::receive::WantedObjects;

/// Sends the entries whose content is lacking, and those of which the beginning is there.
pub(super) fn send_lacks(
    conversation: &Conversation,
    wanted: &WantedObjects,
    partial: Vec<(u32, u64)>,
    after_commits: u32,
) -> Result<(), Error> {
    let runs = Lacks::pack(wanted.missing_entries());
    conversation.send(&FromAgent::Lacks(Lacks { after_commits, runs, partial }))
}
