//! What this process asks of the system before it works on a disk: a umask, and descriptors.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

/// Takes the usual umask, whatever the login gave this process: a stricter one would make it change the mode of each file.
pub(crate) fn take_usual_umask() {
    rustix::process::umask(Mode::from_raw_mode(0o022));
}

/// Lets this process have as many files open as it may ask for: directories are held open, and some servers begin with
/// no more than 1,024.
pub(crate) fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Where it cannot be raised it may suffice all the same.
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}
