//! Failures to reach the server. Most often the network is at fault, and another try is safe.

use std::io;

use crate::server::Server;

use super::hint::{Hint, ReachHint};
use super::id::ErrorId;
use super::kind::Kind;

/// The server cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReachError {
    /// The name of the server does not resolve.
    #[error("Could not resolve the host name of {server}")]
    Unresolved {
        /// The server.
        server: Server,
        /// The cause.
        source: io::Error,
    },
    /// The server does not answer.
    #[error("Could not connect to {server}")]
    Unreachable {
        /// The server.
        server: Server,
        /// The cause.
        source: io::Error,
    },
    /// Another service than SSH listens at the port.
    #[error("{server} does not speak SSH: it sent `{said}`")]
    NotSsh {
        /// The server.
        server: Server,
        /// Its first line.
        said: String,
    },
    /// The server closed the connection before it sent anything.
    #[error("{server} closed the connection before its SSH greeting")]
    ClosedEarly {
        /// The server.
        server: Server,
    },
    /// The system's `ssh` ended before the agent answered.
    #[error("`ssh` could not reach {server}")]
    OpensshFailed {
        /// The server.
        server: Server,
        /// The end of its output.
        output: String,
    },
    /// The SSH library failed.
    #[error("The SSH connection to {server} failed while trying to {action}")]
    Ssh {
        /// The server.
        server: Server,
        /// The action that failed.
        action: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ReachError {
    /// Returns the id.
    pub(super) fn id(&self) -> ErrorId {
        match self {
            ReachError::Unresolved { .. } => ErrorId::HostUnresolved,
            ReachError::Unreachable { .. } => ErrorId::HostUnreachable,
            ReachError::NotSsh { .. } | ReachError::ClosedEarly { .. } => ErrorId::NotSsh,
            ReachError::OpensshFailed { .. } | ReachError::Ssh { .. } => ErrorId::SshFailed,
        }
    }

    /// Returns the kind, which decides the exit code.
    pub(super) fn kind(&self) -> Kind {
        match self {
            ReachError::OpensshFailed { output, .. } if was_refused(output) => Kind::Refused,
            ReachError::Unresolved { .. }
            | ReachError::Unreachable { .. }
            | ReachError::NotSsh { .. }
            | ReachError::ClosedEarly { .. }
            | ReachError::OpensshFailed { .. }
            | ReachError::Ssh { .. } => Kind::Line,
        }
    }

    /// Returns the next step.
    pub(super) fn hint(&self) -> Hint {
        match self {
            ReachError::Unresolved { .. } => Hint::Reach(ReachHint::CheckName),
            ReachError::Unreachable { .. } => Hint::Reach(ReachHint::CheckHost),
            ReachError::NotSsh { .. } => Hint::Reach(ReachHint::CheckPort),
            ReachError::ClosedEarly { .. } => Hint::Reach(ReachHint::CheckPortOrWait),
            ReachError::OpensshFailed { .. } => Hint::Reach(ReachHint::TrySsh),
            ReachError::Ssh { .. } => Hint::RunAgain,
        }
    }
}

/// Returns whether `ssh` reports a refused login or host key, which no second try changes.
fn was_refused(output: &str) -> bool {
    output.contains("Permission denied (") || output.contains("Host key verification failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_second_try_changes_is_refused() {
        let check = |output: &str, expected: Kind| {
            let server = Server { name: "web1".into(), host_name: "web1".into(), port: 22 };
            assert_eq!(ReachError::OpensshFailed { server, output: output.into() }.kind(), expected, "{output}");
        };
        check("me@web1: Permission denied (publickey).", Kind::Refused);
        check("Host key verification failed.", Kind::Refused);
        check("ssh: connect to host web1 port 22: Connection refused", Kind::Line);
    }
}
