//! Locks of open files and directories: `flock`, which the kernel lets go of when the process ends.

use std::os::fd::AsFd;

use rustix::fs;
use rustix::io::Errno;

/// Tells whether somebody holds the exclusive lock of an open file or directory, without keeping others from it.
pub(crate) fn is_locked(file: impl AsFd) -> Result<bool, Errno> {
    try_flock(file, fs::FlockOperation::NonBlockingLockShared).map(|is_taken| !is_taken)
}

/// Takes an exclusive lock on an open file or directory, if nobody holds it. Says whether it was taken. The kernel lets go of
/// it when the process ends, however it ends.
pub(crate) fn try_lock(file: impl AsFd) -> Result<bool, Errno> {
    try_flock(file, fs::FlockOperation::NonBlockingLockExclusive)
}

fn try_flock(file: impl AsFd, operation: fs::FlockOperation) -> Result<bool, Errno> {
    match fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}
