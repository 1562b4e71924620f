//! The deploy path: its parts (`layout`), the right to change it (`lock`), its releases (`records`, `marks`, `own`), the
//! live release (`switch`), the way back (`rollback`), and what happened (`journal`, `log`).

pub(crate) mod current;
pub(crate) mod fence;
pub(crate) mod journal;
mod journals;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod marks;
pub(crate) mod mend;
pub(crate) mod own;
pub(crate) mod parts;
pub(crate) mod records;
pub(crate) mod reserve;
pub(crate) mod rollback;
pub(crate) mod setup;
pub(crate) mod store_file;
pub(crate) mod switch;

use crate::error::Error;

use self::layout::Layout;
use self::lock::Lock;
use self::mend::mend;
use self::records::Releases;

/// A deploy path that only this run changes.
pub(crate) struct Site {
    /// The lock.
    pub(crate) lock: Lock,
    /// Its parts.
    pub(crate) layout: Layout,
    /// Its releases.
    pub(crate) releases: Releases,
}

impl Site {
    /// Reads the releases and mends them after a crash.
    pub(crate) fn hold(lock: Lock, layout: Layout) -> Result<Site, Error> {
        let releases = Releases::read(&layout)?;
        let mut site = Site { lock, layout, releases };
        mend(&site.lock, &mut site.layout, &mut site.releases)?;
        Ok(site)
    }

    /// Reads the releases again, after a change of them was interrupted.
    pub(crate) fn read_again(&mut self) -> Result<(), Error> {
        let dropped = std::mem::take(&mut self.releases.dropped);
        self.releases = Releases { dropped, ..Releases::read(&self.layout)? };
        mend(&self.lock, &mut self.layout, &mut self.releases)
    }
}
