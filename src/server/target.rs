//! The host, the path and the query of an HTTP request (RFC 9112, 3.2).
//!
//! This module must not know pages or phones.

use std::net::IpAddr;

/// A request's host, if it has one, its path, and its query string without the question mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

/// Reads the target of a request. `None` if it is malformed: a client must send one `Host` header, which HTTP/1.0 does not
/// require. The host of an absolute target (`http://host:port/path`) takes the place of the header's.
pub(super) fn target<'a>(request: &httparse::Request<'_, 'a>) -> Option<Target<'a>> {
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().map(|header| header.value);
    let is_required = request.version != Some(0);
    if hosts.next().is_some() || (is_required && host.is_none()) || !host.is_none_or(is_host) {
        return None;
    }
    let target = request.path?;
    let split = |path: &'a str| path.split_once('?').unwrap_or((path, ""));
    let Some(rest) = after_scheme(target) else {
        let (path, query) = split(target);
        return Some(Target { host, path, query });
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || !is_host(authority.as_bytes()) {
        return None;
    }
    let (path, query) = split(path);
    let path = if path.is_empty() { "/" } else { path };
    Some(Target { host: Some(authority.as_bytes()), path, query })
}

/// Whether the value of a `Host` header is an address, or the name that every machine has for itself.
pub(super) fn is_of_this_machine(host: &[u8]) -> bool {
    let host = String::from_utf8_lossy(host);
    let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(&*host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// The rest of an absolute target of HTTP. A proxy on the way may have ended TLS, so the scheme may be https.
fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    ["http", "https"].iter().any(|name| scheme.eq_ignore_ascii_case(name)).then_some(rest)
}

/// Whether this has only the characters of a host and a port (RFC 3986, 3.2.2): no user's name, no blanks.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_path_and_one_host() {
        for (text, expected) in [
            ("GET /a?b HTTP/1.1\r\nHost: h:1\r\n\r\n", Some((Some("h:1"), "/a?b"))),
            ("GET /a HTTP/1.1\r\nhost:\r\n\r\n", Some((Some(""), "/a"))),
            ("GET /a HTTP/1.0\r\n\r\n", Some((None, "/a"))),
            ("GET /a HTTP/1.0\r\nHost: [::1]:80\r\n\r\n", Some((Some("[::1]:80"), "/a"))),
            ("GET http://g:2/a/b?c HTTP/1.1\r\nHost: h\r\n\r\n", Some((Some("g:2"), "/a/b?c"))),
            ("GET HTTPS://g HTTP/1.1\r\nHost: h\r\n\r\n", Some((Some("g"), "/"))),
            ("GET http://g?c HTTP/1.0\r\n\r\n", Some((Some("g"), "/?c"))),
            ("GET ftp://g/ HTTP/1.1\r\nHost: h\r\n\r\n", Some((Some("h"), "ftp://g/"))),
            ("GET /a?http://g/b HTTP/1.1\r\nHost: h\r\n\r\n", Some((Some("h"), "/a?http://g/b"))),
            ("GET /a HTTP/1.1\r\n\r\n", None),
            ("GET /a HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n", None),
            ("GET /a HTTP/1.0\r\nHost: h\r\nHost: g\r\n\r\n", None),
            ("GET /a HTTP/1.1\r\nHost: h g\r\n\r\n", None),
            ("GET /a HTTP/1.1\r\nHost: me@h\r\n\r\n", None),
            ("GET /a HTTP/1.1\r\nHost: http://h\r\n\r\n", None),
            ("GET http://g/a HTTP/1.1\r\n\r\n", None),
            ("GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", None),
            ("GET http://me@g/a HTTP/1.1\r\nHost: h\r\n\r\n", None),
        ] {
            let mut headers = [httparse::EMPTY_HEADER; 4];
            let mut request = httparse::Request::new(&mut headers);
            assert!(request.parse(text.as_bytes()).is_ok_and(|status| status.is_complete()), "{text:?}");
            let read = target(&request);
            let read = read.map(|Target { host, path, query }| (host.map(<[u8]>::to_vec), path, query));
            let expected = expected.map(|(host, path): (Option<&str>, &str)| {
                let (path, query) = path.split_once('?').unwrap_or((path, ""));
                (host.map(|host| host.as_bytes().to_vec()), path, query)
            });
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
