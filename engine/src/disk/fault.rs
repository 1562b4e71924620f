//! Faults: in tests, the Nth change of a disk below a directory fails.
//!
//! In the program itself, [`point`] does nothing.

#[cfg(test)]
pub(crate) use armed::Fault;
#[cfg(test)]
pub(super) use armed::point;
#[cfg(not(test))]
pub(super) use unarmed::point;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file, directory or symlink is made, or a file is opened for writing.
    Make,
    /// A name is linked.
    Link,
    /// A name is renamed.
    Rename,
    /// A name is removed.
    Remove,
    /// Content is written.
    Write,
    /// A length is set, or space allocated.
    Length,
    /// A mode or a group is set.
    Mode,
    /// Times are set.
    Times,
    /// A file, a directory or a filesystem is synced.
    Sync,
}

#[cfg(not(test))]
mod unarmed {
    use std::os::fd::AsFd;

    use rustix::io::Errno;

    use super::Change;

    /// Allows the change.
    #[expect(clippy::unnecessary_wraps, reason = "in tests it may fail")]
    #[inline]
    pub(in crate::disk) fn point(_: Change, _: impl AsFd) -> Result<(), Errno> {
        Ok(())
    }
}

#[cfg(test)]
mod armed {
    use std::os::fd::{AsFd, AsRawFd};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use rustix::io::Errno;

    use super::Change;

    /// Only one test at a time has a fault.
    static TURN: Mutex<()> = Mutex::new(());

    /// Whether there is a plan, so that the changes of other tests do not wait for the mutex.
    static IS_ARMED: AtomicBool = AtomicBool::new(false);

    static PLAN: Mutex<Option<Plan>> = Mutex::new(None);

    struct Plan {
        below: PathBuf,
        passed: u64,
        nth: u64,
        errno: Errno,
        failed: Option<(Change, PathBuf)>,
    }

    /// A planned failure. Dropping it disarms it.
    pub(crate) struct Fault {
        _turn: MutexGuard<'static, ()>,
    }

    impl Fault {
        /// Makes the change of this number below a directory fail, counted from 1.
        pub(crate) fn arm(below: &Path, nth: u64, errno: Errno) -> Fault {
            let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            let below = below.canonicalize().unwrap();
            *plan() = Some(Plan { below, passed: 0, nth, errno, failed: None });
            IS_ARMED.store(true, Ordering::SeqCst);
            Fault { _turn: turn }
        }

        /// Returns the change that failed, and the path of its file or directory, or nothing if there were fewer
        /// changes.
        pub(crate) fn finish(self) -> Option<(Change, PathBuf)> {
            plan().as_mut().and_then(|plan| plan.failed.take())
        }
    }

    impl Drop for Fault {
        fn drop(&mut self) {
            IS_ARMED.store(false, Ordering::SeqCst);
            *plan() = None;
        }
    }

    fn plan() -> MutexGuard<'static, Option<Plan>> {
        PLAN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if this change is the planned one.
    pub(in crate::disk) fn point(change: Change, at: impl AsFd) -> Result<(), Errno> {
        if !IS_ARMED.load(Ordering::SeqCst) {
            return Ok(());
        }
        let path = std::fs::read_link(format!("/proc/self/fd/{}", at.as_fd().as_raw_fd())).unwrap_or_default();
        let mut plan = plan();
        let Some(plan) = plan.as_mut().filter(|plan| path.starts_with(&plan.below)) else { return Ok(()) };
        plan.passed += 1;
        if plan.passed != plan.nth {
            return Ok(());
        }
        plan.failed = Some((change, path));
        Err(plan.errno)
    }
}
