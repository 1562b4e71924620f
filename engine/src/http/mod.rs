//! Asks a server over HTTP, for checks and for the webhook.
//!
//! A request runs on a thread of its own, which is left alone if the time is over or the work is cancelled: neither
//! the system's resolver nor a slow server can hold up a deploy for longer than that. The time limit covers the whole
//! request, from the name of the host to the last byte of the body.
//!
//! Only the client has TLS. [`HttpClient::plain`] names none of it, so the linker leaves it out of a program that makes
//! no other client ([`HttpClient::with_tls`]). Proxies are not used, whatever the environment says: a check asks the
//! server that its address names.

mod fault;
mod redirect;
mod request;
mod tls;

use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use ureq::config::{AutoHeaderValue, Config, ConfigBuilder};
use ureq::http::{Method, Response, Uri};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport};
use ureq::{Agent, Body, ResponseExt};

use crate::cancel::Cancel;
use crate::error::{Error, HttpFault};
use crate::http::fault::Unresolved;
use crate::http::request::HEADERS_BYTES_MAX;
use crate::threads;

pub(crate) use fault::host_of;
pub use request::HttpRequest;

/// The name of the program, for the logs of servers.
const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"));

/// The time between two looks at a request to stop.
const SLICE: Duration = Duration::from_millis(50);

/// The time that the library has to notice that the time is over, and to say how far it came.
const GRACE: Duration = Duration::from_millis(200);

/// The number of addresses of a host that are tried. It is the most that the library has room for.
const ADDRESSES_MAX: usize = 16;

type MakeAgent = dyn Fn(ConfigBuilder<AgentScope>) -> Agent + Send + Sync;

/// A client for HTTP.
#[derive(Clone)]
pub struct HttpClient {
    make_agent: Arc<MakeAgent>,
}

/// An answer.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The status with its usual name.
    pub status_text: String,
    /// The address that answered, if redirects led to it.
    pub address: Option<String>,
    /// The names of its headers in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The part of the body that was read.
    pub body: Vec<u8>,
    /// The reason that no more of the body was read.
    pub end: BodyEnd,
}

/// The reason that no more of a body was read.
#[derive(Debug)]
pub enum BodyEnd {
    /// The body is complete.
    Complete,
    /// The reader has what it wants.
    Enough,
    /// The rest did not come.
    Cut(HttpFault),
}

impl HttpClient {
    /// Makes a client without TLS.
    pub fn plain() -> HttpClient {
        HttpClient {
            make_agent: Arc::new(|config| Agent::with_parts(config.build(), PlainConnector::default(), SystemResolver)),
        }
    }

    /// Makes a client with TLS, which trusts the authorities that the system trusts.
    pub fn with_tls() -> HttpClient {
        let trust = tls::Trust::of_system();
        HttpClient {
            make_agent: Arc::new(move |config| {
                let config = config.tls_config(trust.config()).build();
                Agent::with_parts(config, trust.connector(TcpConnector::default()), SystemResolver)
            }),
        }
    }

    /// Sends a request. `has_enough` says whether this much of the body is enough, by the status and the part that was
    /// read. The outer result is an interrupt, the inner one the server's answer.
    pub fn ask(
        &self,
        request: &HttpRequest,
        has_enough: impl Fn(u16, &[u8]) -> bool + Clone + Send + 'static,
        cancel: &Cancel,
    ) -> Result<Result<HttpAnswer, HttpFault>, Error> {
        let deadline = Instant::now() + request.timeout + GRACE;
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let work = {
            let (client, request) = (self.clone(), request.clone());
            // Nobody waits for it once the time is over.
            move || drop(sender.send(client.ask_here(&request, &has_enough)))
        };
        let _thread = threads::spawn(work)?;
        loop {
            cancel.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left.min(SLICE)) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) if left > SLICE => {}
                Err(RecvTimeoutError::Timeout) => return Ok(Err(HttpFault::TimedOut { after: request.timeout })),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Bug("a request over HTTP panicked".into())),
            }
        }
    }

    /// Sends a request, and follows redirects. All of them together have the time of the request.
    fn ask_here(
        &self,
        request: &HttpRequest,
        has_enough: &impl Fn(u16, &[u8]) -> bool,
    ) -> Result<HttpAnswer, HttpFault> {
        let end = Instant::now() + request.timeout;
        let mut asked = request.clone();
        let mut followed = 0;
        loop {
            asked.timeout = end.saturating_duration_since(Instant::now());
            if asked.timeout.is_zero() {
                return Err(HttpFault::TimedOut { after: request.timeout });
            }
            let response = self.send(&asked).map_err(|error| fault::of(error, request, &asked.url))?;
            if request.redirects == 0 || !redirect::is_redirect(&response) {
                return Ok(read(response, request, &asked, has_enough));
            }
            if followed == request.redirects {
                return Err(HttpFault::TooManyRedirects { most: request.redirects });
            }
            asked = redirect::next(&asked, &response).map_err(|reason| HttpFault::BadRedirect { reason })?;
            followed += 1;
        }
    }

    /// Sends a request, and follows no redirect.
    fn send(&self, request: &HttpRequest) -> Result<Response<Body>, ureq::Error> {
        let agent = (self.make_agent)(config(request));
        let method = if request.body.is_some() { Method::POST } else { Method::GET };
        let mut builder = ureq::http::Request::builder().method(method).uri(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        match &request.body {
            Some(body) => builder.body(&body[..]).map_err(ureq::Error::from).and_then(|built| agent.run(built)),
            None => builder.body(()).map_err(ureq::Error::from).and_then(|built| agent.run(built)),
        }
    }
}

