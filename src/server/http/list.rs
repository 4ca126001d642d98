//! Lists of all clients: their forms, and their turns.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::proto::fields::{ClientId, Position};
use crate::proto::node::events::WATCH_LINE_BYTES_MAX;
use crate::proto::out::Out;
use crate::server::client_id;
use crate::server::driver::Driver;
use crate::server::json::Json;

/// A list of all clients is a walk through the table: the next may begin so long after the last, in milliseconds.
pub const LIST_EVERY_MS: u64 = 100;
/// While another list is sent it is looked so often whether it has ended, in milliseconds.
pub const LIST_LOOK_MS: u64 = 20;
/// A list is sent in so long, in milliseconds, or cut.
pub const LIST_MS_MAX: u64 = 20_000;

/// Bytes of a piece of a list, and an entry more.
const PIECE_BYTES: usize = 2048;

/// The most digits of a coordinate: more a double does not have.
const DIGITS_MAX: usize = 15;

/// How a list writes its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListForm {
    /// An array of objects.
    Json,
    /// A feature collection (RFC 7946).
    GeoJson,
}

impl ListForm {
    /// What stands before the clients, and after them.
    fn ends(self) -> (&'static str, &'static str) {
        match self {
            ListForm::Json => ("[", "]\n"),
            ListForm::GeoJson => ("{\"type\":\"FeatureCollection\",\"features\":[", "]}\n"),
        }
    }
}

/// The next piece of a list of all entries, from `end` downwards; and where to go on.
pub(super) fn piece(driver: &Driver, end: usize, form: ListForm) -> (String, Option<usize>) {
    let (mut text, mut next) = (String::with_capacity(PIECE_BYTES + 512), Some(end));
    let now_s = driver.clock().steady().seconds();
    let (before, after) = form.ends();
    while let Some(end) = next.filter(|_| text.len() < PIECE_BYTES) {
        let mut line = [0; WATCH_LINE_BYTES_MAX];
        let mut out = Out::new(&mut line);
        next = driver.with_node(|node| node.put_below(end, now_s, &mut out));
        if end == usize::MAX {
            text.push_str(before);
        }
        if next.is_some() {
            text.push_str(if end == usize::MAX { "" } else { ",\n" });
            text.push_str(client(out.written(), form).trim_end());
        } else {
            text.push_str(after);
        }
    }
    (text, next)
}

/// An entry's line as an object. Time and skew stay texts, digit for digit.
fn client(line: &[u8], form: ListForm) -> String {
    let mut fields = line.split(|&byte| byte == b' ').skip(1);
    let mut next = || fields.next().unwrap_or_default();
    let (origin, skew, client, position, time, age_s) = (next(), next(), next(), next(), next(), next());
    // Only an id can be more than ASCII.
    let text = |bytes: &[u8]| client_id::encoded(bytes).into_owned();
    let (latitude_deg, longitude_deg) = coordinates(position);
    debug_assert!(ClientId::parse(client).is_some());
    let id = text(client);
    let mut json = Json::default();
    match form {
        ListForm::Json => {
            json.text("id", &id);
            json.number("latitude", Some(latitude_deg));
            json.number("longitude", Some(longitude_deg));
            json.text("time", &text(time));
            json.text("skew", &text(skew));
            json.text("origin", &text(origin));
            json.number("age_s", Some(text(age_s)));
        }
        ListForm::GeoJson => {
            json.text("type", "Feature");
            json.text("id", &id);
            json.open("geometry", '{');
            json.text("type", "Point");
            // Longitude first (RFC 7946, 3.1.1).
            json.number("coordinates", Some(format_args!("[{longitude_deg},{latitude_deg}]")));
            json.close('}');
            json.open("properties", '{');
            // Libraries of Home Assistant show the title, QGIS the name.
            json.text("title", &id);
            json.text("name", &id);
            json.text("time", &text(time));
            json.number("age_s", Some(text(age_s)));
            json.text("origin", &text(origin));
            json.close('}');
        }
    }
    json.finish()
}

