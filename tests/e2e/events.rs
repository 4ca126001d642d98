//! The event stream: every subscriber gets each client and each change, and a hostile subscriber harms no other.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use herd::server::limits::{LOCAL_SUBSCRIBERS_MAX, SUBSCRIBERS_MAX};
use herd_test_support::http::{connected, opened};
use herd_test_support::{Herd, PATIENCE, free_addresses, until};
use rustix::process::Signal;
use serde_json::Value;

/// A pair of nodes of which Hill has an HTTP listener.
fn pair() -> (Herd, SocketAddr) {
    let mut herd = Herd::pair().keyed().build();
    let http = herd.start_with_http();
    (herd, http)
}

/// Asks for this path, and gives what is answered once its head is read: the status, and a reader of what follows.
fn get(http: SocketAddr, path: &str, headers: &str) -> (u16, BufReader<TcpStream>) {
    let host = if headers.contains("Host: ") { "" } else { "Host: localhost\r\n" };
    let request = format!("GET {path} HTTP/1.1\r\n{host}{headers}\r\n");
    let mut reader = BufReader::new(opened(http, request.as_bytes()));
    let mut first = String::new();
    reader.read_line(&mut first).expect("it is answered");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut line = String::new();
    while reader.read_line(&mut line).expect("a head") > 2 {
        line.clear();
    }
    (status, reader)
}

/// What is found at this path.
fn text(http: SocketAddr, path: &str) -> String {
    let (status, mut body) = get(http, path, "");
    let mut text = String::new();
    body.read_to_string(&mut text).expect("UTF-8");
    assert_eq!(status, 200, "{text}");
    text
}

fn json(http: SocketAddr, path: &str) -> Value {
    herd_test_support::json(&text(http, path))
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
                self.seen.insert(self.event.clone(), herd_test_support::json(data));
            }
        } else {
            assert_eq!(line, "");
            self.event.clear();
        }
        true
    }

    /// Takes the whole table.
    fn until_all(&mut self) {
        self.until("all have arrived", |watcher| watcher.seen.contains_key("all"));
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < PATIENCE && self.take(), "{what}: {:?} {:?}", self.seen, self.clients);
        }
    }
}

/// A subscriber to whom the whole table has come.
fn subscribed(http: SocketAddr) -> Watcher<BufReader<TcpStream>> {
    let (status, reader) = get(http, "/events", "");
    assert_eq!(status, 200);
    let mut watcher = Watcher::new(reader);
    watcher.until_all();
    watcher
}

#[test]
fn parallel_lists() {
    let (herd, http) = pair();
    herd["Hill"].ask("IAMAT kiwi +1+1 1");
    let lists: Vec<_> = (0..8).map(|_| std::thread::spawn(move || text(http, "/clients"))).collect();
    for list in lists {
        let text = list.join().expect("no panic");
        assert!(text.contains("kiwi"), "{text}");
    }
}

#[test]
fn table_then_changes() {
    let (herd, http) = pair();
    let mut client = herd["Hill"].client();
    for i in 0..300 {
        assert!(client.ask(&format!("IAMAT walker-{i} +1-0.{i:03} 1")).starts_with("AT Hill "));
    }
    let mut watcher = subscribed(http);
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
    assert_eq!(json(http, "/clients"), Value::Array(Vec::new()));
    let mut client = herd["Hill"].client();
    for i in 0..100 {
        client.ask(&format!("IAMAT walker-{i} +34.068930-118.{i:03} 1621464827.959498503"));
    }
    let all = json(http, "/clients");
    let all = all.as_array().expect("a list");
    assert_eq!(all.len(), 100);
    let one = all.iter().find(|one| one["id"] == "walker-45").expect("it is among them");
    assert_eq!((&one["latitude"], &one["longitude"]), (&34.06893.into(), &Value::from(-118.045)));
    assert_eq!((&one["time"], &one["origin"]), (&"1621464827.959498503".into(), &"Hill".into()));
}

/// The token that the herd prints.
fn token_of(herd: &Herd) -> String {
    let map = herd.map("Hill").to_str().expect("a plain path");
    herd.printed(&["token", "--config", map]).trim().to_owned()
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
    let all = json(http, "/clients");
    let ids: std::collections::BTreeSet<_> =
        all.as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect();
    assert!(ids.iter().eq(&texts), "{all}");
    let mut watcher = subscribed(http);
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
    let text = text(http, "/metrics");
    assert!(text.contains(&format!("herd_event_subscribers {SUBSCRIBERS_MAX}\n")), "{text}");
    assert!(text.contains("herd_event_subscribers_refused_total 1\n"), "{text}");
    let mut local: Vec<_> = (0..LOCAL_SUBSCRIBERS_MAX).map(|_| at_the_socket(&herd)).collect();
    local.iter_mut().for_each(Watcher::until_all);
    assert!(!at_the_socket(&herd).take(), "one more is let go without a word");
    seats.truncate(1);
    until("seats are free again", || get(http, "/events", "").0 == 200);
}

fn at_the_socket(herd: &Herd) -> Watcher<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(herd.control_socket("Hill")).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the limit is not zero");
    stream.write_all(b"watch\n").expect("there is room");
    Watcher::new(BufReader::new(stream))
}

#[test]
fn deaf_subscriber() {
    // Without a key: a node that has one hides its memory from other processes.
    let mut herd = Herd::pair().build();
    let http = herd.start_with_http();
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
    drop(subscribed(http));
    let before_kib = herd["Hill"].anonymous_kib();
    let deaf: Vec<_> = (0..SUBSCRIBERS_MAX)
        .map(|_| {
            let stream = connected(http);
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
        let text = text(http, "/metrics");
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
    let mut watcher = subscribed(http);
    herd["Hill"].signal(Signal::HUP);
    let begin = Instant::now();
    while watcher.take() {
        assert!(begin.elapsed() < PATIENCE, "it goes on");
    }
    subscribed(http);
}

#[test]
fn towns() {
    let (_herd, http) = pair();
    let all = json(http, "/towns?33.9,-118.6,34.2,-118.2");
    let found = all["towns"].as_array().expect("a list");
    assert!((20..=200).contains(&found.len()), "{all}");
    for town in found {
        let side = |name: &str| town[name].as_f64().expect("a number");
        assert!((33.9..=34.2).contains(&side("lat")) && (-118.6..=-118.2).contains(&side("lon")), "{town}");
    }
    assert!(found.iter().any(|town| town["name"] == "Los Angeles"), "{all}");
    for (path, expected) in [("/towns", 400), ("/towns?1,1,0,0", 400)] {
        assert_eq!(get(http, path, "").0, expected, "{path}");
    }
    let mut herd =
        Herd::pair().places("{ \"source\": \"google-legacy\", \"url\": \"http://127.0.0.1:9/\" }").build();
    let http = herd.start_with_http();
    assert_eq!(get(http, "/towns?1,1,2,2", "").0, 404);
}

#[test]
fn token_wanted() {
    let port = free_addresses(1)[0].port();
    let mut herd = Herd::pair().keyed().build();
    herd.add_address("Hill", "http", &format!("0.0.0.0:{port}"));
    herd.start_built();
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
    let text = text(http, "/metrics");
    assert!(text.contains("herd_http_denied_total 6\n"), "{text}");
    assert_eq!(herd["Hill"].log.count(&token), 0);
}
