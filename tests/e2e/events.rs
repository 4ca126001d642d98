//! The event stream: every subscriber gets each client and each change, and a hostile subscriber harms no other.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use herd::server::limits::{LOCAL_SUBSCRIBERS_MAX, SUBSCRIBERS_MAX};
use herd_test_support::{Herd, PATIENCE, free_addresses, until};
use rustix::process::Signal;
use serde_json::Value;

/// A pair of nodes of which Hill has an HTTP listener on this address.
fn pair_at(http: &str) -> Herd {
    let mut herd = Herd::pair().keyed().build();
    herd.start_with_http("Hill", http);
    herd
}

fn pair() -> (Herd, SocketAddr) {
    let http = free_addresses(1)[0];
    (pair_at(&http.to_string()), http)
}

/// Asks for this path, and gives what is answered once its head is read: the status, and a reader of what follows.
fn get(http: SocketAddr, path: &str, headers: &str) -> (u16, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(http).expect("the node listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the limit is not zero");
    let host = if headers.contains("Host: ") { "" } else { "Host: localhost\r\n" };
    let request = format!("GET {path} HTTP/1.1\r\n{host}{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("there is room");
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).expect("it is answered");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut line = String::new();
    while reader.read_line(&mut line).expect("a head") > 2 {
        line.clear();
    }
    (status, reader)
}

/// A subscriber, and the clients that it knows by now.
struct Watcher<R> {
    reader: R,
    /// The name of the event whose data comes next.
    event: String,
    clients: BTreeMap<String, String>,
    seen: BTreeMap<String, Value>,
}

impl<R: BufRead> Watcher<R> {
    fn new(reader: R) -> Self {
        Watcher { reader, event: String::new(), clients: BTreeMap::new(), seen: BTreeMap::new() }
    }

    /// Takes a line of the stream; false at its end.
    fn take(&mut self) -> bool {
        let mut line = String::new();
        if self.reader.read_line(&mut line).is_ok_and(|read| read == 0) {
            return false;
        }
        let line = line.strip_suffix('\n').expect("a whole line");
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut self.event);
        } else if let Some(data) = line.strip_prefix("data: ") {
            if self.event.is_empty() {
                let fields: Vec<&str> = data.split(' ').collect();
                assert_eq!((fields[0], fields.len()), ("AT", 7), "{data}");
                assert!(fields[6].parse::<u32>().is_ok_and(|age_s| age_s < 60), "{data}");
                self.clients.insert(fields[3].to_owned(), fields[4].to_owned());
            } else {
                let value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
                self.seen.insert(self.event.clone(), value);
            }
        } else {
            assert_eq!(line, "");
            self.event.clear();
        }
        true
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < PATIENCE && self.take(), "{what}: {:?} {:?}", self.seen, self.clients);
        }
    }
}

#[test]
fn parallel_lists() {
    let (herd, http) = pair();
    herd["Hill"].ask("IAMAT kiwi +1+1 1");
    let lists: Vec<_> = (0..8).map(|_| std::thread::spawn(move || get(http, "/clients", ""))).collect();
    for list in lists {
        let (status, mut body) = list.join().expect("no panic");
        let mut text = String::new();
        body.read_to_string(&mut text).expect("a list");
        assert_eq!((status, text.contains("kiwi")), (200, true), "{text}");
    }
}

#[test]
fn table_then_changes() {
    let (herd, http) = pair();
    let mut client = herd["Hill"].client();
    for i in 0..300 {
        assert!(client.ask(&format!("IAMAT walker-{i} +1-0.{i:03} 1")).starts_with("AT Hill "));
    }
    let (status, reader) = get(http, "/events", "");
    assert_eq!(status, 200);
    let mut watcher = Watcher::new(reader);
    watcher.until("all have arrived", |watcher| watcher.seen.contains_key("all"));
    assert_eq!(watcher.clients.len(), 300);
    let hello = &watcher.seen["hello"];
    assert_eq!(
        (&hello["node"], &hello["nodes"][1], &hello["edges"][0][1]),
        (&"Hill".into(), &"Smith".into(), &1.into())
    );
    // Three moves between two looks are one; what the neighbour hears counts as well.
    for degrees in ["+2+2", "+3+3", "+4+4"] {
        client.ask(&format!("IAMAT walker-7 {degrees} {}", &degrees[1..2]));
    }
    herd["Smith"].ask("IAMAT walker-8 +5+5 9");
    herd["Smith"].ask("IAMAT newcomer +6+6 9");
    watcher.until("the changes arrive", |watcher| {
        let at = |id: &str| watcher.clients.get(id).map(String::as_str);
        (at("walker-7"), at("walker-8"), at("newcomer")) == (Some("+4+4"), Some("+5+5"), Some("+6+6"))
    });
    assert_eq!(watcher.clients.len(), 301);
    watcher.until("how all is", |watcher| {
        watcher.seen.get("herd").is_some_and(|herd| herd["in_sync"] == true)
            && watcher.seen.get("status").is_some_and(|status| status["http"]["subscribers"] == 1)
    });
}

