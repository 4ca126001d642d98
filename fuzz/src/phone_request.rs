//! A request to the listener for phones: the target reads its head, decides about it, and compares the result with what the
//! listener promises.
//!
//! Input: a byte, `k` for a herd with a key, anything else for one without; then the request. The corpus has tokens of [`KEY`]. Checks: a head is whole or not wherever its end is cut off. Every line is an IAMAT of the client that it names.
//! Without a token nothing is accepted. A plain location of OwnTracks becomes the update that a JSON parser finds in it.

use herd::config::PhoneSettings;
use herd::proto::auth::Keys;
use herd::proto::client::Command;
use herd::server::phones::{
    BATCH_DEVICES_MAX, Decision, Format, HeadState, PHONE_HEAD_BYTES_MAX, PhoneGuard, Rejected, decide,
    read_head,
};
use herd::server::token::Token;
use serde_json::Value;

/// The key of the herd.
const KEY: [u8; 32] = [7; 32];
/// Names whose tokens the corpus has.
const NAMES: [&str; 3] = ["ann", "van7", "*"];
const NOW: &str = "1795727000.5";

/// See the head of the file.
pub fn phone_request(data: &[u8]) {
    let Some((kind, request)) = data.split_first() else { return };
    let keys = Keys::new(KEY, None);
    let settings = PhoneSettings { friends: false, tokens: vec![("gone".to_owned(), 0)] };
    let keys = Some(&keys).filter(|_| *kind == b'k');
    let guard = PhoneGuard { is_loopback: true, keys, settings: &settings };
    let state = read_head(request, &guard);
    let HeadState::Whole(length, body) = state else {
        assert!(state != HeadState::More || request.len() < PHONE_HEAD_BYTES_MAX, "a long head is refused");
        return;
    };
    for cut in [length / 2, length - 1] {
        assert_eq!(read_head(&request[..cut], &guard), HeadState::More, "the head ends where it ends");
    }
    let (head, rest) = request.split_at(length);
    let rest = &rest[..rest.len().min(body.bytes)];
    match decide(head, rest, &guard, Some(NOW)) {
        Decision::Refused(why, status) => {
            assert!(
                matches!((why, status), (Rejected::Token, 401) | (Rejected::Malformed, 400)),
                "{why:?} {status}"
            );
            assert!(keys.is_some() || why != Rejected::Token, "a herd without a key knows no tokens");
        }
        Decision::Accepted { format, updates, .. } => {
            assert!(keys.is_none() || may_have_token(head), "a token is needed");
            assert!(updates.len() <= BATCH_DEVICES_MAX);
            for update in &updates {
                let command = Command::parse(update.line.as_bytes());
                let Some(Command::Iamat { client, .. }) = command else { panic!("{}", update.line) };
                assert_eq!(client.as_bytes(), update.id.as_bytes());
                assert_eq!(update.name.is_some(), keys.is_some());
            }
            if let Some((lat_deg, lon_deg, time)) = location(rest) {
                assert_eq!(format, Format::OwnTracks);
                if let [update] = &updates[..] {
                    check(&update.line, lat_deg, lon_deg, time);
                }
            }
        }
    }
}

/// Whether the head has a token of the names, or something encoded that may hold one.
fn may_have_token(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).to_lowercase();
    let bare = text.replace('-', "");
    let keys = Keys::new(KEY, None);
    let mut tokens = NAMES.iter().flat_map(|name| Token::of_phone(&keys, name.as_bytes(), 1));
    text.contains("basic") || tokens.any(|token| bare.contains(&token.to_string().replace('-', "")))
}

/// What a JSON parser finds in a location whose members are each there once and plain.
fn location(body: &[u8]) -> Option<(f64, f64, i64)> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let members = value.as_object()?;
    let once = |name: &str| String::from_utf8_lossy(body).matches(&format!("\"{name}\"")).count() == 1;
    let is_plain = ["_type", "lat", "lon", "tst"].into_iter().all(once) && !body.contains(&b'\\');
    let other = ["herd", "locations", "location", "device_id"].iter().any(|name| members.contains_key(*name));
    if !is_plain || other || members.get("_type")? != "location" {
        return None;
    }
    let number = |name: &str| members.get(name).and_then(Value::as_f64);
    // A later one is beyond 64 bits of nanoseconds.
    let time = members.get("tst")?.as_i64().filter(|time| (0..9_000_000_000).contains(time))?;
    Some((number("lat")?, number("lon")?, time))
}

fn check(line: &str, lat_deg: f64, lon_deg: f64, time: i64) {
    let Some(Command::Iamat { position, time: taken, .. }) = Command::parse(line.as_bytes()) else {
        panic!("{line}")
    };
    let (lat, lon) = position.degrees();
    assert!((lat - lat_deg).abs() < 1e-9 && (lon - lon_deg).abs() < 1e-9, "{line} of {lat_deg} {lon_deg}");
    assert_eq!(taken.timestamp().0 / 1_000_000_000, time, "{line}");
}
