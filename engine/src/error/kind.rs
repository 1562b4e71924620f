//! The kinds of failure for scripts. The command has an exit code for each.

use std::io;

use serde::{Deserialize, Serialize};

use super::id::ErrorId;

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A refusal or a failure that the user can mend: 1.
    Refused,
    /// Wrong usage or configuration: 2.
    Usage,
    /// A failed connection or server; another try is safe: 3.
    Line,
    /// Damage: 4.
    Damage,
    /// Another run holds the lock: 5.
    Locked,
    /// A hook or a check failed: 6.
    Hook,
    /// An interrupt by the user: 130 or 143.
    Interrupted,
    /// A fault in Cutover itself: 255.
    Bug,
}

impl Kind {
    /// Returns the kind of a failed system call: a person mends permissions and full disks; for anything else another
    /// try may help.
    pub(super) fn of_io(error: &io::Error) -> Kind {
        match ErrorId::of_io(error) {
            ErrorId::SystemCallFailed | ErrorId::TooManyProcesses => Kind::Line,
            _ => Kind::Refused,
        }
    }
}
