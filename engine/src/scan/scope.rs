//! The state that a directory inherits from those above it: the rules, and the trust in stats.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::disk;
use crate::scan::rules::Rules;

/// See the module's description.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The rules in force.
    pub(super) rules: &'a dyn Rules,
    /// Whether the rules are those of the last scan.
    pub(super) has_same_rules: bool,
    /// The device of the directory.
    pub(super) device: u64,
    /// See [`disk::keeps_times`].
    pub(super) keeps_times: bool,
    /// Whether an equal stat means an unchanged entry. Not on a filesystem that is mounted in the tree: another disk
    /// may be there now.
    pub(super) trusts_stats: bool,
}

impl<'a> Scope<'a> {
    /// Starts above the root, where no device is known yet: the root asks for its own.
    pub(super) fn above(rules: &'a dyn Rules, has_same_rules: bool) -> Scope<'a> {
        Scope { rules, has_same_rules, device: u64::MAX, keeps_times: false, trusts_stats: true }
    }

    /// Returns the scope of a directory on this device.
    pub(super) fn on(self, device: u64, fd: &OwnedFd) -> Result<Scope<'a>, Errno> {
        if device == self.device {
            return Ok(self);
        }
        // The device of the root is the first.
        let trusts_stats = self.device == u64::MAX;
        Ok(Scope { device, keeps_times: disk::keeps_times(fd)?, trusts_stats, ..self })
    }
}
