//! The node's HTTP listener, read-only, if the configuration has one.
//!
//! `/metrics` and `/healthz` contain no client data. The page at `/`, its event stream (`/events`) and `/clients` contain
//! positions of people. From another machine they require the herd's token. On the board itself they require the board's own
//! `Host`, so that a page of the internet cannot read them through a browser (DNS rebinding). A request that a proxy on the
//! board passed on counts as one from another machine.
//!
//! One request per connection, GET or HEAD, with a head of bounded length in bounded time. Independent of the runtime.

mod accept;
mod list;
mod send_list;
mod serve;
#[cfg(feature = "page")]
mod towns;

pub use accept::Coding;
pub use list::{LIST_EVERY_MS, LIST_LOOK_MS, LIST_MS_MAX, ListForm, Lists};
pub(crate) use send_list::write_clients;
pub(crate) use serve::serve;

#[cfg(feature = "page")]
use std::borrow::Cow;
use std::cell::Cell;
use std::net::SocketAddr;

use super::client_id;
use super::metrics::Format;
use super::target::{Target, is_of_this_machine, target};
use super::token;
use crate::places::file::towns::Rectangle;
use crate::proto::auth::Keys;
use crate::proto::fields::{ClientId, ItemLimit, Radius};
use accept::format;

/// The longest head of a request, in bytes. A longer one is answered by 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 4096;
/// The most headers of a request. More are answered by 431.
pub const HTTP_HEADERS_MAX: usize = 32;
/// Connections at once. Further ones wait in the kernel's queue.
pub const HTTP_CONNECTIONS_MAX: usize = 16;
/// A connection has so long for its request, in milliseconds, and as long to take its answer.
pub const HTTP_MS_MAX: u64 = 5_000;

const TEXT: &str = "text/plain; charset=utf-8";
/// Server-sent events.
pub const EVENTS: &str = "text/event-stream";
/// `/clients` and `/near/ID`.
pub const JSON: &str = "application/json";
/// `/clients.geojson` (RFC 7946, 12).
const GEOJSON: &str = "application/geo+json";

/// The page, compressed, and the policy that allows it its own script and style alone.
#[cfg(feature = "page")]
mod file {
    pub(super) const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));
    pub(super) const POLICY: &str = include_str!(concat!(env!("OUT_DIR"), "/policy"));

    /// The head and the trailer of a gzip file without a name (RFC 1952 2.3).
    const HEAD_BYTES: usize = 10;
    const TRAILER_BYTES: usize = 8;

    /// The page as it was before it was compressed: some 50 KB, for the time of an answer.
    pub(super) fn unpacked() -> Vec<u8> {
        let deflated = &COMPRESSED[HEAD_BYTES..COMPRESSED.len() - TRAILER_BYTES];
        miniz_oxide::inflate::decompress_to_vec(deflated).expect("this program compressed it")
    }
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The figures of the node, in the format that the client prefers.
    Metrics(Format),
    /// That it is there.
    Health,
    /// The page for people, in an encoding that the client accepts.
    Root(Coding),
    /// All clients, and then what changes.
    Events,
    /// All clients.
    Clients(ListForm),
    /// The places near a client.
    Near(ClientId, Radius, ItemLimit),
    /// The towns of a rectangle.
    Towns(Rectangle),
}

impl Page {
    /// Whether it contains positions of people, or costs more than a stranger may cause.
    #[must_use]
    fn is_personal(&self) -> bool {
        !matches!(self, Page::Metrics(_) | Page::Health)
    }
}

/// Decides which requests may read the pages with positions.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Only this machine can reach the listener.
    is_loopback: bool,
    keys: Option<Keys>,
}

impl Guard {
    /// For a listener of this address, in a herd with these keys.
    #[must_use]
    pub fn new(listener: SocketAddr, keys: Option<Keys>) -> Self {
        Guard { is_loopback: listener.ip().to_canonical().is_loopback(), keys }
    }

