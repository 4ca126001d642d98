//! The answers. None sends a phone elsewhere: iOS does not follow.

use super::Format;

/// The answer to a request that is accepted, used or not.
pub(super) fn accepted(format: Format, friends: Option<&str>) -> String {
    match format {
        Format::OwnTracks => whole(200, "application/json", "", friends.unwrap_or("[]")),
        Format::Overland => whole(200, "application/json", "", "{\"result\":\"ok\"}"),
        Format::Traccar => whole(200, "text/plain", "", ""),
    }
}

/// The answer to a request that is refused.
pub(super) fn refused(status: u16) -> String {
    let (more, body) = match status {
        401 => (
            "WWW-Authenticate: Basic realm=\"herd\"\r\n",
            "a report needs the token of its client, which `herd token --phone NAME` prints\n",
        ),
        403 => ("", "a web page may not report\n"),
        405 => ("Allow: GET, POST\r\n", "GET and POST report positions\n"),
        411 => ("", "the body needs a Content-Length\n"),
        413 => ("", "the body is too large: send fewer points at a time\n"),
        421 => ("", "without a key_file a report must name this machine\n"),
        503 => ("Retry-After: 10\r\n", "too many large reports at once\n"),
        _ => ("", "this is not HTTP as a phone sends it\n"),
    };
    whole(status, "text/plain", more, body)
}

fn whole(status: u16, content_type: &str, more: &str, body: &str) -> String {
    let reason = match status {
        200 => "OK",
        401 => "Unauthorized",
        403 => "Forbidden",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Bad Request",
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n{more}Content-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    )
}