/// Latitude and longitude of a position's text, as the nearest double is written.
///
/// From text to text: core's writer of doubles is 10 KB of a small program.
fn coordinates(position: &[u8]) -> (String, String) {
    let position = Position::parse(position).and(str::from_utf8(position).ok()).unwrap_or("+0+0");
    let (latitude, longitude) = position.split_at(position.rfind(['+', '-']).unwrap_or(0));
    (number(latitude), number(longitude))
}

fn number(coordinate: &str) -> String {
    let sign = if coordinate.starts_with('-') { "-" } else { "" };
    let digits = coordinate.trim_start_matches(['+', '-']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.get(..DIGITS_MAX.saturating_sub(whole.len())).unwrap_or(fraction);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// The turns of requests for a list of all clients: one at a time, and [`LIST_EVERY_MS`] apart.
#[derive(Debug, Default)]
pub struct Lists {
    is_taken: Cell<bool>,
    ended: Cell<Option<Instant>>,
}

/// A turn, until this is dropped.
#[derive(Debug)]
pub struct ListTurn<'a>(&'a Lists);

impl Lists {
    /// A turn, if there is one now.
    pub fn take(&self, now: Instant) -> Option<ListTurn<'_>> {
        let pause = Duration::from_millis(LIST_EVERY_MS);
        let is_early = self.ended.get().is_some_and(|ended| now.saturating_duration_since(ended) < pause);
        if is_early || self.is_taken.replace(true) {
            return None;
        }
        Some(ListTurn(self))
    }
}

impl Drop for ListTurn<'_> {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
        self.0.ended.set(Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn coordinates_are_written_as_doubles_are(
            position in "[+-](0?[0-9]|[0-8][0-9])(\\.[0-9]{1,17})?[+-](0{0,2}[0-9]|1[0-7][0-9])(\\.[0-9]{1,17})?",
        ) {
            let (latitude_deg, longitude_deg) = Position::parse(position.as_bytes()).expect("a position").degrees();
            prop_assert_eq!(coordinates(position.as_bytes()), (latitude_deg.to_string(), longitude_deg.to_string()));
        }
    }

    #[test]
    fn lists_have_turns() {
        let (lists, now) = (Lists::default(), Instant::now());
        let turn = lists.take(now).expect("no list is being sent");
        assert!(lists.take(now).is_none(), "one at a time");
        drop(turn);
        assert!(lists.take(now).is_none(), "the last has only just ended");
        let later = Instant::now() + Duration::from_millis(LIST_EVERY_MS);
        assert!(lists.take(later).is_some());
        let last = Instant::now() + Duration::from_millis(2 * LIST_EVERY_MS);
        assert!(lists.take(last).is_some(), "a refusal takes no turn");
    }

    #[test]
    fn a_client_has_two_forms() {
        let line = b"AT Hill +0.5 \"a%b\\ +34.068930-118.445127 1621464827.95 12";
        for (form, expected) in [
            (
                ListForm::Json,
                "{\"id\":\"\\\"a%25b\\\\\",\"latitude\":34.06893,\"longitude\":-118.445127,\"time\":\"1621464827.95\",\"skew\":\"+0.5\",\
                 \"origin\":\"Hill\",\"age_s\":12}\n",
            ),
            (
                ListForm::GeoJson,
                "{\"type\":\"Feature\",\"id\":\"\\\"a%25b\\\\\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[-118.445127,34.06893]},\
                 \"properties\":{\"title\":\"\\\"a%25b\\\\\",\"name\":\"\\\"a%25b\\\\\",\"time\":\"1621464827.95\",\"age_s\":12,\"origin\":\"Hill\"}}\n",
            ),
        ] {
            assert_eq!(client(line, form), expected);
        }
    }
}