    /// `Ok` if a request may read this page, else the HTTP status of the refusal.
    fn admit(&self, page: &Page, host: Option<&[u8]>, headers: &[httparse::Header]) -> Result<(), u16> {
        let header = |name: &str| {
            let mut headers = headers.iter();
            headers.find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
        };
        if !page.is_personal() {
            return Ok(());
        }
        match &self.keys {
            // A browser always sends the host of the address that it opens.
            _ if self.is_loopback && !headers.iter().any(is_of_proxy) => match host {
                Some(host) if !is_of_this_machine(host) => Err(421),
                _ => Ok(()),
            },
            None => Err(403),
            Some(keys) if header("authorization").is_some_and(|value| token::opens(keys, value)) => Ok(()),
            Some(_) => Err(401),
        }
    }
}

/// Whether a proxy adds this header to the requests that it passes on.
fn is_of_proxy(header: &httparse::Header) -> bool {
    let name = header.name.to_ascii_lowercase();
    matches!(&*name, "forwarded" | "x-real-ip" | "via") || name.starts_with("x-forwarded-")
}

/// Counters of requests since the start.
#[derive(Debug, Default)]
pub struct HttpCounters {
    answered: Cell<u64>,
    denied: Cell<u64>,
    refused: Cell<u64>,
}

impl HttpCounters {
    /// Counts a request that was read.
    pub fn count(&self, asked: &Asked) {
        let counter = match asked {
            Asked::Page(..) => &self.answered,
            Asked::Wrong(401 | 403 | 421) => &self.denied,
            Asked::Wrong(_) | Asked::More => &self.refused,
        };
        counter.set(counter.get() + 1);
    }

    /// Requests that got their page; that were denied, without the token or with a foreign name; that were refused.
    #[must_use]
    pub fn all(&self) -> [u64; 3] {
        [self.answered.get(), self.denied.get(), self.refused.get()]
    }
}

/// What has come so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// More has to come.
    More,
    /// A page, and whether its head is enough.
    Page(Page, bool),
    /// Something else, with the status that says so.
    Wrong(u16),
}

/// Reads the head of a request.
#[must_use]
pub fn asked(bytes: &[u8], guard: &Guard) -> Asked {
    let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() >= HTTP_HEAD_BYTES_MAX => Asked::Wrong(431),
        Ok(httparse::Status::Partial) => Asked::More,
        Err(httparse::Error::TooManyHeaders) => Asked::Wrong(431),
        Err(_) => Asked::Wrong(400),
        Ok(httparse::Status::Complete(_)) => {
            let Some(Target { host, path, query }) = target(&request) else { return Asked::Wrong(400) };
            let is_head = request.method == Some("HEAD");
            if !is_head && request.method != Some("GET") {
                return Asked::Wrong(405);
            }
            let values = |name: &str, take: &mut dyn FnMut(&str)| {
                let named = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
                named.filter_map(|header| str::from_utf8(header.value).ok()).for_each(take);
            };
            let page = match path {
                "/metrics" => Page::Metrics(format(&|take| values("accept", take))),
                "/healthz" => Page::Health,
                "/clients" => Page::Clients(ListForm::Json),
                "/clients.geojson" => Page::Clients(ListForm::GeoJson),
                #[cfg(feature = "page")]
                "/" => Page::Root(accept::coding(&|take| values("accept-encoding", take))),
                "/events" => Page::Events,
                "/towns" if cfg!(feature = "page") => match Rectangle::parse(query) {
                    None => return Asked::Wrong(400),
                    Some(area) => Page::Towns(area),
                },
                _ => match path.strip_prefix("/near/").filter(|_| cfg!(feature = "page")) {
                    None => return Asked::Wrong(404),
                    Some(id) => match near(id, query) {
                        None => return Asked::Wrong(400),
                        Some(page) => page,
                    },
                },
            };
            let admitted = guard.admit(&page, host, request.headers);
            admitted.map_or_else(Asked::Wrong, |()| Asked::Page(page, is_head))
        }
    }
}

