//! The reasons to end a hook or a check before its end, and to begin no further one.

use std::time::Instant;

use crate::cancel::Cancel;
use crate::error::Error;

use super::attendance::Attendance;
use super::trial::Deadline;
use crate::agent::site::lock::Lock;

/// The reasons that count at a place in a run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stops {
    /// Before the switch, which does not come without the client: no hook begins if the client has gone or another run
    /// interrupts. A hook that runs is ended by the user alone.
    BeforeSwitch,
    /// On trial: the user, and the end of the time for a confirmation.
    OnTrial(Option<Deadline>),
    /// At the end of a run, and by hand: the user alone.
    ByUser,
    /// After a failure: nothing.
    AfterFailure,
}

impl Stops {
    /// Notes in the lock that a hook begins. Fails if none may begin.
    pub(super) fn begin_hook(self, attendance: &Attendance, lock: &Lock, hook: &str) -> Result<(), Error> {
        match self {
            Stops::BeforeSwitch => attendance.check()?,
            _ => self.check(attendance)?,
        }
        lock.begin_hook(hook);
        // This comes after the note: either the hook does not begin, or the other run sees that it is too late.
        if let Stops::BeforeSwitch = self { lock.check_interrupt() } else { Ok(()) }
    }

    /// Tells whether a hook or a check that runs must end now.
    pub(super) fn must_end(self, attendance: &Attendance) -> bool {
        self.check(attendance).is_err()
    }

    /// Returns the reason for which something was ended.
    pub(super) fn reason(self, attendance: &Attendance) -> Error {
        self.check(attendance).err().unwrap_or(Error::Interrupted)
    }

    /// Returns the same as a request to stop.
    pub(super) fn cancel(self, attendance: &Attendance) -> Cancel {
        match self {
            Stops::OnTrial(deadline) => attendance
                .cancel()
                .part_until(deadline.and_then(|deadline| Instant::now().checked_add(deadline.left()))),
            Stops::BeforeSwitch | Stops::ByUser => attendance.cancel(),
            Stops::AfterFailure => Cancel::default(),
        }
    }

    /// Returns the reasons that end a migration: it must not stop half-way because a time is over.
    pub(super) fn of_migration(self) -> Stops {
        if let Stops::OnTrial(_) = self { Stops::OnTrial(None) } else { self }
    }

    /// Fails if no further work may begin.
    pub(super) fn check(self, attendance: &Attendance) -> Result<(), Error> {
        match self {
            Stops::AfterFailure => Ok(()),
            _ if attendance.is_stopped() => Err(Error::Interrupted),
            Stops::OnTrial(Some(deadline)) if deadline.is_over() => Err(deadline.error()),
            _ => Ok(()),
        }
    }
}
