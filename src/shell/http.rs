//! What a node says over HTTP, where its map asks for that: `/metrics` and `/healthz`, to be read and nothing else.
//!
//! One request a connection, GET or HEAD, a head of bounded length in bounded time, an answer of known length. Knows nothing
//! of how a runtime waits. No client's id and no position is ever said here.

/// The longest head of a request, in bytes. A longer one is answered by 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 4096;
/// The most headers of a request. More are answered by 431.
pub const HTTP_HEADERS_MAX: usize = 32;
/// Connections at once. Whoever comes beyond that waits with the kernel.
pub const HTTP_CONNECTIONS_MAX: usize = 16;
/// A connection has so long for its request, in milliseconds, and as long to take its answer.
pub const HTTP_MS_MAX: u64 = 5_000;

const TEXT: &str = "text/plain; charset=utf-8";

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The figures of the node.
    Metrics,
    /// That it is there.
    Health,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
pub fn asked(bytes: &[u8]) -> Asked {
    let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() >= HTTP_HEAD_BYTES_MAX => Asked::Wrong(431),
        Ok(httparse::Status::Partial) => Asked::More,
        Err(httparse::Error::TooManyHeaders) => Asked::Wrong(431),
        Err(_) => Asked::Wrong(400),
        Ok(httparse::Status::Complete(_)) => {
            let is_head = request.method == Some("HEAD");
            if !is_head && request.method != Some("GET") {
                return Asked::Wrong(405);
            }
            // What follows a question mark is for pages that there are none of.
            match request.path.map(|path| path.split('?').next().unwrap_or_default()) {
                Some("/metrics") => Asked::Page(Page::Metrics, is_head),
                Some("/healthz") => Asked::Page(Page::Health, is_head),
                _ => Asked::Wrong(404),
            }
        }
    }
}

/// The whole answer to a page that is there.
#[must_use]
pub fn page(content_type: &str, body: &str, is_head: bool) -> String {
    answer(200, content_type, "", body, is_head)
}

/// The whole answer to somebody who wants to know whether the node is there: it is.
#[must_use]
pub fn health(is_head: bool) -> String {
    page(TEXT, "ok\n", is_head)
}

/// The whole answer to a request that makes no sense.
#[must_use]
pub fn refusal(status: u16) -> String {
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    answer(status, TEXT, allow, &format!("{}\n", reason(status)), false)
}

fn answer(status: u16, content_type: &str, more: &str, body: &str, is_head: bool) -> String {
    let (reason, length, body) = (reason(status), body.len(), if is_head { "" } else { body });
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{more}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}"
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Bad Request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_or_refused() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HTTP_HEADERS_MAX + 1));
        let long = format!("GET /{}", "x".repeat(HTTP_HEAD_BYTES_MAX));
        for (text, expected) in [
            ("", Asked::More),
            ("GET /metrics HTTP/1.1\r\nHost: a", Asked::More),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Asked::Page(Page::Metrics, false)),
            ("GET /metrics HTTP/1.0\r\n\r\n", Asked::Page(Page::Metrics, false)),
            ("HEAD /healthz?x=1 HTTP/1.1\r\n\r\n", Asked::Page(Page::Health, true)),
            ("GET / HTTP/1.1\r\n\r\n", Asked::Wrong(404)),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", Asked::Wrong(404)),
            ("POST /metrics HTTP/1.1\r\n\r\n", Asked::Wrong(405)),
            ("get /metrics HTTP/1.1\r\n\r\n", Asked::Wrong(405)),
            ("IAMAT kiwi +1+1 1\r\n\r\n", Asked::Wrong(400)),
            ("GET /metrics HTTP/1.1\r\nbad header\r\n\r\n", Asked::Wrong(400)),
            (&many, Asked::Wrong(431)),
            (&long, Asked::Wrong(431)),
        ] {
            assert_eq!(asked(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn an_answer_has_its_length_and_a_head_no_body() {
        let whole = health(false);
        assert!(whole.ends_with("Content-Length: 3\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nok\n"));
        assert_eq!(health(true), whole.strip_suffix("ok\n").expect("just seen"));
        assert!(refusal(405).contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(refusal(400).starts_with("HTTP/1.1 400 Bad Request\r\n"));
    }
}
