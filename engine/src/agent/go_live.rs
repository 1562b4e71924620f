//! Makes a release live: the one way for a deploy, a switch and a rollback.
//!
//! Without hooks, checks and confirmation the agent switches by itself. Otherwise a runner does all of it.

use crate::error::Error;
use crate::release::ReleaseId;
use crate::wire::message::Hello;

use super::conversation::Conversation;
use super::reporter::Reporter;
use super::run::{Act, GoLive, relay};
use super::site::Site;
use super::site::switch::{self, SwitchOutcome};

/// Makes a release live.
pub(crate) fn go_live(
    conversation: &Conversation,
    hello: &Hello,
    site: &mut Site,
    id: &ReleaseId,
    is_rollback: bool,
) -> Result<SwitchOutcome, Error> {
    if hello.procedure.needs_runner() && site.layout.current.live()?.as_ref() != Some(id) {
        conversation.note_switching(id);
        let act = Act::GoLive(GoLive { release: id.clone(), is_rollback });
        let gone_live = relay(conversation, &site.lock, hello, act);
        // The runner wrote records.
        site.read_again()?;
        return gone_live;
    }
    conversation.begin_switch(id)?;
    let Site { lock, layout, releases } = site;
    let switched = switch::switch(layout, lock, releases, id, hello.request.verb(), &hello.provenance)?;
    conversation.live(id);
    Ok(switched)
}
