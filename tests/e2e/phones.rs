//! Phones report to a node over HTTP, and the herd knows them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use herd::proto::auth::Keys;
use herd::server::phones::{PHONE_DROPPED_BYTES_MAX, PHONE_LARGE_BODY_BYTES_MAX, PHONES_MAX};
use herd::server::token::Token;
use herd_test_support::http::{answer, ask, crowd, opened};
use herd_test_support::{Herd, free_addresses, json, until};

/// A pair of nodes with a key, where phones report to Hill or to Smith, and Smith has a page.
struct Phones {
    herd: Herd,
    phones: SocketAddr,
    phones_of_smith: SocketAddr,
    http: SocketAddr,
    keys: Keys,
}

impl Phones {
    fn with(members: &[&str]) -> Phones {
        let mut herd = Herd::pair().keyed().build();
        let [phones, phones_of_smith, http] = free_addresses(3)[..] else { panic!("three addresses") };
        herd.add_address("Hill", "phones", &phones.to_string());
        herd.add_address("Smith", "phones", &phones_of_smith.to_string());
        herd.add_address("Smith", "http", &http.to_string());
        for member in members {
            herd.add_member("Hill", member);
            herd.add_member("Smith", member);
        }
        let text = std::fs::read_to_string(herd.folder.path("Hill.key")).expect("it was written");
        let key = herd::config::Keys::parse(&text).expect("a key").current;
        herd.start_built();
        Phones { herd, phones, phones_of_smith, http, keys: Keys::new(key, None) }
    }

    fn token(&self, name: &str) -> String {
        Token::of_phone(&self.keys, name.as_bytes(), 1)[0].to_string()
    }

    fn basic(&self, name: &str) -> String {
        let credentials = STANDARD.encode(format!("{name}:{}", self.token(name)));
        format!("Authorization: Basic {credentials}\r\n")
    }

    /// Waits until a node knows that the client is there.
    fn wait_for(&self, node: &str, id: &str, position: &str) {
        until("the client is known", || self.herd[node].at(id).is_some_and(|at| at.contains(position)));
    }

    /// A location of OwnTracks.
    fn owntracks(&self, name: &str, members: &str) -> (String, String) {
        self.post(name, &format!("{{\"_type\":\"location\",{members}}}"))
    }

    /// Any report of OwnTracks.
    fn post(&self, name: &str, body: &str) -> (String, String) {
        ask(self.phones, &post("/pub", &self.basic(name), body))
    }

    /// A request with its place holders filled: `{TOKEN:NAME}`, and `{BASIC:USER:PASSWORD}` whose password may be `TOKEN:NAME`.
    fn filled(&self, request: &str) -> String {
        let (mut text, mut rest) = (String::new(), request);
        while let Some(at) = rest.find("{TOKEN:").into_iter().chain(rest.find("{BASIC:")).min() {
            let (before, holder) = rest.split_at(at);
            let (holder, after) = holder[1..].split_once('}').expect("a place holder ends");
            text += before;
            text += &match holder.split_once(':') {
                Some(("TOKEN", name)) => self.token(name),
                Some((_, credentials)) => {
                    let (user, password) = credentials.split_once(':').expect("a user and a password");
                    let token = password.strip_prefix("TOKEN:").map(|name| self.token(name));
                    STANDARD.encode(format!("{user}:{}", token.as_deref().unwrap_or(password)))
                }
                None => panic!("{holder}"),
            };
            rest = after;
        }
        text + rest
    }

