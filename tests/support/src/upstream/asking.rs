//! Asking [`Places`], and the places file that tests fall back to.

use herd::places::{Endpoint, Key, Places, Query, Settings, Source};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Server;

pub use crate::places_file;

/// The key of all tests: to be found nowhere but at the server.
pub const KEY: &str = "AIzaSy-test_key-0123456789";

/// About UCLA, 10 km, five items.
pub const UCLA: Query =
    Query { latitude_deg: 34.068930, longitude_deg: -118.445127, radius_m: 10_000.0, items: 5 };

/// Settings for `server`, spoken to as Google's legacy service, with time limits fit for a test.
pub fn legacy(server: &Server) -> Settings {
    legacy_at(server.url())
}

/// The same for any address.
pub fn legacy_at(url: String) -> Settings {
    let key = Some(Key::new(KEY).expect("a key"));
    limits(Settings::new(Source::GoogleLegacy(Endpoint { url: Some(url), key })))
}

/// As [`legacy`], spoken to as the new service.
pub fn modern(server: &Server) -> Settings {
    let key = Some(Key::new(KEY).expect("a key"));
    limits(Settings::new(Source::Google(Endpoint { url: Some(server.url()), key })))
}

/// Long enough for a slow machine; tests of time limits set their own.
fn limits(settings: Settings) -> Settings {
    Settings { timeout_ms: 60_000, connect_ms: 30_000, ..settings }
}

/// Asks, and gives what the answer comes from.
pub fn ask(places: &Places, query: Query) -> Receiver<String> {
    ask_from(places, query, 0)
}

/// The same from another address.
pub fn ask_from(places: &Places, query: Query, lane: u8) -> Receiver<String> {
    let (sender, receiver) = channel();
    places.ask(query, lane, move |json| {
        let _ = sender.send(String::from_utf8(json.to_vec()).expect("JSON is UTF-8"));
    });
    receiver
}

/// The answer to one query; that it is the only one is checked too.
pub fn answer(places: &Places, query: Query) -> String {
    let receiver = ask(places, query);
    // Twice the longest limit of these settings.
    let answer = receiver.recv_timeout(Duration::from_secs(120)).expect("done is called");
    assert!(receiver.recv().is_err(), "done is called once");
    answer
}

/// The answer of a fresh handle to [`UCLA`].
pub fn answer_of(settings: Settings) -> String {
    answer(&Places::start(settings), UCLA)
}

/// Checks that `json` is the error form of a failure that is not the query's, with this message.
#[track_caller]
pub fn assert_failed(json: &str, message: &str) {
    assert_refused(json, "UNKNOWN_ERROR", message);
}

/// Checks that `json` is the error form with this status and message.
#[track_caller]
pub fn assert_refused(json: &str, status: &str, message: &str) {
    let value = crate::json(json);
    assert_eq!(value["status"], status, "{json}");
    assert_eq!(value["results"], serde_json::json!([]), "{json}");
    let found = value["error_message"].as_str().unwrap_or("");
    assert!(found.contains(message), "{found:?} lacks {message:?}");
    assert!(!json.contains(KEY), "{json}");
}

/// Three results, written as no printer would: odd digits, spacing, escapes and order.
pub const ODD: &str = "{\r\n \"status\" : \"OK\",\n \"results\":[ {\"lat\":1.10,\"id\":12345678901234567890} ,\n\t{\"x\" : 1E5 , \"n\":\"Caf\\u00e9 \u{e9} \\/ ],[\"}\n,  3 \n ], \"z\":-0.0, \"a\" : null }";

/// [`ODD`] with runs of newlines, and newlines at its end.
pub const ODD_RAW: &str = "{\r\n \"status\" : \"OK\",\n\n\n \"results\":[ {\"lat\":1.10,\"id\":12345678901234567890} ,\n\t{\"x\" : 1E5 , \"n\":\"Caf\\u00e9 \u{e9} \\/ ],[\"}\n,  3 \n ], \"z\":-0.0, \"a\" : null }\n\n";

/// [`ODD`] after a cut to two results.
pub const ODD_CUT: &str = "{\r\n \"status\" : \"OK\",\n \"results\":[ {\"lat\":1.10,\"id\":12345678901234567890} ,\n\t{\"x\" : 1E5 , \"n\":\"Caf\\u00e9 \u{e9} \\/ ],[\"} \n ], \"z\":-0.0, \"a\" : null }";
