//! Words the failures of the HTTP library: what happened, without the names of its parts.

use std::io;

use ureq::http::Uri;

use crate::error::HttpFault;
use crate::http::request::{HEADERS_BYTES_MAX, HttpRequest};

/// A host whose name does not resolve, on its way through the library.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {reason}")]
pub(super) struct Unresolved {
    /// The host.
    pub(super) host: String,
    /// The reason.
    pub(super) reason: String,
}

/// A failure of TLS, on its way through the library.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {reason}")]
pub(super) struct TlsFailed {
    /// The host.
    pub(super) host: String,
    /// The reason.
    pub(super) reason: String,
    /// Whether the certificate is of an authority that this machine does not trust.
    pub(super) is_untrusted: bool,
}

/// Returns the fault of a request. Redirects have led to `url`.
pub(super) fn of(error: ureq::Error, request: &HttpRequest, url: &str) -> HttpFault {
    use ureq::Error as Is;
    let malformed = |reason: String| HttpFault::Malformed { url: url.to_owned(), reason };
    match error {
        Is::Http(error) => malformed(error.to_string()),
        Is::BadUri(reason) => malformed(reason),
        Is::Timeout(_) => HttpFault::TimedOut { after: request.timeout },
        Is::LargeResponseHeader(..) => HttpFault::LongHeaders { most: HEADERS_BYTES_MAX as u64 },
        Is::TlsRequired => HttpFault::NoTls { url: request.url.clone() },
        Is::Protocol(error) => HttpFault::NotHttp { reason: error.to_string() },
        Is::Io(error) => of_io(&error, request, url),
        Is::Other(error) => match error.downcast::<Unresolved>() {
            Ok(unresolved) => HttpFault::Unresolved { host: unresolved.host, reason: unresolved.reason },
            Err(error) => match error.downcast::<TlsFailed>() {
                Ok(tls) => HttpFault::Tls { host: tls.host, reason: tls.reason, is_untrusted: tls.is_untrusted },
                Err(error) => HttpFault::Other { reason: error.to_string() },
            },
        },
        error => HttpFault::Other { reason: error.to_string() },
    }
}

fn of_io(error: &io::Error, request: &HttpRequest, url: &str) -> HttpFault {
    use io::ErrorKind as Is;
    match error.kind() {
        Is::TimedOut | Is::WouldBlock => HttpFault::TimedOut { after: request.timeout },
        Is::UnexpectedEof | Is::ConnectionReset | Is::ConnectionAborted | Is::BrokenPipe => HttpFault::Closed,
        Is::ConnectionRefused | Is::HostUnreachable | Is::NetworkUnreachable | Is::AddrNotAvailable => {
            HttpFault::Unreachable { host: host_of(url), reason: error.to_string() }
        }
        _ => HttpFault::Other { reason: error.to_string() },
    }
}

/// Returns the host and the port of an address, or the address if it has none.
pub(crate) fn host_of(url: &str) -> String {
    let parsed = url.parse::<Uri>().ok();
    let authority = parsed.as_ref().and_then(Uri::authority);
    authority.map_or_else(
        || url.to_owned(),
        |authority| match authority.as_str().rsplit_once('@') {
            Some((_, host)) => host.to_owned(),
            None => authority.to_string(),
        },
    )
}
