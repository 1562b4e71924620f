//! The agent's first answer to a deploy: what the server holds, what is live, and the base that it takes.

use crate::error::Error;
use crate::live::LiveNow;
use crate::wire::bounds::HELD_RELEASES_MAX;
use crate::wire::message::{AgentBase, FromAgent, Holding};

use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::agent::talk::Talk;

use super::base::Base;
use super::order::Order;

/// How things stand when a deploy begins.
pub(super) struct Ready<'a> {
    /// What the server holds.
    pub(super) holding: Holding,
    /// The base, where there is one.
    pub(super) base: Option<&'a Base>,
    /// What is live.
    pub(super) live: LiveNow,
    /// Whether the server has no content at all.
    pub(super) stores_nothing: bool,
}

impl Ready<'_> {
    /// Says so.
    pub(super) fn send(self, talk: &Talk, order: &Order<'_>) -> Result<(), Error> {
        let Ready { holding, base, live, stores_nothing } = self;
        let taken = match base {
            None if stores_nothing => AgentBase::Empty,
            None => AgentBase::Nothing,
            Some(base) => base.taken(order),
        };
        let commit = base.and_then(|base| base.commit.clone());
        talk.send(&FromAgent::Ready { holding: order.unless_believed(holding), base: taken, live, commit })
    }
}

/// Returns what the server holds: its store, and the releases that stand.
pub(super) fn holding(layout: &Layout, releases: &Releases) -> Holding {
    let mut standing = releases.ids();
    standing.sort_unstable();
    // Of more than anybody keeps the newest: what is not told is only not believed in.
    standing.drain(..standing.len().saturating_sub(HELD_RELEASES_MAX));
    Holding { store: layout.store.id.clone(), releases: standing }
}
