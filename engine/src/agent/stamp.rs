//! The stamp of a directory: inode and ctime. It shows whether a name in the directory has changed since.
//!
//! No name in a directory changes without its ctime, and no program can set a ctime. A change within the clock tick
//! of the stamp would not show: such a stamp has no ctime, and never matches.

use rustix::time::{ClockId, clock_gettime};

use crate::disk::Stat;

/// The stamp of a directory. A stamp that never matches has no ctime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its inode.
    pub(super) inode: u64,
    /// Its ctime in nanoseconds.
    pub(super) ctime: i64,
}

impl Stamp {
    /// Returns the stamp in a stat.
    pub(crate) fn of(stat: &Stat) -> Stamp {
        Stamp { inode: stat.inode, ctime: stat.ctime }
    }

    /// Returns the stamp if the directory last changed before this moment, else one that never matches.
    pub(super) fn if_before(self, moment: Moment) -> Stamp {
        if self.latest() < moment.0 { self } else { Stamp::default() }
    }

    /// Returns the latest moment that the ctime may stand for, in nanoseconds.
    pub(super) fn latest(self) -> i64 {
        const SECOND: i64 = 1_000_000_000;
        if self.ctime % SECOND == 0 { self.ctime.saturating_add(SECOND - 1) } else { self.ctime }
    }

    /// Tells whether the stamp can match.
    pub(super) fn is_known(self) -> bool {
        self.ctime != 0
    }
}

/// A moment of the clock from which filesystems take ctimes: no later change has an earlier ctime.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(super) i64);

impl Moment {
    /// Returns the present moment.
    pub(crate) fn now() -> Moment {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Moment(now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec))
    }
}
