//! Where the neighbours of a node dial it: an address, or a host name and a port.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest host name, in bytes (RFC 1123 2.1).
const HOST_BYTES_MAX: usize = 253;
/// The longest label of a host name, in bytes (RFC 1035 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// The value of a node's `links`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address with a port.
    Address(SocketAddr),
    /// `HOST:PORT`, in lower case. Its addresses are looked up for each dial.
    Name(Box<str>),
}

impl Endpoint {
    /// Reads `HOST:PORT`, where the host is not an address. `None` if it does not have this form.
    #[must_use]
    pub fn named(text: &str) -> Option<Endpoint> {
        let (host, port) = text.rsplit_once(':')?;
        let is_label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits would be an IPv4 address with a mistake (RFC 3696 2).
        let last = host.rsplit('.').next()?;
        let is_host = host.len() <= HOST_BYTES_MAX
            && host.split('.').all(is_label)
            && !last.bytes().all(|byte| byte.is_ascii_digit());
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
        (is_host && is_port).then(|| Endpoint::Name(text.to_ascii_lowercase().into()))
    }

    /// The address, unless it is a host name.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Endpoint::Address(address) => Some(*address),
            Endpoint::Name(_) => None,
        }
    }

    /// The host name without the port, unless it is an address.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Endpoint::Address(_) => None,
            Endpoint::Name(name) => name.rsplit_once(':').map(|(host, _)| host),
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Endpoint::Address(address) => address.port(),
            // `named` has checked the port.
            Endpoint::Name(name) => {
                name.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
            }
        }
    }

    /// Whether only this machine reaches it. Of the names only `localhost` is known to be loopback (RFC 6761 6.3).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Endpoint::Address(address) => address.ip().to_canonical().is_loopback(),
            Endpoint::Name(_) => self.host() == Some("localhost"),
        }
    }

    /// Whether it is a wildcard, which neighbours cannot dial.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.address().is_some_and(|address| address.ip().to_canonical().is_unspecified())
    }

    /// Where a node with this endpoint listens, if the configuration does not say so: of a host name, all addresses of the
    /// board.
    pub(super) fn listens_at(&self) -> SocketAddr {
        match self {
            Endpoint::Address(address) => *address,
            // The link port of a herd without a key must not be reachable from other machines.
            Endpoint::Name(_) if self.is_loopback() => (Ipv4Addr::LOCALHOST, self.port()).into(),
            Endpoint::Name(_) => (Ipv6Addr::UNSPECIFIED, self.port()).into(),
        }
    }

    /// Where other machines reach a listener of the same board: a wildcard becomes this host.
    #[must_use]
    pub fn reach(&self, mut listener: SocketAddr) -> Endpoint {
        if !listener.ip().is_unspecified() {
            return Endpoint::Address(listener);
        }
        match self {
            Endpoint::Address(address) => {
                listener.set_ip(address.ip());
                Endpoint::Address(listener)
            }
            Endpoint::Name(_) => {
                let host = self.host().unwrap_or_default();
                Endpoint::Name(format!("{host}:{}", listener.port()).into())
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Endpoint::Address(address) => address.fmt(f),
            Endpoint::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_have_the_form_of_rfc_1123() {
        let label = "a".repeat(LABEL_BYTES_MAX);
        let long = [label.as_str(); 4].join(".");
        for (text, expected) in [
            ("hill.local:9001", Some("hill.local:9001")),
            ("Hill.Example.ORG:9001", Some("hill.example.org:9001")),
            ("hill:9001", Some("hill:9001")),
            ("4-b_c.lan2:1", Some("4-b_c.lan2:1")),
            ("hill.local", None),
            ("hill.local:", None),
            ("hill.local:http", None),
            ("hill.local:+1", None),
            ("hill.local:65536", None),
            (":9001", None),
            ("hill..local:1", None),
            ("hill.local.:1", None),
            ("-hill:1", None),
            ("hill-:1", None),
            ("hill one:1", None),
            ("hügel.local:1", None),
            ("http://hill:1", None),
            ("192.168.1.300:1", None),
            ("192.168.1:1", None),
            ("7:1", None),
            ("fd00::5:1", None),
            ("*:1", None),
        ] {
            let found = Endpoint::named(text).map(|endpoint| endpoint.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert!(Endpoint::named(&format!("{label}.b:1")).is_some());
        assert!(Endpoint::named(&format!("{label}a.b:1")).is_none());
        assert!(Endpoint::named(&format!("{long}:1")).is_none(), "{} bytes", long.len());
    }

    #[test]
    fn a_name_is_neither_loopback_nor_wildcard_and_is_listened_for_everywhere() {
        for (text, is_loopback, listens_at, clients_at) in [
            ("hill.local:9001", false, "[::]:9001", "hill.local:8001"),
            ("localhost:9001", true, "127.0.0.1:9001", "localhost:8001"),
            ("localhost.lan:9001", false, "[::]:9001", "localhost.lan:8001"),
        ] {
            let endpoint = Endpoint::named(text).expect("a name");
            assert_eq!((endpoint.is_loopback(), endpoint.is_wildcard()), (is_loopback, false), "{text}");
            assert_eq!(endpoint.listens_at().to_string(), listens_at, "{text}");
            let wildcard = "0.0.0.0:8001".parse().expect("an address");
            assert_eq!(endpoint.reach(wildcard).to_string(), clients_at, "{text}");
            let own = "10.0.0.1:8001".parse().expect("an address");
            assert_eq!(endpoint.reach(own), Endpoint::Address(own), "{text}");
        }
    }
}
