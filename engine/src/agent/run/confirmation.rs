//! The confirmation that a release waits for: the time by which the client must say that it is good.
//!
//! It stands in the record of the release before the switch. The time is of the clock of this boot, which also runs
//! while the machine sleeps. The runner waits for it. If the runner is gone too, nobody can confirm any more, and the
//! next run that takes the lock switches back, whatever the time is.

use std::time::Duration;

use crate::error::Error;
use crate::release::{Confirmation, ReleaseId};

use crate::agent::site::Site;
use crate::agent::site::records;
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
    /// Begins the time for a release, and writes it into the record durably.
    pub(super) fn begin(
        site: &mut Site,
        release: &ReleaseId,
        back_to: Option<&ReleaseId>,
        time: Duration,
    ) -> Result<Deadline, Error> {
        let until = uptime::millis() + u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
        let confirmation = Confirmation { boot: crate::boot::id(), until, back_to: back_to.cloned() };
        write(site, release, Some(confirmation))?;
        Ok(Deadline { until, time })
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

/// Ends the wait: the release was confirmed, or left.
pub(super) fn end(site: &mut Site, release: &ReleaseId) -> Result<(), Error> {
    write(site, release, None)
}

fn write(site: &mut Site, release: &ReleaseId, confirmation: Option<Confirmation>) -> Result<(), Error> {
    let Site { lock, layout, releases } = site;
    let record = releases.find_mut(release)?;
    if record.confirmation == confirmation {
        return Ok(());
    }
    record.confirmation = confirmation;
    records::replace(lock, layout, record)
}
