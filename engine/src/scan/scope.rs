//! What holds in a directory because of those above it: rules, and how far a stat can be believed.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::disk;
use crate::scan::rules::Rules;

/// See the module's description.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The rules in force.
    pub(super) rules: &'a dyn Rules,
    /// Whether they are those of the last scan.
    pub(super) is_ruled_as_before: bool,
    /// The device that it is on.
    pub(super) device: u64,
    /// See [`disk::keeps_times`].
    pub(super) keeps_times: bool,
    /// Whether what looks as before is as before: not on what is mounted in the tree, which may be another disk now.
    pub(super) believes: bool,
}

impl<'a> Scope<'a> {
    /// Starts above the root, where no device is known yet: the root asks for its own.
    pub(super) fn above(rules: &'a dyn Rules, is_ruled_as_before: bool) -> Scope<'a> {
        Scope { rules, is_ruled_as_before, device: u64::MAX, keeps_times: false, believes: true }
    }

    /// Returns what holds in a directory on this device.
    pub(super) fn on(self, device: u64, fd: &OwnedFd) -> Result<Scope<'a>, Errno> {
        if device == self.device {
            return Ok(self);
        }
        // The root's own is the first.
        let believes = self.device == u64::MAX;
        Ok(Scope { device, keeps_times: disk::keeps_times(fd)?, believes, ..self })
    }
}
