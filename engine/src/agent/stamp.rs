//! A look at a directory, and the moment of it: what tells whether a name came, went or changed in it since.
//!
//! No name comes, goes or changes in a directory without its ctime, which no program can set. A change within the tick of
//! the clock in which it was seen would look the same: such a look has no ctime, and is never as it was seen.

use rustix::time::{ClockId, clock_gettime};

use crate::disk::Stat;

/// A directory, as it was seen. One that cannot be known again has no ctime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its inode.
    pub(super) inode: u64,
    /// In nanoseconds.
    pub(super) ctime: i64,
}

impl Stamp {
    /// Takes what a look says.
    pub(crate) fn of(stat: &Stat) -> Stamp {
        Stamp { inode: stat.inode, ctime: stat.ctime }
    }

    /// Makes of it one that cannot be known again, unless it was as it is before this moment.
    pub(super) fn if_before(self, moment: Moment) -> Stamp {
        if self.latest() < moment.0 { self } else { Stamp::default() }
    }

    /// Returns the latest moment that its ctime may stand for, in nanoseconds.
    pub(super) fn latest(self) -> i64 {
        const SECOND: i64 = 1_000_000_000;
        if self.ctime % SECOND == 0 { self.ctime.saturating_add(SECOND - 1) } else { self.ctime }
    }

    /// Tells whether it can be known again.
    pub(super) fn is_known(self) -> bool {
        self.ctime != 0
    }
}

/// A moment by the clock that filesystems take the time of a change from: what is changed after it has no earlier ctime.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(super) i64);

impl Moment {
    /// Returns this one.
    pub(crate) fn now() -> Moment {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Moment(now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec))
    }
}
