//! The settings of a [`Places`](crate::places::Places), and the checks of single values that the configuration needs.
//!
//! Plain data: this module opens nothing and does not know HTTP.

use super::Key;
use std::fmt;
use std::path::PathBuf;

/// The source of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file in the format of [`format`](mod@crate::places::file::format).
    Offline {
        /// The file's path. The first query opens it.
        file: PathBuf,
    },
    /// Google's Places API (New), `places:searchNearby`. The node converts its answer into the legacy shape.
    Google(Endpoint),
    /// Google's legacy Nearby Search, or a service with the same protocol. The node forwards its text unchanged.
    GoogleLegacy(Endpoint),
    /// The configuration names no source: every query gets the error form, and no thread starts.
    Missing,
}

/// The address of an upstream and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Replaces Google's address; the node appends query parameters. See [`check_url`].
    pub url: Option<String>,
    /// The key. The node does not ask Google's own address without a key. Other addresses need none.
    pub key: Option<Key>,
}

/// A proxy's address. It may hold a password, so `Debug` prints dots.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(pub(super) String);

impl ProxyUrl {
    /// A proxy's address, `http://[user:password@]host[:port]`. The node asks the proxy for a tunnel (CONNECT), so the proxy
    /// sees the upstream's name and, with https, nothing else.
    ///
    /// # Errors
    /// The reason why `text` is not such an address. The message does not hold `text`.
    pub fn new(text: &str) -> Result<Self, String> {
        let is_proxy = cfg!(not(feature = "upstream")) || ureq::Proxy::new(text).is_ok();
        let is_http = text.starts_with("http://") && is_proxy;
        if is_http && is_visible(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("it is not a proxy address such as http://proxy.example:3128".to_owned())
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyUrl(..)")
    }
}

/// How [`Places`](crate::places::Places) starts. [`Settings::new`] sets defaults; the caller may change every member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The source of answers.
    pub source: Source,
    /// A places file that answers when `source` cannot. Unused when `source` is offline or missing.
    pub fallback: Option<PathBuf>,
    /// Most queries that wait for an answer. The node refuses one more at once. See [`PLACES_QUEUE_MAX`].
    pub queue_max: usize,
    /// Most worker threads, 1 to [`WORKERS_MAX`]. An offline source always uses one.
    pub workers: usize,
    /// Most queries to the upstream in a minute, up to [`QUERIES_PER_MINUTE_MAX`](crate::places::QUERIES_PER_MINUTE_MAX).
    /// `None` means unlimited.
    pub queries_per_minute: Option<u32>,
    /// Time limit of a query in milliseconds, from [`Places::ask`](crate::places::Places::ask) on.
    pub timeout_ms: u64,
    /// Time limit of a connect to the upstream in milliseconds, TLS included.
    pub connect_ms: u64,
    /// How long upstream answers stay cached, in seconds; 0 caches nothing. Google's terms forbid to store its content, so
    /// set this only for a service of your own. See [`cache`](super::pool::cache).
    pub cache_s: u64,
    /// The proxy in front of the upstream. The node ignores the environment's proxy variables.
    pub proxy: Option<ProxyUrl>,
    /// A file of PEM certificates that TLS trusts instead of the built-in roots.
    pub ca_file: Option<PathBuf>,
    /// Length of the pause after [`BREAKER_FAILURES`](crate::places::BREAKER_FAILURES) failures in a row, in milliseconds. The
    /// node does not ask the upstream in the pause.
    pub pause_ms: u64,
    /// A worker without work for this long ends, except the last one. In milliseconds.
    pub idle_ms: u64,
}

/// Most waiting queries by default: one for each client connection, because a client has one query at a time. So a
/// client waits and is not refused. A waiting query takes about 200 bytes.
pub const PLACES_QUEUE_MAX: usize = 4096;

/// Queries that wait for the upstream when a fallback exists. When an address has its share of them, the fallback
/// answers its other queries.
pub const PLACES_UPSTREAM_QUEUE_MAX: usize = 64;

/// Most worker threads. Each one holds a connection's buffers and a stack during a query.
pub const WORKERS_MAX: usize = 64;

/// Worker threads by default.
pub const WORKERS_DEFAULT: usize = 8;

/// Time limit of a query by default, in milliseconds.
pub const TIMEOUT_MS_DEFAULT: u64 = 8_000;

/// Time limit of a connect by default, in milliseconds.
pub const CONNECT_MS_DEFAULT: u64 = 3_000;

