//! The kinds of failure that scripts tell apart. Each has an exit code, which the command gives it.

use std::io;

use serde::{Deserialize, Serialize};

/// What a script tells a failure by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Refused, or failed in a way that the user can mend: 1.
    Refused,
    /// Wrong usage or configuration: 2.
    Usage,
    /// The line or the server failed; trying again is safe: 3.
    Line,
    /// Damage was found: 4.
    Damage,
    /// Another deploy holds the lock: 5.
    Locked,
    /// A hook or a check failed: 6.
    Hook,
    /// The user interrupted it: 130 or 143.
    Interrupted,
    /// A fault in Cutover itself: 255.
    Bug,
}

impl Kind {
    /// Returns the kind of a system call that failed: a person mends rights and full disks, and the rest may be another way
    /// the next time.
    pub(super) fn of_io(error: &io::Error) -> Kind {
        use io::ErrorKind as Is;
        match error.kind() {
            Is::PermissionDenied
            | Is::StorageFull
            | Is::QuotaExceeded
            | Is::ReadOnlyFilesystem
            | Is::NotFound
            | Is::NotADirectory => Kind::Refused,
            _ => Kind::Line,
        }
    }
}