    /// What Smith's page gets.
    fn get(&self, path: &str) -> (String, String) {
        ask(self.http, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    /// The value of a metric of Hill.
    fn count(&self, name: &str) -> u64 {
        self.herd.status("Hill")["phones"][name].as_u64().expect("a number")
    }
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A phone that has sent its head, and may send its body now.
fn patient_phone(address: SocketAddr, head: &[u8]) -> TcpStream {
    let mut stream = opened(address, head);
    let mut word = [0; 25];
    stream.read_exact(&mut word).expect("the node goes on");
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// A location of OwnTracks in so many bytes.
fn padded(bytes: usize) -> String {
    let location = r#"{"_type":"location","lat":1,"lon":2,"tst":5"#;
    location.to_owned() + &" ".repeat(bytes - location.len() - 1) + "}"
}

fn status_of(answer: &(String, String)) -> &str {
    answer.0.split(' ').nth(1).expect("a status line")
}

#[test]
fn phones_found_at_other_node() {
    let phones = Phones::with(&["\"friends\": true"]);
    let (head, body) = phones.owntracks("ann", r#""lat":51.4769,"lon":-4.5E-4,"tst":1621464827"#);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), "{head}");
    assert_eq!(body, "[]");
    phones.wait_for("Smith", "ann.phone", "+51.4769-0.00045");
    let form = format!("/{}?id=van7&lat=37.42&lon=-122.08&timestamp=1621464828000", phones.token("van7"));
    let osmand = ask(phones.phones, format!("GET {form} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    assert_eq!((status_of(&osmand), &*osmand.1), ("200", ""));
    phones.wait_for("Smith", "van7", "+37.42-122.08");
    let (_, geojson) = phones.get("/clients.geojson");
    let geojson = json(&geojson);
    let mut ids: Vec<&str> =
        geojson["features"].as_array().expect("features").iter().filter_map(|f| f["id"].as_str()).collect();
    ids.sort_unstable();
    assert_eq!((geojson["type"].as_str(), ids), (Some("FeatureCollection"), vec!["ann.phone", "van7"]));
    let (_, whatsat) = phones.herd["Smith"].client().whatsat("WHATSAT ann.phone 10 3");
    let near = phones.get("/near/ann.phone?radius_km=10&items=3");
    assert_eq!((status_of(&near), near.1.trim_end()), ("200", whatsat.trim_end()));
    assert_eq!(status_of(&phones.get("/near/unknown")), "404");
    let list = json(&phones.get("/clients").1);
    let ann = list.as_array().expect("a list").iter().find(|client| client["id"] == "ann.phone");
    assert_eq!(ann.expect("the page lists her")["origin"], "Hill", "{list}");
    // A friend whose phone reports to Smith.
    let body = r#"{"_type":"location","lat":1,"lon":2,"tst":1621464829}"#;
    let (_, friends) = ask(phones.phones_of_smith, &post("/pub", &phones.basic("bob"), body));
    let friends = json(&friends);
    let ann = serde_json::json!({
        "_type": "location", "tid": "ann.phone", "lat": 51.4769, "lon": -0.00045, "tst": 1_621_464_827,
    });
    assert!(friends.as_array().expect("a list").contains(&ann), "{friends}");
}

#[test]
fn phone_of_a_stranger() {
    let phones = Phones::with(&["\"phone_tokens\": { \"bob\": 0 }"]);
    for (name, token) in [("ann", "0000-0000-0000-0000".to_owned()), ("bob", phones.token("bob"))] {
        let basic = format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{token}")));
        let body = r#"{"_type":"location","lat":1,"lon":1,"tst":1}"#;
        let refused = ask(phones.phones, &post("/pub", &basic, body));
        assert_eq!(status_of(&refused), "401", "{name}");
        assert!(refused.0.contains("\r\nWWW-Authenticate: Basic realm=\"herd\"\r\n"), "{}", refused.0);
    }
    let basic = phones.basic("ann");
    let page = format!("GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://a\r\n{basic}\r\n");
    assert_eq!(status_of(&ask(phones.phones, page.as_bytes())), "403");
    assert_eq!((phones.count("updates"), phones.count("rejected")), (0, 3));
    let log = &phones.herd["Hill"].log;
    log.wait_for("a report of a phone at 127.0.0.1 was refused");
    assert!(!log.has(&phones.token("bob")), "{}", log.tail());
    // A reload allows bob.
    phones.herd.edit_map("Hill", "\"bob\": 0", "\"bob\": 1");
    phones.herd["Hill"].signal(rustix::process::Signal::HUP);
    until("bob may report", || status_of(&phones.owntracks("bob", r#""lat":1,"lon":1,"tst":5"#)) == "200");
}

#[test]
fn friends_where_configured() {
    let phones = Phones::with(&["\"friends\": true"]);
    assert_eq!(phones.owntracks("ann", r#""lat":1,"lon":2,"tst":1621464827"#).1, "[]");
    phones.herd["Smith"].ask("IAMAT a/b%c +3-4 1621464828.9");
    phones.herd["Smith"].ask("IAMAT zero +3-4 0.5");
    phones.wait_for("Hill", "zero", "+3-4");
    let friends = || phones.owntracks("ann", r#""lat":1,"lon":2,"tst":1621464829"#).1;
    let friends = json(&friends());
    let expected = serde_json::json!([
        {"_type": "card", "tid": "a%2Fb%25c", "name": "a%2Fb%25c"},
        {"_type": "location", "tid": "a%2Fb%25c", "lat": 3, "lon": -4, "tst": 1_621_464_828},
    ]);
    assert_eq!(friends, expected, "ann is left out, and a client without a time");
    assert_eq!(phones.post("ann", r#"{"_type":"status"}"#).1, "[]", "for a position alone");
}

#[test]
fn refused_bodies_are_read() {
    let phones = Phones::with(&[]);
    let large = "x".repeat(PHONE_DROPPED_BYTES_MAX);
    for _ in 0..20 {
        assert_eq!(status_of(&phones.post("ann", &large)), "413");
        let method = String::from_utf8(post("/pub", "", &large)).expect("text").replacen("POST", "PUT", 1);
        assert_eq!(status_of(&ask(phones.phones, method.as_bytes())), "405");
    }
    assert_eq!(phones.count("rejected"), 40);
    // The largest that is taken.
    assert_eq!(phones.post("ann", &padded(PHONE_LARGE_BODY_BYTES_MAX)).1, "[]");
    assert_eq!(phones.count("updates"), 1);
}

/// A client that announces a large body and sends none of it does not keep others from theirs.
#[test]
fn silent_large_bodies() {
    let phones = Phones::with(&[]);
    let head =
        format!("POST /pub HTTP/1.1\r\nHost: h\r\nContent-Length: {PHONE_LARGE_BODY_BYTES_MAX}\r\n\r\n");
    let silent = crowd(phones.phones, 4, head.as_bytes());
    assert_eq!(status_of(&phones.post("ann", &padded(20_000))), "200");
    assert_eq!(phones.count("updates"), 1);
    drop(silent);
}

/// The answer to a request whose body has no length arrives, though the client sends on.
#[test]
fn chunked_bodies_are_refused() {
    let phones = Phones::with(&[]);
    let head = "POST /pub HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for _ in 0..5 {
        let mut stream = opened(phones.phones, head.as_bytes());
        for _ in 0..20 {
            stream.write_all(format!("1000\r\n{}\r\n", "x".repeat(4096)).as_bytes()).expect("the node reads");
        }
        assert_eq!(status_of(&answer(stream)), "411");
    }
}

#[test]
fn phone_waits_to_send() {
    let phones = Phones::with(&[]);
    let body = r#"{"_type":"location","lat":1,"lon":2,"tst":5}"#;
    let request = post("/pub", &(phones.basic("ann") + "Expect: 100-continue\r\n"), body);
    let mut stream = patient_phone(phones.phones, &request[..request.len() - body.len()]);
    stream.write_all(body.as_bytes()).expect("the node reads");
    assert_eq!(status_of(&answer(stream)), "200");
}

#[test]
fn one_large_body_at_a_time() {
    let phones = Phones::with(&[]);
    let body = "{\"_type\":\"status\",\"x\":\"".to_owned() + &"x".repeat(100_000) + "\"}";
    let request = post("/pub", &phones.basic("ann"), &body);
    let head = request.len() - body.len();
    // Slow, and never so slow that it loses the buffer: until the other has its answer, and 6 s at most.
    let (start, rest) = request.split_at(head + 9_000);
    let (first, is_answered) = (opened(phones.phones, start), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for piece in rest.chunks(1_500) {
                if !is_answered.load(Ordering::Relaxed) {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
                (&first).write_all(piece).expect("the node reads");
            }
        });
        let second = ask(phones.phones, &request);
        assert_eq!(status_of(&second), "503");
        assert!(second.0.contains("\r\nRetry-After: 10\r\n"), "{}", second.0);
        // Short ones go on.
        assert_eq!(status_of(&phones.owntracks("ann", r#""lat":1,"lon":2,"tst":5"#)), "200");
        is_answered.store(true, Ordering::Relaxed);
    });
    assert_eq!(status_of(&answer(first)), "200");
    assert_eq!(status_of(&ask(phones.phones, &request)), "200");
}

#[test]
fn silent_phones_make_way() {
    let phones = Phones::with(&[]);
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000\r\n\r\nx";
    let silent = crowd(phones.phones, 4 * PHONES_MAX, head);
    assert_eq!(status_of(&phones.owntracks("ann", r#""lat":1,"lon":2,"tst":5"#)), "200");
    phones.herd["Hill"].ask("IAMAT kiwi +1+1 1");
    silent.iter().for_each(|stream| stream.shutdown(Shutdown::Both).unwrap_or_default());
}

/// Raw requests of apps, and what must come of each: its name, the status, what it is, the line that the node takes, the answer's body
/// ("" for none, and for any).
#[test]
fn apps_as_they_send() {
    type Case = (String, u16, String, String, String);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/phone_requests");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is in the repository");
    let cases: Vec<Case> = serde_json::from_str(&read("expected.json")).expect("JSON");
    let requests = std::fs::read_dir(&folder).expect("it is in the repository").count() - 1;
    assert_eq!(cases.len(), requests, "each request is expected to do something");
    let phones = Phones::with(&[]);
    for (name, status, what, line, body) in cases {
        let before = phones.count("updates");
        let answer = ask(phones.phones, phones.filled(&read(&format!("{name}.http"))).as_bytes());
        assert_eq!(status_of(&answer), status.to_string(), "{name}: {what}");
        assert!(body.is_empty() || answer.1 == body, "{name}: {what}: {answer:?}");
        assert_eq!(phones.count("updates") - before, u64::from(!line.is_empty()), "{name}: {what}");
        if let ["IAMAT", id, at, time] = line.split(' ').collect::<Vec<_>>()[..] {
            phones.wait_for("Smith", id, &format!("{id} {at} {time}"));
        }
    }
}