/// Length of a pause after repeated failures by default, in milliseconds.
pub const PAUSE_MS_DEFAULT: u64 = 30_000;

/// How long a worker waits for work by default, in milliseconds.
pub const IDLE_MS_DEFAULT: u64 = 10_000;

impl Settings {
    /// `source`, no fallback, and the default limits.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            fallback: None,
            queue_max: PLACES_QUEUE_MAX,
            queries_per_minute: None,
            workers: WORKERS_DEFAULT,
            timeout_ms: TIMEOUT_MS_DEFAULT,
            connect_ms: CONNECT_MS_DEFAULT,
            cache_s: 0,
            proxy: None,
            ca_file: None,
            pause_ms: PAUSE_MS_DEFAULT,
            idle_ms: IDLE_MS_DEFAULT,
        }
    }
}

/// Longest address of an upstream, in bytes.
const URL_BYTES_MAX: usize = 1024;

/// Whether `url` can replace Google's address.
///
/// # Errors
/// The reason, in a few words: `url` is not an `http` or `https` address of a host. Or it is longer than 1,024 bytes, or it
/// holds white space, a user or a fragment. Or it is `https` and this build has no TLS.
pub fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or(""));
    if url.len() > URL_BYTES_MAX {
        return Err(format!("it is longer than {URL_BYTES_MAX} bytes"));
    }
    match authority {
        _ if url.contains('#') => Err("a fragment (#) is never sent; leave it out".to_owned()),
        Some(authority) if authority.contains('@') => {
            Err("a user or a password does not belong into it".to_owned())
        }
        Some(authority) if is_host(authority) && is_visible(url) && is_uri(url) => {
            if url.starts_with("https://") && !cfg!(feature = "tls") {
                return Err("this build has no TLS; build it with the feature \"tls\"".to_owned());
            }
            Ok(())
        }
        _ => Err("it is not an address such as https://host/path".to_owned()),
    }
}

/// Whether an observer on the network can read a key sent to `url`: plain `http` to another machine.
pub fn sends_key_in_clear(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?']).next().unwrap_or("");
    let is_ip_of_this = |host: &str| host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    !(name == "localhost" || is_ip_of_this(name))
}

/// Whether `authority` has a name or an address and, after a colon, a port.
fn is_host(authority: &str) -> bool {
    let name_end = authority.find(']').unwrap_or(0);
    match authority[name_end..].split_once(':') {
        Some((name, port)) => !name.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => !authority.is_empty(),
    }
}

/// A build that asks no upstream refuses the configuration anyway, and has no parser of addresses.
fn is_uri(text: &str) -> bool {
    cfg!(not(feature = "upstream")) || text.parse::<ureq::http::Uri>().is_ok()
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for url in ["http://127.0.0.1:8080/nearby", "http://[::1]/a?b=c", "http://places.example"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        let long = format!("http://x/{}", "y".repeat(1_100));
        let table = [
            ("", "not an address"),
            ("ftp://x/", "not an address"),
            ("http:///x", "not an address"),
            ("http://x/ y", "not an address"),
            ("http://x/\u{e9}", "not an address"),
            ("http://x:99999999/", "not an address"),
            ("http://u:p@x/", "password"),
            ("http://x/#a", "fragment"),
            (long.as_str(), "longer"),
        ];
        for (url, expected) in table {
            let error = check_url(url).expect_err("it is refused");
            assert!(error.contains(expected), "{url}: {error}");
        }
        assert_eq!(check_url("https://x/").is_ok(), cfg!(feature = "tls"));
    }

    #[test]
    fn keys_in_the_clear_are_noticed() {
        for url in
            ["https://x/", "http://localhost/", "http://127.0.0.9:80/", "http://[::1]:80/x", "http://[::1]"]
        {
            assert!(!sends_key_in_clear(url), "{url}");
        }
        for url in
            ["http://x/", "http://10.0.0.1:80", "http://[2001:db8::1]:80/", "http://localhost.example/"]
        {
            assert!(sends_key_in_clear(url), "{url}");
        }
    }

    #[test]
    fn a_proxy_is_not_shown() {
        let proxy = ProxyUrl::new("http://me:secret@proxy.example:3128").expect("a proxy");
        assert_eq!(format!("{proxy:?}"), "ProxyUrl(..)");
        for text in ["", "proxy", "https://x", "socks5://x", "http://", "http://a b"] {
            assert!(ProxyUrl::new(text).is_err(), "{text}");
        }
    }
}
