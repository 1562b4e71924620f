//! The findings of a connection that fails. Their words are those of the error, as every verb tells it.

use engine::error::{Error, LoginError};
use engine::report::{FindingId, Severity, Subject};

const fn known(id: &'static str) -> FindingId {
    FindingId { id, severity: Severity::Error, subject: Subject::Connection }
}

const UNREACHABLE: FindingId = known("host-unreachable");
const HOST_KEY: FindingId = known("host-key");
const LOGIN: FindingId = known("login-refused");
const SSH_CONFIG: FindingId = known("ssh-config");
const AGENT: FindingId = known("agent-not-started");
const THREADS: FindingId = known("no-threads");

/// The config of this machine cannot be used in full.
pub(super) const CONFIG: FindingId = FindingId { id: "config", severity: Severity::Error, subject: Subject::Source };

/// The ids of all of them.
#[cfg(test)]
pub(super) const ALL: [FindingId; 7] = [UNREACHABLE, HOST_KEY, LOGIN, SSH_CONFIG, AGENT, THREADS, CONFIG];

/// Returns the finding of an error. None: the error is not one of the connection.
pub(super) fn id_of(error: &Error) -> Option<FindingId> {
    match error {
        Error::Reach(_) | Error::LineLost { .. } => Some(UNREACHABLE),
        Error::Login(
            LoginError::HostKeyUnknown { .. }
            | LoginError::HostKeyChanged { .. }
            | LoginError::HostKeyRevoked { .. }
            | LoginError::HostKeyNotPinned { .. },
        ) => Some(HOST_KEY),
        Error::Login(LoginError::Refused { .. }) => Some(LOGIN),
        Error::Login(_) => Some(SSH_CONFIG),
        Error::Start(_) => Some(AGENT),
        Error::NoThread { .. } => Some(THREADS),
        _ => None,
    }
}
