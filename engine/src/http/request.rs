//! A request over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

/// The greatest length of all headers of an answer. Servers allow 4 to 16 KiB of them in a request.
pub(super) const HEADERS_BYTES_MAX: usize = 64 << 10;

/// A request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// The address.
    pub url: String,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body, which makes it a POST. None: a GET.
    pub body: Option<Vec<u8>>,
    /// The longest time for the request and the answer.
    pub timeout: Duration,
    /// The number of redirects that are followed. With 0, an answer that redirects is an answer like others.
    pub redirects: u32,
}
