//! The owner of a lock that another run finds held: is it silent, and how is it ended?
//!
//! An owner that is alive shows it every few seconds. One that has not for [`SILENCE`] is stopped, stuck or lost, and
//! the run that finds it ends it, unless a hook runs: the runner may be busy for hours then, and says so in the text.
//! An owner may also be silent because its disk stood still, or its machine: so the run writes to the same disk, waits
//! for longer than the time between two signs of life, and looks again.

use std::time::Duration;

use crate::disk::Dir;
use crate::process::{self, NotEnded};

use super::text::LockText;

/// The time after which an owner without a sign of life is ended.
const SILENCE: Duration = Duration::from_secs(60);

/// The time until the second look: longer than between two signs of life.
const SECOND_LOOK: Duration = Duration::from_secs(8);

/// The time that a process has to end.
const END: Duration = Duration::from_secs(3);

/// The time that an interrupted owner has to end by itself.
const LEAVE: Duration = Duration::from_secs(10);

/// The times that an owner is granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until it is taken for silent.
    pub(super) silence: Duration,
    /// Until the second look.
    pub(super) second_look: Duration,
    /// Until it has ended.
    pub(super) end: Duration,
    /// Until it has ended by itself, after an interruption.
    pub(super) leave: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { silence: SILENCE, second_look: SECOND_LOOK, end: END, leave: LEAVE }
    }
}

impl LockText {
    /// Returns the time for which the owner has been silent, if that is too long.
    pub(super) fn silent_for(&self, patience: &Patience) -> Option<Duration> {
        // A runner that was stopped does not notice the end of its hook.
        let has_hook = self.holder.hook.is_some() && (self.hook_process.is_none() || self.running_hook().is_some());
        self.silence().filter(|silence| *silence >= patience.silence && !has_hook)
    }

    /// Returns the reason why the owner must not be interrupted, if there is one.
    pub(super) fn busy(&self) -> Option<String> {
        match &self.holder.hook {
            Some(hook) => Some(format!("it runs the hook `{hook}`")),
            None if self.switching => Some("it has begun to switch".to_owned()),
            None => None,
        }
    }

    /// Ends the owner's process.
    pub(super) fn end_owner(&self, patience: &Patience) -> Result<(), NotEnded> {
        match &self.process {
            Some(process) => process::end(process, patience.end),
            None => Err(NotEnded::Gone),
        }
    }
}

/// Writes to the disk of the lock. That waits while the disk stands still.
pub(super) fn touch(private: &Dir) {
    const PROBE: &[u8] = b".lock-probe";
    // Whether it succeeds does not matter.
    private.remove_file(PROBE).ok();
    drop(private.draft(PROBE));
}
