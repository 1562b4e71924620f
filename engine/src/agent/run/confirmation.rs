//! The confirmation that a release waits for: the time by which the client must say that it is good.
//!
//! It stands in the record of the release before the switch, and goes when the release was confirmed or stays all the
//! same. A release that was left may keep it: the next switch to that release writes its own, or none. The time is of the clock of this boot, which also runs
//! while the machine sleeps. The runner waits for it. If the runner is gone too, nobody can confirm any more, and the
//! next run that takes the lock switches back, whatever the time is.

use std::time::Duration;

use crate::error::Error;
use crate::release::{Confirmation, ReleaseId};

use crate::agent::site::Site;
use crate::agent::site::{records, reserve};
use crate::agent::uptime;

/// The time by which a release must be confirmed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// Milliseconds of this boot.
    until: u64,
    /// The time for it.
    pub(super) time: Duration,
}

impl Deadline {
    /// Begins the time.
    pub(super) fn begin(time: Duration) -> Deadline {
        let until = uptime::millis().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Deadline { until, time }
    }

    /// Returns the confirmation for the record of a release. If it does not come, `back_to` is switched to.
    pub(super) fn confirmation(self, back_to: Option<&ReleaseId>) -> Confirmation {
        Confirmation { boot: crate::boot::id(), until: self.until, back_to: back_to.cloned() }
    }

    /// Tells whether the time is over.
    pub(super) fn is_over(self) -> bool {
        uptime::millis() >= self.until
    }

    /// Returns the time in seconds, for messages.
    pub(super) fn seconds(self) -> u64 {
        self.time.as_secs()
    }
}

/// Ends the wait: the release stays live. On a full disk the reserve gives the space, because the next run would switch
/// back from a release whose wait has not ended.
pub(super) fn end(site: &mut Site, release: &ReleaseId) -> Result<(), Error> {
    let Site { lock, layout, releases } = site;
    let record = releases.find_mut(release)?;
    if record.confirmation.take().is_none() {
        return Ok(());
    }
    reserve::write_critical(&layout.private, || records::replace(lock, layout, record))
}
