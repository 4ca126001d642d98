//! OwnTracks location messages, made from the entries of a node and turned into updates for a node.
//!
//! The format is that of <https://owntracks.org/booklet/tech/json/>. Its numbers are doubles and whole seconds. The
//! member `herd` holds the herd's own digits. A bridge recognizes the messages of a bridge by that member, and [`update`]
//! refuses them. So no update returns to a herd, through any number of brokers and herds.

use std::borrow::Cow;

use serde_json::Value;

use super::counters::Count;
use super::limits::MESSAGE_BYTES_MAX;
use super::topics;
use herd::proto::fields::{ClientId, ClientTime, Position};
use herd::server::client_id::{decoded, encoded};
use herd::server::iamat::{self, Fix};
use herd::server::json::Json;

/// Nanoseconds of a second.
const NANOSECONDS: i64 = 1_000_000_000;

/// An entry of a node, as the stream sends it: `AT Hill +0.26… kiwi +34.06…-118.44… 1621464827.95… 12`.
#[derive(Debug, PartialEq)]
pub struct Entry<'a> {
    /// The client's id, which the stream encodes.
    pub id: Cow<'a, [u8]>,
    /// The line without its age. It changes only with the entry.
    pub content: &'a [u8],
    origin: &'a str,
    skew: &'a str,
    position_text: &'a str,
    position: Position,
    time_text: &'a str,
    time: ClientTime,
}

impl<'a> Entry<'a> {
    /// Reads a line of the stream, with or without its age.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let mut next = || fields.next();
        let (at, origin, skew, id, position, time) = (next()?, next()?, next()?, next()?, next()?, next()?);
        let age = fields.next();
        let id = decoded(id).filter(|id| ClientId::parse(id).is_some())?;
        if at != b"AT" || fields.next().is_some() {
            return None;
        }
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some(Entry {
            id,
            content: &line[..line.len() - age.map_or(0, |age| age.len() + 1)],
            origin: text(origin)?,
            skew: text(skew)?,
            position_text: text(position)?,
            position: Position::parse(position)?,
            time_text: text(time)?,
            time: ClientTime::parse(time)?,
        })
    }

    /// Its location message, created at this time.
    #[must_use]
    pub fn message(&self, now_s: i64) -> String {
        let id = encoded(&self.id);
        let (latitude_deg, longitude_deg) = self.position.degrees();
        let skipped = id.chars().count().saturating_sub(2);
        let mut herd = Json::default();
        herd.text("id", &id);
        herd.text("origin", self.origin);
        herd.text("skew", self.skew);
        herd.text("position", self.position_text);
        herd.text("time", self.time_text);
        let mut json = Json::default();
        json.text("_type", "location");
        json.number("lat", Some(latitude_deg));
        json.number("lon", Some(longitude_deg));
        json.number("tst", Some(self.time.timestamp().0.div_euclid(NANOSECONDS)));
        json.text("tid", &id.chars().skip(skipped).collect::<String>());
        json.number("created_at", Some(now_s));
        json.number("herd", Some(herd.finish().trim_end()));
        json.finish().trim_end().to_owned()
    }
}

/// Turns a message into an update: a line without its end.
///
/// # Errors
/// The counter of the reason, if the message is not an update.
pub fn update(topic: &str, message: &[u8]) -> Result<String, Count> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(Count::TooLarge);
    }
    // An empty message clears a retained one.
    if message.is_empty() {
        return Err(Count::NoLocation);
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(message) else { return Err(Count::BadJson) };
    if members.get("_type").and_then(Value::as_str) != Some("location") {
        return Err(Count::NoLocation);
    }
    if members.contains_key("herd") {
        return Err(Count::OfHerd);
    }
    let id = topics::client_of(topic).ok_or(Count::BadId)?;
    let degrees = |name: &str| members.get(name).and_then(Value::as_f64);
    let position = degrees("lat").zip(degrees("lon")).and_then(|(lat, lon)| iamat::position(lat, lon));
    let position = position.ok_or(Count::BadPosition)?;
    let Some(Value::Number(time)) = members.get("tst") else { return Err(Count::BadTime) };
    let time = iamat::time(&time.to_string()).ok_or(Count::BadTime)?;
    Ok(iamat::line(&id, &Fix { position, time }))
}

#[cfg(test)]
#[path = "owntracks_tests.rs"]
mod tests;
