//! Locks on open files and directories: `flock`, which the kernel releases when the process ends.

use std::os::fd::AsFd;

use rustix::fs;
use rustix::io::Errno;

/// Returns whether another process holds the exclusive lock, without keeping others from it.
pub(crate) fn is_locked(file: impl AsFd) -> Result<bool, Errno> {
    try_flock(file, fs::FlockOperation::NonBlockingLockShared).map(|is_taken| !is_taken)
}

/// Locks an open file or directory exclusively. Returns false if another process holds the lock. The kernel releases
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