/// The places near the client of an encoded id, within a radius and as many as the query says. `None` for a number that WHATSAT
/// would not take, or a text that is not an id.
fn near(id: &str, query: &str) -> Option<Page> {
    let (mut radius_km, mut items) = ("10", "5");
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "radius_km" => radius_km = value,
            "items" => items = value,
            _ => {}
        }
    }
    let client = ClientId::parse(&client_id::decoded(id.as_bytes())?)?;
    Some(Page::Near(client, Radius::parse(radius_km.as_bytes())?, ItemLimit::parse(items.as_bytes())?))
}

/// The whole answer with a page.
#[must_use]
pub fn page(content_type: &str, body: &str, is_head: bool) -> String {
    let length = format!("Content-Length: {}\r\n", body.len());
    head(200, content_type, &length) + if is_head { "" } else { body }
}

/// The head of an answer of unknown length. A proxy that buffers answers must not hold events back.
#[must_use]
pub fn stream_head(content_type: &str) -> String {
    head(200, content_type, if content_type == EVENTS { "X-Accel-Buffering: no\r\n" } else { "" })
}

/// The head of the page for people, and its bytes.
#[cfg(feature = "page")]
#[must_use]
pub fn root(coding: Coding) -> (String, Cow<'static, [u8]>) {
    let (body, encoding) = match coding {
        Coding::Gzip => (Cow::Borrowed(file::COMPRESSED), "Content-Encoding: gzip\r\n"),
        // The program holds the page compressed alone: few clients ask for it otherwise.
        Coding::Identity => (Cow::Owned(file::unpacked()), ""),
    };
    let more = format!(
        "Content-Length: {}\r\n{encoding}Vary: Accept-Encoding\r\nContent-Security-Policy: {}\r\nReferrer-Policy: no-referrer\r\n",
        body.len(),
        file::POLICY
    );
    (head(200, "text/html; charset=utf-8", &more), body)
}

/// The whole answer to `/healthz`.
#[must_use]
pub fn health(is_head: bool) -> String {
    page(TEXT, "ok\n", is_head)
}

/// The whole answer to a refused request.
#[must_use]
pub fn refusal(status: u16) -> String {
    let (more, remedy) = match status {
        401 => (
            "WWW-Authenticate: Basic realm=\"herd\", charset=\"UTF-8\"\r\n",
            ": positions are personal data; log in with any user name and the token that `herd token` prints on a board",
        ),
        403 => (
            "",
            ": positions are personal data, and a token requires a key; add a key_file to the configuration",
        ),
        405 => ("Allow: GET, HEAD\r\n", ""),
        421 => ("", ": open this node by its IP address or as localhost"),
        429 => ("Retry-After: 1\r\n", ": another list is being sent; ask less often, or read /events"),
        503 => ("Retry-After: 10\r\n", ": too many viewers; close another page"),
        _ => ("", ""),
    };
    let body = format!("{}{remedy}\n", reason(status));
    head(status, TEXT, &format!("{more}Content-Length: {}\r\n", body.len())) + &body
}