/// Reads the answer to the last request. The first one was `request`.
fn read(
    mut response: Response<Body>,
    request: &HttpRequest,
    asked: &HttpRequest,
    has_enough: &impl Fn(u16, &[u8]) -> bool,
) -> HttpAnswer {
    let status = response.status();
    let address = response.get_uri().to_string();
    let is_elsewhere = request.url.parse::<Uri>().is_ok_and(|first| first != *response.get_uri());
    let headers = response.headers().iter();
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect();
    let (body, end) = read_body(&mut response.body_mut().as_reader(), |body| has_enough(status.as_u16(), body));
    let cut = |error| BodyEnd::Cut(fault::of(ureq::Error::from(error), request, &asked.url));
    HttpAnswer {
        status: status.as_u16(),
        status_text: status.to_string().trim_end_matches(" <unknown status code>").to_owned(),
        address: is_elsewhere.then_some(address),
        headers,
        body,
        end: end.unwrap_or_else(cut),
    }
}

fn config(request: &HttpRequest) -> ConfigBuilder<AgentScope> {
    Config::builder()
        .http_status_as_error(false)
        .proxy(None)
        .user_agent(USER_AGENT)
        .accept(AutoHeaderValue::Provided(Arc::new("*/*".to_owned())))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(HEADERS_BYTES_MAX)
        .max_idle_connections(0)
        .timeout_global(Some(request.timeout))
}

fn read_body(reader: &mut impl Read, has_enough: impl Fn(&[u8]) -> bool) -> (Vec<u8>, Result<BodyEnd, std::io::Error>) {
    let mut body = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        if has_enough(&body) {
            return (body, Ok(BodyEnd::Enough));
        }
        match reader.read(&mut buffer) {
            Ok(0) => return (body, Ok(BodyEnd::Complete)),
            Ok(count) => body.extend_from_slice(&buffer[..count]),
            Err(error) => return (body, Err(error)),
        }
    }
}

/// TCP, and a refusal of addresses that need TLS.
#[derive(Debug, Default)]
struct PlainConnector(TcpConnector);

impl<In: Transport> Connector<In> for PlainConnector {
    type Out = <TcpConnector as Connector<In>>::Out;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        if details.needs_tls() { Err(ureq::Error::TlsRequired) } else { self.0.connect(details, chained) }
    }
}

/// The system's resolver. It has no time limit of its own, because the request runs on a thread that can be left.
#[derive(Debug)]
struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let place = uri.scheme().zip(uri.authority());
        let place = place.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        let place = place.ok_or_else(|| ureq::Error::BadUri("it is no `http://` or `https://` address".into()))?;
        let unresolved = |reason: String| {
            let host = uri.host().unwrap_or_default().to_owned();
            ureq::Error::Other(Box::new(Unresolved { host, reason }))
        };
        let found: Vec<SocketAddr> =
            place.to_socket_addrs().map_err(|error| unresolved(error.to_string()))?.take(ADDRESSES_MAX).collect();
        if found.is_empty() {
            return Err(unresolved("it has no address".into()));
        }
        let mut addresses = self.empty();
        found.into_iter().for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}
