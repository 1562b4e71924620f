//! Settings of this process for work on a disk: a umask, and descriptors.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

/// Sets the usual umask, whatever the login set: with a stricter one, the mode of each new file would have to be
/// changed.
pub(crate) fn set_usual_umask() {
    rustix::process::umask(Mode::from_raw_mode(0o022));
}

/// Raises the limit of open files to its maximum: Cutover holds directories open, and some servers start with a limit
/// of 1,024.
pub(crate) fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // If the limit cannot be raised, it may still suffice.
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}
