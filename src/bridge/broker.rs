//! The broker: its address, and the connection to it, with TLS or without.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use async_net::TcpStream;
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::limits::{CONNECT_MS_MAX, LOGIN_BYTES_MAX};

/// The TCP port of MQTT.
pub const MQTT_PORT: u16 = 1883;
/// The TCP port of MQTT over TLS.
pub const MQTTS_PORT: u16 = 8883;
const FORM: &str = "mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS";

/// A connection to a broker.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A broker, and the bridge's login there.
#[derive(Clone)]
pub struct Broker {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection uses TLS.
    pub is_tls: bool,
    /// The user's name and password; the latter may be empty.
    pub login: Option<(String, String)>,
    /// Checks the broker's certificate, with TLS: see [`Broker::trust`].
    connector: Option<TlsConnector>,
}

impl fmt::Debug for Broker {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}://", if self.is_tls { "mqtts" } else { "mqtt" })?;
        if let Some((user, _)) = &self.login {
            write!(f, "{}@", user.escape_default())?;
        }
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

impl Broker {
    /// Reads `mqtt://[USER@]HOST[:PORT]`, or the same with `mqtts`.
    ///
    /// # Errors
    /// The fault and the remedy. Neither shows a password of the address.
    pub fn parse(url: &str) -> Result<Broker, (String, String)> {
        let wrong = |why: &str, remedy: &str| Err((why.to_owned(), remedy.to_owned()));
        let (rest, is_tls) = match (url.strip_prefix("mqtt://"), url.strip_prefix("mqtts://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return wrong("this is not the address of a broker", FORM),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        if user.is_some_and(|user| user.contains(':')) {
            return wrong(
                "every user of this machine can read a password there",
                "put it in a --password-file",
            );
        }
        if user.is_some_and(|user| user.is_empty() || user.len() > LOGIN_BYTES_MAX) {
            return wrong("the user's name is empty or too long", FORM);
        }
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, port.strip_prefix(':').or(Some(""))),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
        if host.is_empty() || host.len() > LOGIN_BYTES_MAX || !host.chars().all(is_host) {
            return wrong("it names no host", FORM);
        }
        if is_tls && ServerName::try_from(host).is_err() {
            return wrong("a certificate cannot name this host", "use its DNS name");
        }
        let default = if is_tls { MQTTS_PORT } else { MQTT_PORT };
        let Some(port) = port.map_or(Some(default), |port| port.parse().ok().filter(|port| *port > 0)) else {
            return wrong("its port is not a number from 1 to 65535", FORM);
        };
        let login = user.map(|user| (user.to_owned(), String::new()));
        Ok(Broker { host: host.to_owned(), port, is_tls, login, connector: None })
    }

    /// Loads the certificate authorities that the broker's certificate is checked with: of this file, or the system's.
    ///
    /// # Errors
    /// Why the bridge has no authorities.
    pub fn trust(&mut self, ca_file: Option<&Path>) -> Result<(), String> {
        let certificates: Vec<CertificateDer> = match ca_file {
            Some(file) => CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect)
                .map_err(|error| format!("--ca-file: {}: {error}", file.display()))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut roots = RootCertStore::empty();
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(match ca_file {
                Some(file) => format!("--ca-file: {}: the file does not hold a certificate", file.display()),
                None => {
                    "this system has no certificate authorities (install ca-certificates, or use --ca-file)"
                        .to_owned()
                }
            });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        self.connector = Some(TlsConnector::from(Arc::new(config)));
        Ok(())
    }

    /// Connects within a time limit.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let tcp = super::in_time(CONNECT_MS_MAX, TcpStream::connect((&*self.host, self.port))).await?;
        tcp.set_nodelay(true)?;
        let Some(connector) = &self.connector else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        match super::in_time(CONNECT_MS_MAX, connector.connect(name, tcp)).await {
            Ok(tls) => Ok(Box::new(tls)),
            Err(error) => Err(io::Error::other(tls_words(&error))),
        }
    }
}

/// Why a TLS handshake failed, and the remedy. A certificate's texts come from a remote peer, so the bridge escapes them.
fn tls_words(error: &io::Error) -> String {
    let remedy = match error.get_ref().and_then(|cause| cause.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                " (trust its authority with --ca-file FILE)"
            }
            CertificateError::NotValidYetContext { .. } | CertificateError::ExpiredContext { .. } => {
                " (see the certificate's dates and this machine's clock)"
            }
            _ => "",
        },
        _ if error.kind() == ErrorKind::UnexpectedEof => " (is this the broker's port for TLS?)",
        _ => "",
    };
    format!("TLS: {}{remedy}", error.to_string().escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("mqtt://broker", "mqtt://broker:1883"),
            ("mqtt://10.0.0.2:1884/", "mqtt://10.0.0.2:1884"),
            ("mqtt://ann@ex.org@broker:1", "mqtt://ann@ex.org@broker:1"),
            ("mqtt://ann@[fe80::1%eth0]", "mqtt://ann@[fe80::1%eth0]:1883"),
            ("mqtt://[::1]:7", "mqtt://[::1]:7"),
            ("mqtts://ann@broker", "mqtts://ann@broker:8883"),
            ("mqtts://[::1]", "mqtts://[::1]:8883"),
        ] {
            let mut broker = Broker::parse(url).unwrap_or_else(|why| panic!("{url}: {why:?}"));
            if let Some((_, password)) = &mut broker.login {
                "secret".clone_into(password);
            }
            assert_eq!((broker.to_string(), format!("{broker:?}")), (shown.to_owned(), shown.to_owned()));
        }
    }

    #[test]
    fn a_wrong_address_is_refused_with_the_reason() {
        for (url, why) in [
            ("broker", "this is not the address of a broker"),
            ("http://broker", "this is not the address of a broker"),
            ("mqtts://[fe80::1%eth0]", "a certificate cannot name this host"),
            ("mqtt://ann:secret@broker", "every user of this machine can read a password there"),
            ("mqtt://@broker", "the user's name is empty or too long"),
            ("mqtt://", "it names no host"),
            ("mqtt://a b", "it names no host"),
            ("mqtt://a:0", "its port is not a number from 1 to 65535"),
            ("mqtt://a:x", "its port is not a number from 1 to 65535"),
            ("mqtt://[::1]7", "its port is not a number from 1 to 65535"),
            ("mqtt://a:70000", "its port is not a number from 1 to 65535"),
        ] {
            let (words, remedy) = Broker::parse(url).expect_err(url);
            assert_eq!(words, why, "{url}");
            assert!(!remedy.is_empty() && !format!("{words}{remedy}").contains("secret"));
        }
    }
}
