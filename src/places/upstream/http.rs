//! Runs HTTP requests to an upstream within limits that hold in every phase.
//!
//! This module must not know the meaning of a request or an answer. Invariants: a call ends by its deadline. It reads at most
//! [`UPSTREAM_BODY_BYTES_MAX`] of a body and [`UPSTREAM_HEAD_BYTES_MAX`] of a head. It follows no redirect and decompresses
//! nothing. It sends a request twice only if an idle connection ended before the first byte of the answer. Its errors do not
//! contain the address, because the address holds the key.

use crate::places::settings::Settings;
use crate::places::upstream::deadline::{DeadlineConnector, until};
use crate::places::upstream::failure::{Failure, Phase};
use crate::places::upstream::resolve::BoundedResolver;
use crate::places::upstream::reuse::{self, ReuseConnector};
use std::io::Read;
use std::time::{Duration, Instant};
use ureq::http::Request;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, AsSendBody, Error, Timeout};

/// Longest answer of an upstream in bytes: five times a full page of Google's (46 KB).
pub const UPSTREAM_BODY_BYTES_MAX: usize = 256 * 1024;

/// Longest head of an upstream's answer, in bytes.
pub const UPSTREAM_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most headers of an upstream's answer. ureq sets this limit.
const HEADERS_MAX: usize = 128;

/// Buffers of a connection. ureq's default is 128 KB each. Every worker holds one connection, so that is 2 MB of memory.
/// The input has room for more than the longest head: ureq takes a full buffer for the end of the connection.
const INPUT_BYTES: usize = UPSTREAM_HEAD_BYTES_MAX + 512;
const OUTPUT_BYTES: usize = 2 * 1024;

/// Connections left open between queries, because a handshake costs a small board more than a query. Each one holds its
/// buffers and TLS state, about 30 KB, until the workers are idle.
const IDLE_CONNECTIONS_MAX: usize = 2;

/// Initial capacity for a body of unknown length.
const BODY_BYTES_FIRST: usize = 16 * 1024;

/// An HTTP client for one upstream.
pub(crate) struct Http {
    agent: Agent,
    connect_max: Duration,
}

/// An HTTP response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the body has a content encoding. The request asks for none.
    pub(crate) is_packed: bool,
}

impl Http {
    /// Reads the CA file if the settings name one. Connects nowhere.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let proxy = settings.proxy.as_ref().map(|proxy| ureq::Proxy::new(&proxy.0)).transpose();
        let proxy = proxy.map_err(|_| Failure::Setting("places.proxy is not an address".to_owned()))?;
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(proxy)
            .max_redirects(0)
            .user_agent(concat!("herd/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(UPSTREAM_HEAD_BYTES_MAX)
            .input_buffer_size(INPUT_BYTES)
            .output_buffer_size(OUTPUT_BYTES)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .max_idle_age(Duration::from_millis(settings.idle_ms));
        #[cfg(feature = "tls")]
        let builder = builder.tls_config(tls::config(settings.ca_file.as_deref())?);
        // ureq's own chain without its unused parts. The deadline connector comes right above the socket.
        let connector = ().chain(ConnectProxyConnector::default());
        let connector = connector.chain(TcpConnector::default()).chain(DeadlineConnector);
        #[cfg(feature = "tls")]
        let connector = connector.chain(ureq::unversioned::transport::RustlsConnector::default());
        let connector = connector.chain(ReuseConnector);
        let agent = Agent::with_parts(builder.build(), connector, BoundedResolver);
        Ok(Self { agent, connect_max: Duration::from_millis(settings.connect_ms) })
    }

    /// Ends calls in flight and refuses new ones.
    pub(crate) fn stop(&self) {
        self.agent.clone().shutdown();
    }

    /// Sends `request` and reads the answer until `deadline`. Sends it once more, on a fresh connection, if an idle one ended
    /// before the first byte of the answer and `may_retry` allows it. The requests are searches: a second one does no harm.
    pub(crate) fn run<B: AsSendBody + Clone>(
        &self,
        request: &Request<B>,
        deadline: Instant,
        may_retry: &dyn Fn() -> bool,
    ) -> Result<Response, Failure> {
        until(deadline, || {
            reuse::begin();
            match self.run_now(request.clone(), deadline, false) {
                Err(Failure::Unreachable(_)) if reuse::is_unanswered_reuse() && may_retry() => {
                    self.run_now(request.clone(), deadline, true)
                }
                result => result,
            }
        })
    }

    fn run_now<B: AsSendBody>(
        &self,
        request: Request<B>,
        deadline: Instant,
        is_retry: bool,
    ) -> Result<Response, Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        // Slightly shorter than the whole, so that a hanging connect and a hanging answer give different errors.
        let connect = self.connect_max.min(left.saturating_sub(Duration::from_millis(1)));
        let mut request =
            self.agent.configure_request(request).timeout_global(Some(left)).timeout_connect(Some(connect));
        if is_retry {
            // Takes no idle connection.
            request = request.max_idle_age(Duration::ZERO);
        }
        let response = self.agent.run(request.build()).map_err(|error| failure(error, Phase::Head))?;
        let status = response.status().as_u16();
        let is_packed = response.headers().get("content-encoding").is_some_and(|coding| coding != "identity");
        let body = response.into_body();
        let length = body.content_length();
        if length.is_some_and(|length| length > UPSTREAM_BODY_BYTES_MAX as u64) {
            return Err(Failure::TooLarge(UPSTREAM_BODY_BYTES_MAX));
        }
        let length = length.and_then(|length| usize::try_from(length).ok());
        // One extra byte detects a longer body, and saves the last read a larger buffer.
        let mut bytes = Vec::with_capacity(length.map_or(BODY_BYTES_FIRST, |length| length + 1));
        let mut reader = body.into_reader().take(UPSTREAM_BODY_BYTES_MAX as u64 + 1);
        reader.read_to_end(&mut bytes).map_err(|error| failure(error.into(), Phase::Body))?;
        if bytes.len() > UPSTREAM_BODY_BYTES_MAX {
            return Err(Failure::TooLarge(UPSTREAM_BODY_BYTES_MAX));
        }
        Ok(Response { status, body: bytes, is_packed })
    }
}