fn head(status: u16, content_type: &str, more: &str) -> String {
    let reason = reason(status);
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n{more}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Bad Request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_read_or_refused() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HTTP_HEADERS_MAX + 1));
        let long = format!("GET /{}", "x".repeat(HTTP_HEAD_BYTES_MAX));
        let guard = Guard::new("127.0.0.1:1".parse().expect("an address"), None);
        let of_page = |status| Asked::Wrong(if cfg!(feature = "page") { status } else { 404 });
        for (text, expected) in [
            ("", Asked::More),
            ("GET /metrics HTTP/1.1\r\nHost: a", Asked::More),
            (
                "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
                Asked::Page(Page::Metrics(Format::OpenMetrics), false),
            ),
            ("GET /metrics HTTP/1.0\r\n\r\n", Asked::Page(Page::Metrics(Format::OpenMetrics), false)),
            ("HEAD /healthz?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", Asked::Page(Page::Health, true)),
            ("GET /events HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", Asked::Page(Page::Events, false)),
            (
                "HEAD /clients HTTP/1.1\r\nHost: [::1]:1\r\n\r\n",
                Asked::Page(Page::Clients(ListForm::Json), true),
            ),
            (
                "GET /clients.geojson HTTP/1.1\r\nHost: [::1]:1\r\n\r\n",
                Asked::Page(Page::Clients(ListForm::GeoJson), false),
            ),
            ("GET /near/a%20b HTTP/1.1\r\nHost: [::1]\r\n\r\n", of_page(400)),
            ("GET /near/ HTTP/1.1\r\nHost: [::1]\r\n\r\n", of_page(400)),
            ("GET /near/a?radius_km=51 HTTP/1.1\r\nHost: [::1]\r\n\r\n", of_page(400)),
            ("GET /near/a?items=21&radius_km=2 HTTP/1.1\r\nHost: [::1]\r\n\r\n", of_page(400)),
            ("GET /near/a HTTP/1.1\r\nHost: evil.example\r\n\r\n", of_page(421)),
            ("GET /towns?1,2,3,4 HTTP/1.1\r\nHost: a\r\n\r\n", of_page(421)),
            ("GET /towns HTTP/1.1\r\nHost: [::1]\r\n\r\n", of_page(400)),
            ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", Asked::Wrong(404)),
            ("GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", Asked::Wrong(404)),
            ("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Asked::Wrong(405)),
            ("get /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Asked::Wrong(405)),
            ("GET /metrics HTTP/1.1\r\n\r\n", Asked::Wrong(400)),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Asked::Wrong(400)),
            ("GET http://a:1/healthz HTTP/1.1\r\nHost: a:1\r\n\r\n", Asked::Page(Page::Health, false)),
            ("GET http://evil.example/clients HTTP/1.1\r\nHost: [::1]\r\n\r\n", Asked::Wrong(421)),
            (
                "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n",
                Asked::Page(Page::Metrics(Format::Text), false),
            ),
            ("IAMAT kiwi +1+1 1\r\n\r\n", Asked::Wrong(400)),
            ("GET /metrics HTTP/1.1\r\nbad header\r\n\r\n", Asked::Wrong(400)),
            (&many, Asked::Wrong(431)),
            (&long, Asked::Wrong(431)),
        ] {
            assert_eq!(asked(text.as_bytes(), &guard), expected, "{text:?}");
        }
    }

    #[test]
    fn positions_need_loopback_or_the_token() {
        let keys = Keys::new([1; 32], None);
        let token = token::Token::of_page(&keys).next().expect("a key").to_string();
        let here = Guard::new("127.0.0.1:1".parse().expect("an address"), Some(keys.clone()));
        let everywhere = Guard::new("0.0.0.0:1".parse().expect("an address"), Some(keys));
        let keyless_here = Guard::new("[::1]:1".parse().expect("an address"), None);
        let keyless = Guard::new("[2001:db8::1]:1".parse().expect("an address"), None);
        let page = || Asked::Page(Page::Clients(ListForm::Json), false);
        for (guard, headers, expected) in [
            (&here, "", Asked::Wrong(400)),
            (&here, "Host: 127.0.0.1:8011\r\n", page()),
            (&here, "host: localhost\r\n", page()),
            (&here, "Host: LOCALHOST:1\r\n", page()),
            (&here, "Host: [::1]\r\n", page()),
            (&here, "Host: evil.example:1\r\n", Asked::Wrong(421)),
            (&here, "Host: \r\n", Asked::Wrong(421)),
            (&here, "Host: localhost.evil.example\r\n", Asked::Wrong(421)),
            (&everywhere, "Host: hill.local\r\n", Asked::Wrong(401)),
            (&everywhere, "Host: 127.0.0.1\r\nAuthorization: Bearer x\r\n", Asked::Wrong(401)),
            (&everywhere, &format!("Host: hill.local\r\nauthorization: bearer {token}\r\n"), page()),
            (&keyless, &format!("Host: a\r\nAuthorization: Bearer {token}\r\n"), Asked::Wrong(403)),
            (&here, "Host: localhost\r\nForwarded: for=192.0.2.1\r\n", Asked::Wrong(401)),
            (&here, "Host: localhost\r\nx-forwarded-for: 192.0.2.1\r\n", Asked::Wrong(401)),
            (&here, "Host: localhost\r\nX-Forwarded-Proto: https\r\n", Asked::Wrong(401)),
            (&here, "Host: localhost\r\nX-REAL-IP: \r\n", Asked::Wrong(401)),
            (&here, "Host: localhost\r\nVia: 1.1 caddy\r\n", Asked::Wrong(401)),
            (
                &here,
                &format!("Host: herd.example\r\nVia: 1.1 caddy\r\nAuthorization: Bearer {token}\r\n"),
                page(),
            ),
            (&keyless_here, "Host: localhost\r\n", page()),
            (&keyless_here, "Host: localhost\r\nX-Forwarded-For: ::1\r\n", Asked::Wrong(403)),
        ] {
            let text = format!("GET /clients HTTP/1.1\r\n{headers}\r\n");
            assert_eq!(asked(text.as_bytes(), guard), expected, "{text:?} to {guard:?}");
            let open = text.replace("/clients", "/metrics");
            if expected == Asked::Wrong(400) {
                continue;
            }
            assert_eq!(
                asked(open.as_bytes(), guard),
                Asked::Page(Page::Metrics(Format::OpenMetrics), false),
                "{open:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_request_without_the_token_opens_a_personal_page(
            path in "/(events|clients(.geojson)?|near/a|towns\\?0,0,1,1|)?(\\?.{0,8})?",
            header in "(Host|Authorization|authorization|Cookie|X)",
            value in "(Basic |Bearer |basic|)[ -~]{0,40}",
            at in 0..80_usize,
            byte: u8,
        ) {
            let guard = Guard::new("192.0.2.1:1".parse().expect("an address"), Some(Keys::new([1; 32], None)));
            let mut bytes = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}: {value}\r\n\r\n").into_bytes();
            for spoilt in [None, Some(at)] {
                if let Some(at) = spoilt.filter(|&at| at < bytes.len()) {
                    bytes[at] = byte;
                }
                let asked = asked(&bytes, &guard);
                let is_open = matches!(asked, Asked::Page(Page::Metrics(_) | Page::Health, _) | Asked::Wrong(_) | Asked::More);
                prop_assert!(is_open, "{:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn an_answer_has_its_length_and_a_head_no_body() {
        let whole = health(false);
        assert!(whole.ends_with("Content-Length: 3\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nok\n"));
        assert_eq!(health(true), whole.strip_suffix("ok\n").expect("just seen"));
        assert!(stream_head(EVENTS).contains("\r\nX-Accel-Buffering: no\r\n"));
        assert!(!stream_head(JSON).contains("X-Accel"));
        assert!(refusal(401).contains("\r\nWWW-Authenticate: Basic realm="));
        assert!(refusal(405).contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(refusal(400).starts_with("HTTP/1.1 400 Bad Request\r\n"));
    }

    #[cfg(feature = "page")]
    #[test]
    fn a_client_gets_the_page_that_it_can_read() {
        let guard = Guard::new("127.0.0.1:1".parse().expect("an address"), None);
        for (header, coding) in [
            ("", Coding::Identity),
            ("Accept-Encoding: identity\r\n", Coding::Identity),
            ("Accept-Encoding: gzip;q=0\r\n", Coding::Identity),
            ("Accept-Encoding: br\r\naccept-encoding: gzip\r\n", Coding::Gzip),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
            assert_eq!(asked(text.as_bytes(), &guard), Asked::Page(Page::Root(coding), false), "{header:?}");
            let (head, body) = root(coding);
            assert_eq!(head.contains("\r\nContent-Encoding: gzip\r\n"), coding == Coding::Gzip);
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
            assert_eq!(body.starts_with(b"<!doctype html>"), coding == Coding::Identity);
        }
        // Below a path, such as /herd/ of a proxy, an address from the root is another site's.
        let (_, page) = root(Coding::Identity);
        let page = str::from_utf8(&page).expect("UTF-8");
        for rooted in ["href=\"/", "src=\"/", "EventSource('/", "fetch('/"] {
            assert!(!page.contains(rooted), "{rooted}");
        }
    }
}
