//! Switches back from a release that waits for a confirmation which nobody can give any more.
//!
//! Whoever holds the lock knows that no runner waits: a runner would hold it. So the runner was ended, or the server
//! was restarted.

use crate::error::Error;
use crate::news::News;
use crate::wire::message::Hello;

use super::confirmation;
use super::order::Act;
use super::relay::relay;
use crate::agent::conversation::Conversation;
use crate::agent::reporter::Reporter;
use crate::agent::site::Site;
use crate::agent::site::switch::{self, Step, Switch};

/// The reason of a release that nobody confirmed.
const REASON: &str = "nobody confirmed it, and the process that waited for that was ended";

/// Switches back if the live release was never confirmed.
pub(crate) fn take_back_unconfirmed(conversation: &Conversation, hello: &Hello, site: &mut Site) -> Result<(), Error> {
    let Some(live) = site.layout.current.live()? else { return Ok(()) };
    let Some(confirmation) = site.releases.find(&live).and_then(|record| record.confirmation.clone()) else {
        return Ok(());
    };
    let Some(to) = confirmation.back_to.filter(|to| site.releases.find(to).is_some()) else {
        conversation.warn(format!("Release {live} was never confirmed, and there is no earlier one to go back to"));
        return confirmation::end(site, &live);
    };
    conversation.tell(News::Returning { from: live.clone(), to: to.clone() });
    conversation.warn(format!("Release {live} was never confirmed: {REASON}"));
    if hello.procedure.needs_runner() {
        let ended = relay(conversation, &site.lock, hello, Act::TakeBack { to, reason: REASON.to_owned() });
        site.read_again()?;
        return ended.map(drop);
    }
    let Site { lock, layout, releases } = site;
    let step = Step::Back { reason: REASON };
    let back = Switch { id: &to, step, verb: "return", provenance: &hello.provenance, confirmation: None };
    switch::switch(layout, lock, releases, back)?;
    conversation.live(&to);
    Ok(())
}