/// The failure, without the address. `phase` is the phase of the call at the error, as far as the caller knows.
fn failure(error: Error, phase: Phase) -> Failure {
    let unreachable = |how: &str| Failure::Unreachable(how.to_owned());
    match error {
        Error::Timeout(Timeout::Resolve) => Failure::TimedOut(Phase::Resolve),
        Error::Timeout(Timeout::Connect) => Failure::TimedOut(Phase::Connect),
        Error::Timeout(_) => Failure::TimedOut(phase),
        Error::Io(error) => io_failure(&error, phase),
        Error::HostNotFound => unreachable("its name is not known, or has no address"),
        Error::ConnectProxyFailed(_) => unreachable("the proxy refused the tunnel"),
        Error::ConnectionFailed => unreachable("no connection"),
        Error::BodyStalled => broken_off(phase),
        Error::LargeResponseHeader(..) => {
            Failure::BadHead(format!("its head is over {} KB", UPSTREAM_HEAD_BYTES_MAX / 1024))
        }
        // ureq does not export the type of this error.
        Error::Protocol(error) if error.to_string().contains("too many headers") => {
            Failure::BadHead(format!("it sends more than {HEADERS_MAX} headers"))
        }
        Error::Protocol(_) => unreachable("what answers does not speak HTTP"),
        Error::TlsRequired => Failure::NoTls,
        Error::Tls(how) => Failure::Tls(how.to_owned()),
        #[cfg(feature = "tls")]
        Error::Rustls(error) => tls::failure(&error),
        // The other errors hold an address, which must stay secret, or cannot occur with these requests.
        _ => Failure::Setting("places.url cannot be asked".to_owned()),
    }
}

fn io_failure(error: &std::io::Error, phase: Phase) -> Failure {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    #[cfg(feature = "tls")]
    if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        return tls::failure(error);
    }
    match error.kind() {
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => broken_off(phase),
        TimedOut => Failure::TimedOut(phase),
        _ => Failure::Unreachable(error.to_string()),
    }
}

fn broken_off(phase: Phase) -> Failure {
    let how = if phase == Phase::Body { "in the middle of its answer" } else { "before it answered" };
    Failure::Unreachable(format!("it closed the connection {how}"))
}

#[cfg(feature = "tls")]
mod tls {
    //! The certificates that TLS trusts, and the reasons of its refusals.

    use crate::files::open_regular;
    use crate::places::upstream::failure::Failure;
    use crate::tls_provider::provider;
    use rustls::CertificateError as Bad;
    use std::io::Read;
    use std::path::Path;
    use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

    /// Longest CA file: the bundle of a whole system has 250 KB.
    const CA_BYTES_MAX: u64 = 1024 * 1024;

    /// Trusts the built-in roots, or the certificates of `ca_file`.
    pub(crate) fn config(ca_file: Option<&Path>) -> Result<TlsConfig, Failure> {
        let builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider());
        let Some(file) = ca_file else { return Ok(builder.build()) };
        let certificates = certificates(file).map_err(|what| {
            let name = file.file_name().map(Path::new).unwrap_or(file).display();
            Failure::Setting(format!("the CA file {name} cannot be used: {what}"))
        })?;
        Ok(builder.root_certs(RootCerts::new_with_certs(&certificates)).build())
    }

    fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
        let mut pem = Vec::new();
        let file = open_regular(file).map_err(|error| error.to_string())?;
        file.take(CA_BYTES_MAX).read_to_end(&mut pem).map_err(|error| error.to_string())?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() { Err("it holds no PEM certificate".to_owned()) } else { Ok(certificates) }
    }

    pub(crate) fn failure(error: &rustls::Error) -> Failure {
        let how = match error {
            rustls::Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
                return Failure::ClockWrong;
            }
            rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
                "the certificate has expired, or this board's clock is ahead".to_owned()
            }
            rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
                "the certificate is not signed by an authority that is trusted here (see places.ca_file)"
                    .to_owned()
            }
            other => other.to_string(),
        };
        Failure::Tls(how)
    }
}
