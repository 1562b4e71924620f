//! The ways in which a request over HTTP gets no usable answer.

use std::time::Duration;

use crate::units::Bytes;

use super::hint::{CheckHint, Hint};

/// A request that got no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpFault {
    /// The address is malformed, or the request cannot be written.
    #[error("`{url}` cannot be asked for: {reason}")]
    Malformed {
        /// The address.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The address needs TLS, which only the client has.
    #[error("`{url}` leads to an address that needs TLS, and the server's side of Cutover has none")]
    NoTls {
        /// The address that was asked for first.
        url: String,
    },
    /// The name of the host does not resolve.
    #[error("The host `{host}` does not resolve: {reason}")]
    Unresolved {
        /// The host.
        host: String,
        /// The reason.
        reason: String,
    },
    /// The host does not accept the connection.
    #[error("`{host}` accepts no connection: {reason}")]
    Unreachable {
        /// The host and its port.
        host: String,
        /// The reason.
        reason: String,
    },
    /// The host has no certificate that this machine trusts, or speaks no TLS.
    #[error("No TLS with `{host}`: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// The reason.
        reason: String,
        /// Whether the certificate is of an authority that this machine does not trust.
        is_untrusted: bool,
    },
    /// The time was over before the answer was complete.
    #[error("There was no complete answer within {after:?}")]
    TimedOut {
        /// The time limit.
        after: Duration,
    },
    /// The answers redirect again and again.
    #[error("It redirects more than {most} times")]
    TooManyRedirects {
        /// The number of redirects that are followed.
        most: u32,
    },
    /// An answer redirects to no address.
    #[error("It redirects to an address that makes no sense: {reason}")]
    BadRedirect {
        /// The reason.
        reason: String,
    },
    /// The answer is not HTTP.
    #[error("The answer cannot be read as HTTP: {reason}")]
    NotHttp {
        /// The reason.
        reason: String,
    },
    /// The headers of the answer are too long.
    #[error("The answer has too many or too long headers: at most {} are read", Bytes(*most))]
    LongHeaders {
        /// The number of bytes that are read.
        most: u64,
    },
    /// The connection ended before the answer did.
    #[error("The server closed the connection before its answer was complete")]
    Closed,
    /// Another failure.
    #[error("The request failed: {reason}")]
    Other {
        /// The reason.
        reason: String,
    },
}

impl HttpFault {
    /// Returns the next step, if there is another one than to look at the answer.
    pub(super) fn hint(&self) -> Option<Hint> {
        match self {
            HttpFault::NoTls { .. } => Some(Hint::Check(CheckHint::AskFromClient)),
            HttpFault::Tls { is_untrusted: true, .. } => Some(Hint::Check(CheckHint::TrustAuthority)),
            _ => None,
        }
    }
}
