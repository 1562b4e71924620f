//! A deploy path of which this run holds the lock: nobody else changes it.

use crate::error::Error;

use super::layout::Layout;
use super::lock::Lock;
use super::mend::mend;
use super::records::Releases;

/// A deploy path that this run alone changes.
pub(crate) struct Site {
    /// The lock.
    pub(crate) lock: Lock,
    /// What stands where.
    pub(crate) layout: Layout,
    /// The releases that stand.
    pub(crate) releases: Releases,
}

impl Site {
    /// Reads the releases, and mends what a crash left of them.
    pub(crate) fn hold(lock: Lock, layout: Layout) -> Result<Site, Error> {
        let releases = Releases::read(&layout)?;
        let mut site = Site { lock, layout, releases };
        mend(&site.lock, &mut site.layout, &mut site.releases)?;
        Ok(site)
    }

    /// Reads the releases anew, where a change of them broke off.
    pub(crate) fn read_again(&mut self) -> Result<(), Error> {
        self.releases = Releases::read(&self.layout)?;
        mend(&self.lock, &mut self.layout, &mut self.releases)
    }
}
