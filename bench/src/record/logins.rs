//! The cost of a login, which is SSH's and no tool's.

use serde::{Deserialize, Serialize};

use crate::record::sample::Sample;

/// The tool with an SSH client of its own; the others run the system's.
pub(crate) const CUTOVER: &str = "cutover";

/// Logins that end where a session is refused, and one with a session.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Logins {
    /// Of the system's `ssh`.
    pub(crate) openssh: Sample,
    /// Of the SSH client that Cutover has built in.
    pub(crate) cutover: Sample,
    /// A login of the system's `ssh` with a session that does nothing: `ssh SERVER true`.
    pub(crate) session: Sample,
}

impl Logins {
    /// Returns SSH's own part of a tool's bytes, where it was counted: its login, and a session that does nothing.
    pub(crate) fn of(&self, tool: &str) -> Option<u64> {
        let login = if tool == CUTOVER { self.cutover.wire } else { self.openssh.wire };
        let (login, whole, refused) = (login?, self.session.wire?, self.openssh.wire?);
        Some(login.total_bytes() + whole.total_bytes().saturating_sub(refused.total_bytes()))
    }
}
