//! The agent's first answer to a deploy: the holding of the server, the live release, and the base.

use crate::error::Error;
use crate::live::LiveNow;
use crate::wire::bounds::HELD_RELEASES_MAX;
use crate::wire::message::{AgentBase, FromAgent, Holding};

use crate::agent::conversation::Conversation;
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;

use super::base::Base;
use super::order::Order;

/// The state of the deploy path when a deploy begins.
pub(super) struct Ready<'a> {
    /// The store and releases of the server.
    pub(super) holding: Holding,
    /// The base, if there is one.
    pub(super) base: Option<&'a Base>,
    /// The live release.
    pub(super) live: LiveNow,
    /// Whether the server has no content at all.
    pub(super) stores_nothing: bool,
}

impl Ready<'_> {
    /// Sends it to the client.
    pub(super) fn send(self, conversation: &Conversation, order: &Order<'_>) -> Result<(), Error> {
        let Ready { holding, base, live, stores_nothing } = self;
        let taken = match base {
            None if stores_nothing => AgentBase::Empty,
            None => AgentBase::Nothing,
            Some(base) => base.to_message(order),
        };
        let commit = base.and_then(|base| base.commit.clone());
        conversation.send(&FromAgent::Ready { holding: order.unless_believed(holding), base: taken, live, commit })
    }
}

/// Returns the holding of the server: its store and its existing releases.
pub(super) fn holding(layout: &Layout, releases: &Releases) -> Holding {
    let mut standing = releases.ids();
    standing.sort_unstable();
    // Nobody keeps more releases than this, and the oldest are left out. A client only misses a possible base then.
    standing.drain(..standing.len().saturating_sub(HELD_RELEASES_MAX));
    Holding { store: layout.store.id.clone(), releases: standing }
}
