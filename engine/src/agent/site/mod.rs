//! The deploy path: what stands where (`layout`), who may change it (`lock`), its releases (`records`), what is live (`switch`).

pub(crate) mod current;
pub(crate) mod fence;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod mend;
pub(crate) mod parts;
pub(crate) mod records;
pub(crate) mod reserve;
pub(crate) mod setup;
pub(crate) mod store_file;
pub(crate) mod switch;

use crate::error::Error;

use self::layout::Layout;
use self::lock::Lock;
use self::mend::mend;
use self::records::Releases;

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
