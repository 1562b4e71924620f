//! TLS for requests over HTTP, on the client alone.
//!
//! The authorities are those that the system trusts. The variables `SSL_CERT_FILE` and `SSL_CERT_DIR` replace them, as
//! for other programs; the library reads them. No authority is built in: it would be trusted for as long as this
//! program is used. Certificates are not looked up in lists of revoked ones.

use std::fmt;
use std::sync::Arc;

use rustls::CertificateError;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::{ConnectionDetails, Connector, Either, RustlsConnector, Transport};

use crate::http::fault::TlsFailed;

/// The authorities that are trusted.
#[derive(Clone)]
pub(super) struct Trust {
    roots: Arc<Vec<Certificate<'static>>>,
    /// The reason that there are none.
    missing: Option<Arc<str>>,
}

impl Trust {
    /// Reads the authorities that the system trusts.
    pub(super) fn of_system() -> Trust {
        let found = rustls_native_certs::load_native_certs();
        let roots: Vec<_> = found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let missing = roots.is_empty().then(|| match found.errors.first() {
            Some(error) => format!("no authority is known here ({error})"),
            None => "no authority is known here: this machine has no certificates of authorities".to_owned(),
        });
        Trust { roots: Arc::new(roots), missing: missing.map(Arc::from) }
    }

    /// Returns the settings of the library.
    pub(super) fn config(&self) -> TlsConfig {
        TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::clone(&self.roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build()
    }

    /// Puts TLS over another connector.
    pub(super) fn connector<Below: Connector>(&self, below: Below) -> impl Connector {
        below.chain(TlsConnector { inner: RustlsConnector::default(), missing: self.missing.clone() })
    }
}

/// The library's connector, with failures in our words.
struct TlsConnector {
    inner: RustlsConnector,
    missing: Option<Arc<str>>,
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, <RustlsConnector as Connector<In>>::Out>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let host = details.uri.host().unwrap_or_default();
        let connected = self.inner.connect(details, chained).map_err(|error| self.fault(error, host))?;
        Ok(connected.map(Either::B))
    }
}

impl TlsConnector {
    fn fault(&self, error: ureq::Error, host: &str) -> ureq::Error {
        let failed = |reason: String, is_untrusted: bool| {
            ureq::Error::Other(Box::new(TlsFailed { host: host.to_owned(), reason, is_untrusted }))
        };
        let tls = match &error {
            ureq::Error::Rustls(tls) => Some(tls),
            ureq::Error::Io(io) => io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
            ureq::Error::Tls(reason) => return failed((*reason).to_owned(), false),
            _ => None,
        };
        let Some(tls) = tls else { return error };
        match tls {
            rustls::Error::InvalidCertificate(reason) => {
                let is_untrusted = matches!(reason, CertificateError::UnknownIssuer);
                match &self.missing {
                    Some(missing) if is_untrusted => failed(missing.to_string(), true),
                    _ => failed(of_certificate(reason), is_untrusted),
                }
            }
            rustls::Error::InvalidMessage(_) => failed("it does not speak TLS on that port".into(), false),
            other => failed(other.to_string(), false),
        }
    }
}

fn of_certificate(error: &CertificateError) -> String {
    use CertificateError as Is;
    match error {
        Is::UnknownIssuer => "its certificate is of an authority that this machine does not trust".into(),
        Is::Expired | Is::ExpiredContext { .. } => "its certificate has expired".into(),
        Is::NotValidYet | Is::NotValidYetContext { .. } => "its certificate is not valid yet".into(),
        Is::NotValidForName | Is::NotValidForNameContext { .. } => "its certificate is for another name".into(),
        Is::Revoked => "its certificate was revoked".into(),
        other => format!("its certificate cannot be accepted: {other}"),
    }
}
