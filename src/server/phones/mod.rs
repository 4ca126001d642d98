//! Positions from the apps that phones and trackers have: OwnTracks, Traccar Client, GPSLogger, OsmAnd, Overland.
//!
//! A listener of its own takes HTTP requests, off unless the configuration has `phones`. This module decides: bytes in, updates
//! and an answer out, no socket. `serve` waits.
//!
//! **Content never makes an HTTP error.** OwnTracks for Android and Traccar Client put a message without a 2xx back at the head
//! of their queue and send it for ever, so one 400 would stop that phone. What cannot be used is counted and answered as if it
//! was. Only a missing token (401), a browser (403), a body that is too large (413) and a busy node (503) are errors.
//!
//! The format follows from the content: `Content-Type` and path differ from app to app. What each app sends is from its source;
//! docs/CLIENTS.md lists them.

mod answer;
mod counters;
mod credentials;
mod form;
mod friends;
mod overland;
mod owntracks;
mod request;
mod serve;
#[cfg(test)]
mod tests;
mod traccar;

pub use counters::{FORMATS, PhoneCounters, PhoneStats, REJECTED};
pub(crate) use counters::{Phones, Turn};
pub(crate) use serve::serve;

pub use request::{Body, HeadState, read_head};

use self::credentials::Credentials;
use self::request::Head;
use super::iamat::{self, Fix};
use crate::config::PhoneSettings;
use crate::places::json;
use crate::proto::auth::Keys;

/// Connections at once. A new one closes the oldest that has not sent its request; further ones wait in the kernel's queue.
pub const PHONES_MAX: usize = 16;
/// The longest head of a request, in bytes. A longer one is answered by 431.
pub const PHONE_HEAD_BYTES_MAX: usize = 4096;
/// The most headers of a request. More are answered by 431.
pub const PHONE_HEADERS_MAX: usize = 32;
/// The most fields of a form, and of a query; further ones are not looked at. Apps send 15. Each is compared with each wanted name,
/// before the token is known to be right.
pub const PHONE_FIELDS_MAX: usize = 64;
/// A body up to here is read into the connection's own buffer, in bytes.
pub const PHONE_BODY_BYTES: usize = 8192;
/// A body up to here is read into the one large buffer, in bytes. A longer one is answered by 413: 200 points of Overland are
/// 77 to 120 KB.
pub const PHONE_LARGE_BODY_BYTES_MAX: usize = 131_072;
/// So much of a refused body is read before the answer, in bytes: a client that still sends does not see an answer.
pub const PHONE_DROPPED_BYTES_MAX: usize = 1024 * 1024;
/// A connection has so long for the head of its request, in milliseconds.
pub const PHONE_HEAD_MS_MAX: u64 = 5_000;
/// And so long for the body. OkHttp gives up after 10 s without an answer, iOS after 60.
pub const PHONE_BODY_MS_MAX: u64 = 20_000;
/// A large body waits so long for the large buffer, in milliseconds, and is answered by 503 then.
pub const PHONE_LARGE_WAIT_MS_MAX: u64 = 4_000;
/// The client that has the large buffer has so long for each 4 KB, in milliseconds: others wait for it.
pub const PHONE_LARGE_PIECE_MS: u64 = 2_000;
/// A request whose body has no known end is read for so long before it is refused, in milliseconds.
pub const PHONE_REFUSED_MS: u64 = 300;
/// JSON that nests deeper is malformed.
pub const PHONE_JSON_DEPTH_MAX: usize = 32;
/// Devices of one Overland batch. Points of further ones are ignored: each is a search for its token.
pub const BATCH_DEVICES_MAX: usize = 16;
/// The newest other clients, which an answer to OwnTracks may have.
pub const FRIENDS_MAX: usize = 64;

/// What decides which requests may report.
#[derive(Clone, Copy, Debug)]
pub struct PhoneGuard<'a> {
    /// Only this machine can reach the listener.
    pub is_loopback: bool,
    /// The herd's keys. Without, every request may report, and the listener is on loopback.
    pub keys: Option<&'a Keys>,
    /// What the configuration says.
    pub settings: &'a PhoneSettings,
}

/// The format of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OwnTracks in HTTP mode.
    OwnTracks,
    /// Traccar's OsmAnd protocol: Traccar Client, OsmAnd, GPSLogger.
    Traccar,
    /// A batch of Overland.
    Overland,
}

/// Why a point was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Malformed JSON.
    Json,
    /// The device has no name, or one that is not an id.
    Id,
    /// It has no position, or one off the globe, or exactly 0, 0, or the tracker says that it has no fix.
    Position,
    /// It has no time, or one too far ahead.
    Time,
    /// A message of OwnTracks that is not a location, or that a herd made.
    Type,
    /// An encrypted message of OwnTracks.
    Encrypted,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// No token of the name, or of no name of the batch.
    Token,
    /// A web page made the browser send it.
    Browser,
    /// The body is too large.
    Large,
    /// The large buffer is in use.
    Busy,
    /// It is not HTTP as the node reads it.
    Malformed,
}

