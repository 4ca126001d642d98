//! The head of a request: what it says of its body, and where it comes from.
//!
//! This module must not know tokens or formats.

use super::{
    PHONE_DROPPED_BYTES_MAX, PHONE_HEAD_BYTES_MAX, PHONE_HEADERS_MAX, PHONE_LARGE_BODY_BYTES_MAX, PhoneGuard,
    Rejected,
};
use crate::server::target::{Target, is_of_this_machine, target};

/// A head that has been read.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) authorization: Option<&'a [u8]>,
    /// The user and the device, as OwnTracks for Android and iOS name them.
    pub(super) limit_user: Option<&'a str>,
    pub(super) limit_device: Option<&'a str>,
}

/// What has come of a head.
#[derive(Debug, PartialEq, Eq)]
pub enum HeadState {
    /// More has to come.
    More,
    /// It cannot be read, and neither can its body.
    Refused(Rejected, u16),
    /// It is whole, and this long.
    Whole(usize, Body),
}

/// What follows a head.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// Its length.
    pub bytes: usize,
    /// The client waits for a word before it sends the body (RFC 9110, 10.1.1).
    pub expects_continue: bool,
    /// The answer, whatever the body is. The body is read and dropped before it.
    pub refusal: Option<(Rejected, u16)>,
}

/// Reads the head of a request.
#[must_use]
pub fn read_head(bytes: &[u8], guard: &PhoneGuard) -> HeadState {
    let mut headers = [httparse::EMPTY_HEADER; PHONE_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let malformed = |status| HeadState::Refused(Rejected::Malformed, status);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < PHONE_HEAD_BYTES_MAX => return HeadState::More,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return malformed(431),
        Err(_) => return malformed(400),
    };
    let Some(target) = target(&request) else { return malformed(400) };
    if header(&request, "transfer-encoding").is_some() {
        return malformed(411);
    }
    let Some(bytes) = content_length(&request) else { return malformed(400) };
    let refusal = refusal(&request, &target, guard);
    let large = (bytes > PHONE_LARGE_BODY_BYTES_MAX).then_some((Rejected::Large, 413));
    let expects_continue =
        header(&request, "expect").is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    // A client that asks first sends nothing after a refusal.
    let is_too_large = expects_continue && bytes > PHONE_DROPPED_BYTES_MAX;
    let body = Body {
        bytes: if is_too_large { 0 } else { bytes },
        expects_continue: expects_continue && !is_too_large,
        refusal: refusal.or(large),
    };
    HeadState::Whole(length, body)
}

/// Whether the request is refused for its head alone.
fn refusal(request: &httparse::Request, target: &Target, guard: &PhoneGuard) -> Option<(Rejected, u16)> {
    // A browser sends one of these with a request that a page made, and a page must not make it report.
    let is_of_page = header(request, "origin").is_some()
        || header(request, "sec-fetch-site").is_some_and(|value| value != b"none");
    if is_of_page {
        return Some((Rejected::Browser, 403));
    }
    if guard.keys.is_none() {
        // Only this board reaches the listener, and a page of the internet must not through a browser (DNS rebinding).
        if !guard.is_loopback || !target.host.is_none_or(is_of_this_machine) {
            return Some((Rejected::Browser, 421));
        }
    }
    match request.method {
        Some("GET" | "POST") => None,
        _ => Some((Rejected::Malformed, 405)),
    }
}

/// The value of this header, of the first if there are several.
fn header<'a>(request: &httparse::Request<'_, 'a>, name: &str) -> Option<&'a [u8]> {
    let mut headers = request.headers.iter();
    headers.find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The length of the body. `None` if it is not a number, or two lengths differ.
fn content_length(request: &httparse::Request) -> Option<usize> {
    let mut lengths = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("content-length"));
    let Some(first) = lengths.next() else { return Some(0) };
    let is_number = !first.value.is_empty() && first.value.iter().all(u8::is_ascii_digit);
    if !is_number || lengths.any(|other| other.value != first.value) {
        return None;
    }
    // A number that does not fit is too large.
    Some(std::str::from_utf8(first.value).ok()?.parse().unwrap_or(usize::MAX))
}

impl<'a> Head<'a> {
    /// Reads a head that [`read_head`] has called whole.
    pub(super) fn parse<'h>(bytes: &'a [u8], headers: &'h mut [httparse::Header<'a>]) -> Result<Self, ()> {
        let mut request = httparse::Request::new(headers);
        let is_whole = request.parse(bytes).is_ok_and(|status| status.is_complete());
        let Target { path, query, .. } = target(&request).filter(|_| is_whole).ok_or(())?;
        let text = |name| header(&request, name).and_then(|value| std::str::from_utf8(value).ok());
        Ok(Head {
            path,
            query,
            authorization: header(&request, "authorization"),
            limit_user: text("x-limit-u").filter(|user| !user.is_empty()),
            limit_device: text("x-limit-d").filter(|device| !device.is_empty()),
        })
    }
}
