//! A request to interrupt the holder of the lock: `.cutover/interrupt`, JSON.
//!
//! It names the fencing number of the holder that is meant, so it never interrupts another one. The holder looks for it
//! twice a second, and before each hook and each switch. A runner looks only there: it must not end a hook. A run that
//! asks needs no lock; a run that takes it removes an old request.
//!
//! A holder notes in the text of the lock that it runs a hook or switches, and then looks here. A run that asks writes
//! here, and then reads that text. So either the holder does not begin, or the other run sees that it is too late. After a
//! failure, and for a step back, the holder does not look: the site must not be left as it is.

use serde::{Deserialize, Serialize};

use crate::agent::json::to_json;
use crate::disk::Dir;
use crate::error::{Error, ReleaseError};

const INTERRUPT: &[u8] = b"interrupt";

/// A request to interrupt the holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Interrupt {
    /// The fencing number of the holder that is meant.
    pub(crate) fence: u64,
    /// The verb of that holder.
    pub(crate) interrupted: String,
    /// The user and host that ask, as `user@host`.
    pub(crate) by: String,
    /// The verb that they run.
    pub(crate) verb: String,
}

impl Interrupt {
    /// Writes the request.
    pub(super) fn write(&self, private: &Dir) -> Result<(), Error> {
        private.replace(INTERRUPT, to_json(self).as_bytes())
    }

    /// Returns the error of the holder that is interrupted.
    pub(crate) fn into_error(self) -> Error {
        let Interrupt { interrupted, by, verb, .. } = self;
        ReleaseError::InterruptedBy { interrupted, by, verb }.into()
    }
}

/// Reads the request, if there is one.
pub(super) fn read(private: &Dir) -> Option<Interrupt> {
    serde_json::from_slice(&private.read(INTERRUPT).ok()??).ok()
}

/// Removes the request. If that fails, it names a holder that is gone.
pub(super) fn remove(private: &Dir) {
    private.remove_file(INTERRUPT).ok();
}