/// Points that were not used, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredCounts(pub [u64; IGNORED.len()]);

/// The reasons, in the order of the counts.
pub const IGNORED: [&str; 6] = ["json", "id", "position", "time", "type", "encrypted"];

impl IgnoredCounts {
    fn add(&mut self, why: Ignored) {
        self.0[why as usize] += 1;
    }
}

/// A client of a request, and where it is, if the request says so.
#[derive(Debug, PartialEq)]
struct Point {
    /// The client's id, if the request has a valid one.
    id: Option<String>,
    fix: Option<Fix>,
}

/// What a request says.
#[derive(Debug, PartialEq)]
struct Content {
    format: Format,
    /// One, or one a device.
    points: Vec<Point>,
    ignored: IgnoredCounts,
}

/// An update for the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneUpdate {
    /// The name whose token it came with. New clients count against its quota. None without keys.
    pub name: Option<String>,
    /// The client's id.
    pub id: String,
    /// The line, without its end.
    pub line: String,
}

/// What follows from a request.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// It is refused.
    Refused(Rejected, u16),
    /// It is accepted, used or not.
    Accepted {
        /// Its format, which decides the answer.
        format: Format,
        /// For the node.
        updates: Vec<PhoneUpdate>,
        /// Points that were not used.
        ignored: IgnoredCounts,
        /// Points whose device has another token.
        foreign: u64,
    },
}

/// Decides about a whole request. `now_s` is the time in seconds for a point that has none, where the clock is trusted.
#[must_use]
pub fn decide(head: &[u8], body: &[u8], guard: &PhoneGuard, now_s: Option<&str>) -> Decision {
    let mut headers = [httparse::EMPTY_HEADER; PHONE_HEADERS_MAX];
    let Ok(head) = Head::parse(head, &mut headers) else {
        return Decision::Refused(Rejected::Malformed, 400);
    };
    let credentials = Credentials::of(&head);
    let Content { format, points, mut ignored } = content(&head, body, &credentials, now_s);
    let (mut updates, mut foreign, mut authorised) = (Vec::new(), 0, 0);
    for Point { id, fix } in points {
        let Ok(name) = credentials.name(guard, id.as_deref()) else {
            foreign += 1;
            continue;
        };
        authorised += 1;
        match (id, fix) {
            (Some(id), Some(fix)) => {
                let line = iamat::line(&id, &fix);
                updates.push(PhoneUpdate { name, id, line });
            }
            (None, Some(_)) => ignored.add(Ignored::Id),
            (_, None) => {}
        }
    }
    match authorised {
        0 => Decision::Refused(Rejected::Token, 401),
        _ => Decision::Accepted { format, updates, ignored, foreign },
    }
}

/// What a request says, by its content.
fn content(head: &Head, body: &[u8], credentials: &Credentials, now_s: Option<&str>) -> Content {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    match text.first() {
        Some(b'{' | b'[') => match json_content(head, text, credentials, now_s) {
            Some(content) => content,
            None => owntracks::unreadable(head, credentials),
        },
        None if head.query.is_empty() => owntracks::empty(head, credentials),
        _ => traccar::of_form(&form::Fields::of(text, head.query), credentials, now_s),
    }
}

/// What a JSON object says. `None` for JSON that is malformed or too deep.
fn json_content(head: &Head, text: &[u8], credentials: &Credentials, now_s: Option<&str>) -> Option<Content> {
    let text = std::str::from_utf8(text).ok()?;
    if json::is_deeper(text, PHONE_JSON_DEPTH_MAX) {
        return None;
    }
    let (mut locations, mut location, mut device) = (None, None, None);
    let message = owntracks::Message::read(text, |name, value| match name {
        "locations" => locations = Some(value),
        "location" => location = Some(value),
        "device_id" => device = json::string(value),
        _ => {}
    })?;
    if let Some(locations) = locations {
        return Some(overland::content(locations.get(), head, device));
    }
    if let (Some(location), Some(device)) = (location, &device) {
        return Some(traccar::of_json(location.get(), device, now_s));
    }
    Some(message.content(head, credentials))
}

impl Content {
    /// What a request with one point says.
    fn of_one(format: Format, id: Option<String>, outcome: Result<Fix, Ignored>) -> Self {
        let mut ignored = IgnoredCounts::default();
        if let Err(why) = outcome {
            ignored.add(why);
        }
        Content { format, points: vec![Point { id, fix: outcome.ok() }], ignored }
    }
}

/// A position and a time as a point says them.
fn fix(lat_deg: Option<f64>, lon_deg: Option<f64>, time: Option<String>) -> Result<Fix, Ignored> {
    let (Some(lat_deg), Some(lon_deg)) = (lat_deg, lon_deg) else { return Err(Ignored::Position) };
    // Trackers without a fix send this.
    if lat_deg == 0.0 && lon_deg == 0.0 {
        return Err(Ignored::Position);
    }
    let position = iamat::position(lat_deg, lon_deg).ok_or(Ignored::Position)?;
    Ok(Fix { position, time: time.ok_or(Ignored::Time)? })
}