#[test]
fn clients_as_json() {
    let (herd, http) = pair();
    let all = || {
        let mut text = String::new();
        get(http, "/clients", "").1.read_to_string(&mut text).expect("UTF-8");
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    assert_eq!(all(), Value::Array(Vec::new()));
    let mut client = herd["Hill"].client();
    for i in 0..100 {
        client.ask(&format!("IAMAT walker-{i} +34.068930-118.{i:03} 1621464827.959498503"));
    }
    let all = all();
    let all = all.as_array().expect("a list");
    assert_eq!(all.len(), 100);
    let one = all.iter().find(|one| one["id"] == "walker-45").expect("it is among them");
    assert_eq!((&one["latitude"], &one["longitude"]), (&34.06893.into(), &Value::from(-118.045)));
    assert_eq!((&one["time"], &one["origin"]), (&"1621464827.959498503".into(), &"Hill".into()));
}

/// The token that the herd prints.
fn token_of(herd: &Herd) -> String {
    let printed = herd_test_support::command(None)
        .args(["token", "--config"])
        .arg(herd.map("Hill"))
        .output()
        .expect("it runs");
    String::from_utf8(printed.stdout).expect("UTF-8").trim().to_owned()
}

#[test]
fn ids_that_are_not_text() {
    let (herd, http) = pair();
    let mut client = herd["Hill"].client();
    for id in [&b"caf\xe9"[..], b"caf\xe8", b"caf%E9", "caf\u{e9}".as_bytes()] {
        client.send([b"IAMAT ", id, b" +1+1 1\n"].concat());
        client.line();
    }
    let texts = ["caf%25E9", "caf%E8", "caf%E9", "caf\u{e9}"];
    let mut text = String::new();
    get(http, "/clients", "").1.read_to_string(&mut text).expect("UTF-8");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let ids: std::collections::BTreeSet<_> =
        all.as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect();
    assert!(ids.iter().eq(&texts), "{text}");
    let mut watcher = Watcher::new(get(http, "/events", "").1);
    watcher.until("all have arrived", |watcher| watcher.seen.contains_key("all"));
    assert!(watcher.clients.keys().eq(texts), "{:?}", watcher.clients);
    client.send(b"IAMAT caf\xe8 +2+2 2\n");
    watcher.until("a change arrives", |watcher| watcher.clients["caf%E8"] == "+2+2");
    assert_eq!(watcher.clients.len(), 4);
}

#[test]
fn proxy_on_loopback() {
    let (herd, http) = pair();
    for path in ["/", "/events", "/clients", "/towns?0,0,1,1"] {
        assert_eq!(get(http, path, "").0, 200, "{path}");
        assert_eq!(get(http, path, "X-Forwarded-For: 192.0.2.1\r\n").0, 401, "{path}");
    }
    assert_eq!(get(http, "/metrics", "Via: 1.1 caddy\r\n").0, 200);
    let token = token_of(&herd);
    let headers = format!("Host: herd.example\r\nVia: 1.1 caddy\r\nAuthorization: Bearer {token}\r\n");
    assert_eq!(get(http, "/clients", &headers).0, 200);
}

#[test]
fn too_many_subscribers() {
    let (herd, http) = pair();
    let mut seats: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| get(http, "/events", "")).collect();
    assert!(seats.iter().all(|(status, _)| *status == 200));
    assert_eq!(get(http, "/events", "").0, 503);
    // Figures are to be had all the same, and so is a seat at the board's own socket.
    let mut text = String::new();
    get(http, "/metrics", "").1.read_to_string(&mut text).expect("UTF-8");
    assert!(text.contains(&format!("herd_event_subscribers {SUBSCRIBERS_MAX}\n")), "{text}");
    assert!(text.contains("herd_event_subscribers_refused_total 1\n"), "{text}");
    let mut local: Vec<_> = (0..LOCAL_SUBSCRIBERS_MAX).map(|_| at_the_socket(&herd)).collect();
    for watcher in &mut local {
        watcher.until("all have arrived", |watcher| watcher.seen.contains_key("all"));
    }
    assert!(!at_the_socket(&herd).take(), "one more is let go without a word");
    seats.truncate(1);
    until("seats are free again", || get(http, "/events", "").0 == 200);
}

fn at_the_socket(herd: &Herd) -> Watcher<BufReader<UnixStream>> {
    let mut stream =
        UnixStream::connect(herd.folder.path("herd").join("Hill").join("control")).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the limit is not zero");
    stream.write_all(b"watch\n").expect("there is room");
    Watcher::new(BufReader::new(stream))
}

