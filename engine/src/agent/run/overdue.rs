//! Ends the trial of a release whose runner is gone: its hooks and checks after the switch did not finish, or nobody can
//! confirm it any more.
//!
//! A runner would hold the lock. So the holder of the lock knows that the runner was ended, or that the server was
//! restarted. The site is in the same state as after a hook that failed, and the same follows.

use crate::error::Error;
use crate::release::{ReleaseId, Trial};
use crate::wire::message::Hello;

use super::order::Act;
use super::relay::relay;
use super::take_back::{WayBack, take_back};
use super::trial;
use crate::agent::conversation::Conversation;
use crate::agent::reporter::Reporter;
use crate::agent::site::{Site, marks};

/// The reason to leave the release.
const REASON: &str = "its trial did not end: the process that ran its hooks and checks was ended";

/// Treats the trial of the live release as failed, if it did not end: goes back, or tells that the release stays.
pub(crate) fn end_overdue_trial(conversation: &Conversation, hello: &Hello, site: &mut Site) -> Result<(), Error> {
    let Some(live) = site.layout.current.live()? else { return Ok(()) };
    let Some(trial) = site.releases.find(&live).and_then(|record| record.trial.clone()) else {
        return Ok(());
    };
    match trial.back_to.as_ref().filter(|to| site.releases.find(to).is_some()) {
        Some(to) => {
            conversation.warn(format!("Release {live} is left: {REASON}"));
            go_back(conversation, hello, site, to)?;
            site.lock.end_switch();
            Ok(())
        }
        None => stay(conversation, hello, site, &live, &trial),
    }
}

/// Goes back, with the hooks of a rollback if the run has any.
fn go_back(conversation: &Conversation, hello: &Hello, site: &mut Site, to: &ReleaseId) -> Result<(), Error> {
    if !hello.procedure.needs_runner() {
        let way = WayBack { to, reason: REASON, provenance: &hello.provenance, trial: None };
        return take_back(conversation, site, &way);
    }
    let ended = relay(conversation, &site.lock, hello, Act::TakeBack { to: to.clone(), reason: REASON.to_owned() });
    site.read_again()?;
    match ended {
        // Whatever failed came after the switch.
        Err(error) if site.layout.current.live()?.as_ref() == Some(to) => conversation.warn(error.with_cause()),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    Ok(())
}

/// Tells that the release stays: it is the first one, or a rollback made it live, or its hooks may fail.
fn stay(
    conversation: &Conversation,
    hello: &Hello,
    site: &mut Site,
    live: &ReleaseId,
    trial: &Trial,
) -> Result<(), Error> {
    conversation
        .warn(format!("Release {live} stays live, but {REASON}. Check it, and run its hooks after the switch again"));
    trial::end(site, live)?;
    if !trial.marks_bad {
        return Ok(());
    }
    let Site { lock, layout, releases } = site;
    marks::mark_bad(lock, layout, releases, live, REASON, &hello.provenance)
}
