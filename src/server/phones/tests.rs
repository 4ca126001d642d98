//! Requests as apps send them, and others of their kinds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::server::token::Token;

/// The clock of a point without a time.
const NOW: &str = "1795727000.5";

fn keys() -> Keys {
    Keys::new([1; 32], Some([2; 32]))
}

/// The token of a name by the current key.
fn token(name: &str) -> String {
    numbered(name, 1)
}

/// The token of a name with this number.
fn numbered(name: &str, number: u32) -> String {
    Token::of_phone(&keys(), name.as_bytes(), number)[0].to_string()
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

fn settings() -> PhoneSettings {
    PhoneSettings { friends: false, tokens: vec![("lost".to_owned(), 2), ("gone".to_owned(), 0)] }
}

/// Decides about a request to a listener of a herd with a key, or without one.
fn decided_in(request: &str, keys: Option<&Keys>, now_s: Option<&str>) -> Decision {
    let settings = settings();
    let guard = PhoneGuard { is_loopback: true, keys, settings: &settings };
    let length = match read_head(request.as_bytes(), &guard) {
        HeadState::Whole(_, Body { refusal: Some((why, status)), .. }) => {
            return Decision::Refused(why, status);
        }
        HeadState::Whole(length, body) => {
            assert_eq!(body.bytes, request.len() - length, "{request}");
            length
        }
        HeadState::Refused(why, status) => return Decision::Refused(why, status),
        HeadState::More => panic!("the head is whole: {request}"),
    };
    decide(&request.as_bytes()[..length], &request.as_bytes()[length..], &guard, now_s)
}

fn decided(request: &str) -> Decision {
    decided_in(request, Some(&keys()), Some(NOW))
}

/// A request with a body.
fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A request without one.
fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n")
}

/// The lines, or the reasons for none, of an accepted request.
fn outcome(request: &str) -> Vec<String> {
    match decided(request) {
        Decision::Accepted { updates, ignored, .. } if updates.is_empty() => {
            let counts = IGNORED.iter().zip(ignored.0).filter(|(_, count)| *count > 0);
            counts.map(|(reason, count)| format!("{count} {reason}")).collect()
        }
        Decision::Accepted { updates, .. } => updates.into_iter().map(|update| update.line).collect(),
        Decision::Refused(why, status) => vec![format!("{status} {why:?}")],
    }
}

/// As ann's OwnTracks for Android sends.
fn owntracks(body: &str) -> String {
    let headers = basic("ann", &token("ann")) + "X-Limit-U: ann\r\nX-Limit-D: pixel\r\n";
    post("/pub", &headers, body)
}