#[test]
fn deaf_subscriber() {
    // Without a key: a node that has one hides its memory from other processes.
    let http = free_addresses(1)[0];
    let mut herd = Herd::pair().build();
    herd.start_with_http("Hill", &http.to_string());
    let mut client = herd["Hill"].client();
    // What the first of all takes is not theirs, and under an emulator it is the emulator's, too.
    let mut moves = 0_u32;
    let mut move_all = || {
        for i in 0..500 {
            moves += 1;
            let answer = client.ask(&format!("IAMAT walker-{i:050} +1+1 {moves}"));
            assert!(answer.starts_with("AT Hill "), "{answer}");
        }
    };
    move_all();
    Watcher::new(get(http, "/events", "").1)
        .until("all have arrived", |watcher| watcher.seen.contains_key("all"));
    let before_kib = herd["Hill"].anonymous_kib();
    let deaf: Vec<_> = (0..SUBSCRIBERS_MAX)
        .map(|_| {
            let stream = TcpStream::connect(http).expect("the node listens");
            // As little as the kernel allows waits for a subscriber that does not read.
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 1).expect("a small buffer");
            (&stream).write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("there is room");
            stream
        })
        .collect();
    let begin = Instant::now();
    let is_alone = |text: &str| text.contains("herd_event_subscribers 0\n");
    let mut rounds = 0;
    loop {
        move_all();
        rounds += 1;
        let mut text = String::new();
        get(http, "/metrics", "").1.read_to_string(&mut text).expect("UTF-8");
        if is_alone(&text) {
            break;
        }
        assert!(begin.elapsed() < 3 * PATIENCE, "they are still there: {text}");
    }
    // A client that waited for them would have been answered until their buffers were full, and then once they were gone.
    assert!(rounds >= 8, "{rounds} rounds in the time that they had");
    let grown_kib = herd["Hill"].grown_kib(before_kib);
    assert!(grown_kib < 1024, "{grown_kib} KiB more");
    drop(deaf);
}

#[test]
fn map_reload_ends_streams() {
    let (herd, http) = pair();
    let mut watcher = Watcher::new(get(http, "/events", "").1);
    watcher.until("all have arrived", |watcher| watcher.seen.contains_key("all"));
    herd["Hill"].signal(Signal::HUP);
    let begin = Instant::now();
    while watcher.take() {
        assert!(begin.elapsed() < PATIENCE, "it goes on");
    }
    let mut watcher = Watcher::new(get(http, "/events", "").1);
    watcher.until("all have arrived", |watcher| watcher.seen.contains_key("all"));
}

#[test]
fn towns() {
    let (_herd, http) = pair();
    let (status, mut answer) = get(http, "/towns?33.9,-118.6,34.2,-118.2", "");
    assert_eq!(status, 200);
    let mut text = String::new();
    answer.read_to_string(&mut text).expect("UTF-8");
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let found = found["towns"].as_array().expect("a list");
    assert!((20..=200).contains(&found.len()), "{text}");
    for town in found {
        let side = |name: &str| town[name].as_f64().expect("a number");
        assert!((33.9..=34.2).contains(&side("lat")) && (-118.6..=-118.2).contains(&side("lon")), "{town}");
    }
    assert!(found.iter().any(|town| town["name"] == "Los Angeles"), "{text}");
    for (path, expected) in [("/towns", 400), ("/towns?1,1,0,0", 400)] {
        assert_eq!(get(http, path, "").0, expected, "{path}");
    }
    let mut herd =
        Herd::pair().places("{ \"source\": \"google-legacy\", \"url\": \"http://127.0.0.1:9/\" }").build();
    let http = free_addresses(1)[0];
    herd.start_with_http("Hill", &http.to_string());
    assert_eq!(get(http, "/towns?1,1,2,2", "").0, 404);
}

#[test]
fn token_wanted() {
    let port = free_addresses(1)[0].port();
    let herd = pair_at(&format!("0.0.0.0:{port}"));
    let http: SocketAddr = ([127, 0, 0, 1], port).into();
    for path in ["/", "/events", "/clients"] {
        assert_eq!(get(http, path, "Host: hill.local\r\n").0, 401, "{path}");
        assert_eq!(get(http, path, "Authorization: Bearer 0123-4567-89ab-cdef\r\n").0, 401, "{path}");
    }
    let token = token_of(&herd);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for path in ["/events", "/clients"] {
        assert_eq!(get(http, path, &bearer).0, 200, "{path}");
    }
    assert_eq!(get(http, "/metrics", "").0, 200);
    let mut text = String::new();
    get(http, "/metrics", "").1.read_to_string(&mut text).expect("UTF-8");
    assert!(text.contains("herd_http_denied_total 6\n"), "{text}");
    assert_eq!(herd["Hill"].log.count(&token), 0);
}