#[test]
fn owntracks_reports() {
    let location = |members: &str| owntracks(&format!("{{\"_type\":\"location\",{members}}}"));
    for (request, expected) in [
        // Android: the longitude has an exponent, as Java prints numbers below 0.001.
        (
            location(
                r#""acc":12,"lat":51.47690012345679,"lon":-4.5E-4,"tst":1795700010,"topic":"owntracks/ann/x""#,
            ),
            "IAMAT ann.pixel +51.476900123-0.00045 1795700010",
        ),
        // iOS: slashes are escaped, and the type is not the first member.
        (
            owntracks(
                r#" {"lat":51.4,"lon":-0.5,"_type":"location","tst":5,"topic":"owntracks\/ann\/iPhone"}"#,
            ),
            "IAMAT ann.pixel +51.4-0.5 5",
        ),
        (
            owntracks("\u{feff}{\"_type\":\"location\",\"lat\":1,\"lon\":2,\"tst\":5}"),
            "IAMAT ann.pixel +1+2 5",
        ),
        (location(r#""lat":1,"lon":2,"tst":5,"lat":3"#), "IAMAT ann.pixel +3+2 5"),
        (location(r#""lat":1,"lon":2,"tst":1795724300123"#), "IAMAT ann.pixel +1+2 1795724300.123"),
        (location(r#""lat":"1","lon":2,"tst":5"#), "1 position"),
        (location(r#""lat":95,"lon":2,"tst":5"#), "1 position"),
        (location(r#""lat":0,"lon":0.0,"tst":5"#), "1 position"),
        (location(r#""lat":null,"lon":2,"tst":5"#), "1 position"),
        (location(r#""lon":2,"tst":5"#), "1 position"),
        (location(r#""lat":1,"lon":2"#), "1 time"),
        (location(r#""lat":1,"lon":2,"tst":"5""#), "1 time"),
        (location(r#""lat":1,"lon":2,"tst":5,"herd":{}"#), "1 type"),
        (owntracks(r#"{"_type":"status","android":{"hib":1}}"#), "1 type"),
        (owntracks(r#"{"_type":"waypoints","waypoints":[{"lat":1,"lon":2,"tst":5}]}"#), "1 type"),
        (owntracks(r#"{"_type":"encrypted","data":"mbqt"}"#), "1 encrypted"),
        (owntracks(r#"{"_type":"location","lat":51.,"lon":"#), "1 json"),
        (owntracks(r#"{"_type":"location","lat":NaN,"lon":1,"tst":1}"#), "1 json"),
        (owntracks(r#"[{"_type":"location","lat":1,"lon":1,"tst":1}]"#), "1 json"),
        (owntracks(&format!("{{\"a\":{}1{}}}", "[".repeat(32), "]".repeat(32))), "1 json"),
        (owntracks(""), "1 type"),
        (owntracks("{}"), "1 type"),
        (owntracks(" \r\n"), "1 type"),
    ] {
        assert_eq!(outcome(&request), [expected], "{request}");
    }
}

#[test]
fn owntracks_names_its_client() {
    let body = |topic: &str| {
        format!("{{\"_type\":\"location\",\"lat\":1,\"lon\":2,\"tst\":5,\"topic\":\"{topic}\"}}")
    };
    let token = token("ann");
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for (path, headers, topic, id) in [
        ("/pub", basic("ann", &token), "owntracks/bob/x", "ann.x"),
        ("/pub", basic("ann", &token) + "X-Limit-U: bob\r\nX-Limit-D: b.c\r\n", "o/bob/x", "ann.b%2Ec"),
        ("/pub?u=bob&d=q", basic("ann", &token), "o/bob/x", "ann.q"),
        ("/pub?u=ann&d=my+phone", bearer.clone(), "", "ann.my%20phone"),
        ("/pub", format!("{bearer}X-Limit-U: ann\r\n"), "", "ann.phone"),
        ("/pub", bearer.clone(), "owntracks/ann/x", "ann.x"),
        (&format!("/{token}/pub"), String::new(), "owntracks/ann/x", "ann.x"),
    ] {
        let request = post(path, &headers, &body(topic));
        assert_eq!(outcome(&request), [format!("IAMAT {id} +1+2 5")], "{request}");
    }
    // Without an id no token fits.
    assert_eq!(decided(&post("/pub", &bearer, &body("x"))), Decision::Refused(Rejected::Token, 401));
}

#[test]
fn forms_report() {
    let van = token("van7");
    let posted =
        |body: &str| post(&format!("/{van}"), "Content-Type: application/x-www-form-urlencoded\r\n", body);
    let got = |query: &str| get(&format!("/{van}?{query}"), "");
    for (request, expected) in [
        (
            posted(
                "id=van7&lat=37.4219983&lon=-122.084&timestamp=1795700040&speed=23.32&batt=0.83&charge=true",
            ),
            "IAMAT van7 +37.4219983-122.084 1795700040",
        ),
        (posted("id=van7&batt=83"), "1 position"),
        (
            got("id=van7&lat=37.42&lon=-122.08&timestamp=1795724300123&hdop=4.0"),
            "IAMAT van7 +37.42-122.08 1795724300.123",
        ),
        (got("deviceid=van7&latitude=1&lng=2&tst=5"), "IAMAT van7 +1+2 5"),
        (got("device=van7&location=1.5,%202&time=2026-11-26T21:05:00Z"), "IAMAT van7 +1.5+2 1795727100"),
        (got("id=van7&lat=1&lon=2&timestamp=2026-11-26T21:05:00+00:00"), "IAMAT van7 +1+2 1795727100"),
        (got("id=van7&lat=1&lon=2&timestamp=2026-11-26+21:05:00"), "IAMAT van7 +1+2 1795727100"),
        (got("id=van7&lat=1&lon=2&timestamp=&time=7"), "IAMAT van7 +1+2 7"),
        (got("id=van7&lat=1&lon=2&timestamp=x&time=7"), "IAMAT van7 +1+2 7"),
        (got("id=van7&lat=1&lon=2&timestamp=x"), "1 time"),
        (got("id=van7&lat=1&lon=2&valid=false"), "1 position"),
        (got("id=van7&lat=1&lon=2&valid=0"), "1 position"),
        (got("id=van7&lat=1&lon=2&valid=true&tst=5"), "IAMAT van7 +1+2 5"),
        (got("id=van7&lat=0&lon=0&tst=5"), "1 position"),
        (got("id=van7&lat=inf&lon=0&tst=5"), "1 position"),
        (got("id=van7&lat=91&lon=0&tst=5"), "1 position"),
        (got("id=van7&lat=1&lon=2&tst=1e300"), "1 time"),
        // Traccar Client 8: the query has all, the body is empty.
        (post(&format!("/{van}/?id=van7&lat=1&lon=2&timestamp=5"), "", ""), "IAMAT van7 +1+2 5"),
        // The body and the query are joined.
        (post(&format!("/{van}?id=van7&lat=9"), "", "lat=1&lon=2&timestamp=5"), "IAMAT van7 +1+2 5"),
        (get("/?lat=1&lon=2&tst=5", &basic("van7", &van)), "IAMAT van7 +1+2 5"),
        // Traccar Client 9.
        (
            post(
                &format!("/{van}"),
                "",
                r#"{"location":{"timestamp":"2026-11-26T21:05:00.949Z","coords":{"latitude":1.5,"longitude":-2,"accuracy":5},"is_moving":true},"device_id":"van7"}"#,
            ),
            "IAMAT van7 +1.5-2 1795727100.949",
        ),
        (
            post(&format!("/{van}"), "", r#"{"location":{"coords":{"latitude":1}},"device_id":"van7"}"#),
            "1 position",
        ),
        (post(&format!("/{van}"), "", r#"{"location":7,"device_id":"van7"}"#), "1 position"),
    ] {
        assert_eq!(outcome(&request), [expected], "{request}");
    }
}

#[test]
fn a_form_without_a_time_has_that_of_the_clock() {
    let van = token("van7");
    let got = |query: &str| get(&format!("/{van}?{query}"), "");
    assert_eq!(outcome(&got("id=van7&lat=1&lon=2")), ["IAMAT van7 +1+2 1795727000.5"]);
    let without_clock = decided_in(&got("id=van7&lat=1&lon=2"), Some(&keys()), None);
    assert!(
        matches!(without_clock, Decision::Accepted { updates, ignored: IgnoredCounts([0, 0, 0, 1, 0, 0]), .. } if updates.is_empty())
    );
}

#[test]
fn a_gateway_reports_for_all() {
    let all = format!("Authorization: Bearer {}\r\n", token("*"));
    for (query, expected) in [
        ("id=%21a1b2c3d4&lat=1&lon=2&tst=5", "IAMAT !a1b2c3d4 +1+2 5"),
        ("id=my+van%25&lat=1&lon=2&tst=5", "IAMAT my%20van%25 +1+2 5"),
        ("id=%FF&lat=1&lon=2&tst=5", "1 id"),
        ("lat=1&lon=2&tst=5", "1 id"),
        (&format!("id={}&lat=1&lon=2&tst=5", "x".repeat(65)), "1 id"),
    ] {
        assert_eq!(outcome(&get(&format!("/?{query}"), &all)), [expected], "{query}");
    }
}

/// A feature of Overland.
fn feature(device: &str, lon_lat: &str, timestamp: &str) -> String {
    format!(
        r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[{lon_lat}]}},"properties":{{"timestamp":"{timestamp}","device_id":"{device}"}}}}"#
    )
}

#[test]
fn of_a_batch_the_newest_point_of_each_device_is_reported() {
    let bearer = format!("Authorization: Bearer {}\r\n", token("ann"));
    let batch = |features: &[String]| {
        post("/?id=ann.q", &bearer, &format!("{{\"locations\":[{}]}}", features.join(",")))
    };
    let point = |device: &str, at: &str| feature(device, "-0.2,51.6", at);
    for (features, expected) in [
        (
            vec![
                point("ann.ip", "2026-11-26T21:03:00Z"),
                feature("ann.ip", "-0.22,51.62,7", "2026-11-26T21:05:00Z"),
                point("ann.ip", "2026-11-26T22:04:00+0100"),
            ],
            vec!["IAMAT ann.ip +51.62-0.22 1795727100"],
        ),
        (
            vec![point("ann.a", "2026-11-26T21:03:00Z"), point("", "2026-11-26T21:03:00Z")],
            vec!["IAMAT ann.a +51.6-0.2 1795726980", "IAMAT ann.q +51.6-0.2 1795726980"],
        ),
        // Each point is judged alone, and devices of others do not count.
        (
            vec![
                point("bob.ip", "2026-11-26T21:03:00Z"),
                feature("ann.ip", "0,0", "2026-11-26T21:09:00Z"),
                feature("ann.ip", "\"1\",2", "2026-11-26T21:09:00Z"),
                point("ann.ip", "yesterday"),
                "7".to_owned(),
                point("ann.ip", "2026-11-26T21:03:00Z"),
            ],
            vec!["IAMAT ann.ip +51.6-0.2 1795726980"],
        ),
        (vec![], vec![]),
        (vec![feature("ann.ip", "", "2026-11-26T21:09:00Z")], vec!["1 position"]),
        (vec![point("bob.ip", "2026-11-26T21:03:00Z")], vec!["401 Token"]),
    ] {
        assert_eq!(outcome(&batch(&features)), expected, "{features:?}");
    }
    let gateway = format!("Authorization: Bearer {}\r\n", token("*"));
    let many: Vec<String> =
        (0..100).map(|n| feature(&format!("d{n}"), "1,2", "2026-11-26T21:03:00Z")).collect();
    let many = decided(&post("/", &gateway, &format!("{{\"locations\":[{}]}}", many.join(","))));
    let Decision::Accepted { updates, ignored, .. } = many else { panic!("{many:?}") };
    assert_eq!((updates.len(), ignored.0[Ignored::Id as usize]), (BATCH_DEVICES_MAX, 84));
    assert_eq!(outcome(&post("/?id=ann.q", &bearer, "{\"locations\":7}")), ["1 json"]);
}

#[test]
fn a_token_is_of_its_name() {
    let old = Token::of_phone(&keys(), b"ann", 1)[1].to_string();
    let page = Token::of_page(&keys()).next().expect("a key").to_string();
    for (id, word, name) in [
        ("ann.phone", token("ann"), Some("ann")),
        ("ann.phone", token("ann").to_uppercase().replace('-', ""), Some("ann")),
        ("ann.phone", old, Some("ann")),
        ("ann.phone", token("ann.phone"), Some("ann.phone")),
        ("ann.phone", token("*"), Some("*")),
        ("ann", token("ann"), Some("ann")),
        ("ann.my.phone", token("ann"), None),
        ("ann.my.phone", token("ann.my"), Some("ann.my")),
        ("bob.phone", token("ann"), None),
        ("anna", token("ann"), None),
        ("ann.phone", page, None),
        ("ann.phone", "0000-0000-0000-0000".to_owned(), None),
        ("lost.phone", token("lost"), None),
        ("lost.phone", numbered("lost", 2), Some("lost")),
        ("gone.phone", token("gone"), None),
        ("gone.phone", numbered("gone", 0), None),
        ("gone.phone", token("*"), Some("*")),
    ] {
        let query = format!("id={id}&lat=1&lon=2&tst=5");
        for request in [
            get(&format!("/{word}?{query}"), ""),
            get(&format!("/?{query}"), &basic("someone", &word)),
            get(&format!("/?{query}"), &format!("authorization: bearer {word}\r\n")),
        ] {
            match (decided(&request), name) {
                (Decision::Accepted { updates, .. }, Some(name)) => {
                    assert_eq!(updates[0].name.as_deref(), Some(name), "{request}");
                }
                (refused, None) => assert_eq!(refused, Decision::Refused(Rejected::Token, 401), "{request}"),
                (other, _) => panic!("{request} {other:?}"),
            }
        }
        // Never in the query: what makes a link of the configuration drops it.
        let in_query = get(&format!("/?token={word}&{query}"), "");
        assert_eq!(decided(&in_query), Decision::Refused(Rejected::Token, 401), "{in_query}");
    }
}

/// The user of a request without an id is a name too, but not one that spells another's old token.
#[test]
fn a_user_that_is_no_client_has_no_token() {
    let device = format!("X-Limit-D: {}\r\n", "x".repeat(64));
    for (user, word, is_accepted) in [
        ("ann", token("ann"), true),
        ("ann", token("*"), true),
        ("gone 2", numbered("gone", 2), false),
        ("gone\t2", numbered("gone", 2), false),
        ("gone 2", token("gone 2"), false),
    ] {
        let request = post("/", &(basic(user, &word) + &device), "{\"_type\":\"status\"}");
        let decision = decided(&request);
        assert_eq!(matches!(decision, Decision::Accepted { .. }), is_accepted, "{user}: {decision:?}");
    }
}

#[test]
fn requests_are_refused() {
    let van = token("van7");
    let ok = format!("/{van}?id=van7&lat=1&lon=2&tst=5");
    let many = "a: b\r\n".repeat(PHONE_HEADERS_MAX + 1);
    for (request, expected) in [
        (get("/?id=van7&lat=1&lon=2&tst=5", ""), "401 Token"),
        (post("/pub", &basic("ann", "0000-0000-0000-0000"), "{}"), "401 Token"),
        (get("/", ""), "401 Token"),
        (get(&ok, "Origin: http://evil.example\r\n"), "403 Browser"),
        (get(&ok, "origin: null\r\n"), "403 Browser"),
        (get(&ok, "Sec-Fetch-Site: same-origin\r\n"), "403 Browser"),
        (get(&ok, "Sec-Fetch-Site: none\r\n"), "IAMAT van7 +1+2 5"),
        (get(&ok, "").replacen("GET", "PUT", 1), "405 Malformed"),
        (get(&ok, "").replacen("GET", "HEAD", 1), "405 Malformed"),
        (get(&ok, "Transfer-Encoding: chunked\r\n"), "411 Malformed"),
        (get(&ok, "Content-Length: x\r\n"), "400 Malformed"),
        (get(&ok, "Content-Length: 1\r\nContent-Length: 2\r\n"), "400 Malformed"),
        (get(&ok, "Content-Length: 131073\r\n"), "413 Large"),
        (get(&ok, "Content-Length: 99999999999999999999999\r\n"), "413 Large"),
        (get(&ok, "Host: g\r\n"), "400 Malformed"),
        (get(&ok, &many), "431 Malformed"),
        (get(&ok, "").replacen("HTTP/1.1", "HTTP/3", 1), "400 Malformed"),
        ("IAMAT kiwi +1+1 1\r\n\r\n".to_owned(), "400 Malformed"),
    ] {
        assert_eq!(outcome(&request), [expected], "{request}");
    }
}

#[test]
fn a_herd_without_a_key_takes_reports_of_this_machine() {
    let request = |host: &str| format!("GET /?id=van7&lat=1&lon=2&tst=5 HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in ["127.0.0.1:5055", "[::1]:5055", "localhost", "192.168.1.7"] {
        let decision = decided_in(&request(host), None, None);
        assert!(
            matches!(&decision, Decision::Accepted { updates, .. } if updates[0].name.is_none()),
            "{decision:?}"
        );
    }
    let foreign = decided_in(&request("evil.example"), None, None);
    assert_eq!(foreign, Decision::Refused(Rejected::Browser, 421));
}

#[test]
fn a_body_is_announced() {
    let settings = settings();
    let guard = PhoneGuard { is_loopback: false, keys: Some(&keys()), settings: &settings };
    let head = |headers: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    for (headers, bytes, expects_continue, refusal) in [
        ("Content-Length: 131072\r\nExpect: 100-continue\r\n", 131_072, true, None),
        ("Content-Length: 131073\r\nexpect: 100-Continue\r\n", 131_073, true, Some((Rejected::Large, 413))),
        ("Content-Length: 1048577\r\nExpect: 100-continue\r\n", 0, false, Some((Rejected::Large, 413))),
        ("Content-Length: 9\r\nOrigin: x\r\n", 9, false, Some((Rejected::Browser, 403))),
        ("", 0, false, None),
    ] {
        let head = head(headers);
        let body = Body { bytes, expects_continue, refusal };
        assert_eq!(read_head(head.as_bytes(), &guard), HeadState::Whole(head.len(), body), "{headers}");
        assert_eq!(read_head(&head.as_bytes()[..head.len() - 1], &guard), HeadState::More);
    }
    let long = format!("GET /{}", "x".repeat(PHONE_HEAD_BYTES_MAX));
    assert_eq!(
        read_head(&long.as_bytes()[..PHONE_HEAD_BYTES_MAX], &guard),
        HeadState::Refused(Rejected::Malformed, 431)
    );
}

proptest! {
    #[test]
    fn no_request_panics_and_every_line_is_one_of_a_client(
        path in "(/[ -~]{0,30}|/\\?(id|lat|lon|tst|timestamp|location|valid|%|=|&|[0-9.,-]){0,12})",
        headers in "((Content-Length|Expect|Origin|X-Limit-U|Authorization): [ -~]{0,20}\r\n){0,3}",
        body in prop_oneof![
            "\\PC{0,80}",
            "[\\[\\]{}\":,a-z0-9._ -]{0,80}",
            r#"\{("(_type|lat|lon|tst|topic|locations|location|device_id)":("location"|[0-9.e-]{1,9}|\[\{\}\]|\{\}|null|"x"),){0,6}"a":1\}"#,
        ],
    ) {
        let settings = settings();
        for keys in [None, Some(&keys())] {
            let guard = PhoneGuard { is_loopback: true, keys, settings: &settings };
            let request = format!("POST {path} HTTP/1.0\r\n{headers}\r\n");
            let _ = read_head(request.as_bytes(), &guard);
            let decision = decide(request.as_bytes(), body.as_bytes(), &guard, Some(NOW));
            if let Decision::Accepted { updates, .. } = decision {
                for update in updates {
                    let command = crate::proto::client::Command::parse(update.line.as_bytes());
                    prop_assert!(command.is_some(), "{}", update.line);
                }
            }
        }
    }
}
