//! Places from elsewhere as clients of a real node see them, and what of the key is to be seen from outside.

use herd_test_support::upstream::asking::{KEY, ODD, ODD_RAW, places_file};
use herd_test_support::upstream::{Act, Server, ok, status};
use herd_test_support::{Client, Folder, Herd, KIWI, Node, PATIENCE, free_addresses, until_within};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// The key in a file that only its owner reads.
fn key_file(folder: &Folder) -> PathBuf {
    folder.write_private("places-key", format!("{KEY}\n"))
}

/// Hill alone, with this source and these further members of `places`.
fn hill(source: &str, url: &str, more: &str) -> (Herd, Folder) {
    let folder = Folder::new();
    let places = format!(
        "{{ \"source\": \"{source}\", \"url\": \"{url}\", \"key_file\": {:?}, \"file\": {:?}{more} }}",
        key_file(&folder),
        places_file()
    );
    (Herd::one().places(places).log_level("debug").start(), folder)
}

/// All that the node sends to one that says these lines and then no more.
fn exchange(node: &Node, lines: &str) -> String {
    let answer = herd_test_support::exchange(node.clients, lines.as_bytes());
    String::from_utf8(answer).expect("the upstream's text is UTF-8")
}

#[test]
fn bytes_passed_on() {
    let server = Server::start(ok(ODD_RAW));
    let (herd, _folder) = hill("google-legacy", &server.url(), "");
    let at = herd["Hill"].ask(KIWI);
    // Runs of newlines are one, the ones at the end go, and two end the answer; CR and the rest stay.
    let one = "{\r\n \"status\" : \"OK\",\n \"results\":[ {\"lat\":1.10,\"id\":12345678901234567890} \n ], \"z\":-0.0, \"a\" : null }";
    let none = "{\r\n \"status\" : \"OK\",\n \"results\":[], \"z\":-0.0, \"a\" : null }";
    let lines =
        "WHATSAT kiwi.cs.ucla.edu 10 20\nWHATSAT kiwi.cs.ucla.edu 0.5 1\nWHATSAT kiwi.cs.ucla.edu 50 0\n";
    let expected = format!("{at}\n{ODD}\n\n{at}\n{one}\n\n{at}\n{none}\n\n");
    assert_eq!(exchange(&herd["Hill"], lines), expected);
    let targets: Vec<String> = server.seen().iter().map(|request| request.target().to_owned()).collect();
    let target = |radius: &str| {
        format!("/maps/api/place/nearbysearch/json?location=34.068930,-118.445127&radius={radius}&key={KEY}")
    };
    assert_eq!(targets, [target("10000"), target("500"), target("50000")]);
}

#[test]
fn fallback_to_file() {
    // Nothing listens there.
    let url = format!("http://{}/", free_addresses(1)[0]);
    let (herd, _folder) = hill("google-legacy", &url, ", \"fallback\": \"offline\"");
    herd["Hill"].ask(KIWI);
    let (_, json) = herd["Hill"].client().whatsat("WHATSAT kiwi.cs.ucla.edu 10 1");
    assert!(json.contains("\"name\" : \"Bel Air\"") && json.contains("\"status\" : \"OK\""), "{json}");
    assert!(json.contains("\"info_messages\" : [\n      \"places: answered from places.dat; "), "{json}");
    assert!(json.contains("Connection refused"), "{json}");
    herd["Hill"].log.wait_for("places: the upstream cannot be reached: Connection refused");
}

/// Checks that nothing that the process shows of itself holds the key.
fn assert_hidden(node: &Node, answers: &[String]) {
    for file in ["cmdline", "environ", "comm", "status"] {
        let text = String::from_utf8_lossy(&node.proc(file)).into_owned();
        assert!(!text.contains(KEY), "/proc/PID/{file} holds the key: {text}");
    }
    for answer in answers {
        assert!(!answer.contains(KEY), "an answer holds the key: {answer}");
    }
    // The log is at its most talkative, and was read: else the next line would hold for nothing.
    node.log.wait_for("DEBUG");
    node.log.wait_for("WARN");
    assert!(!node.log.has(KEY), "the log holds the key: {:?}", node.log.last(KEY));
}

/// What an upstream may do that makes a dependency print the address, the head or the body.
fn acts() -> Vec<Act> {
    vec![
        ok(ODD),
        ok("{}"),
        ok(format!("<html>no {KEY}</html>")),
        ok(format!("{{\"results\":[\"{KEY}\"]}}")),
        status(403, format!("{{\"error\":{{\"message\":\"bad key {KEY}\"}}}}")),
        Act::Answer(307, "Location: http://127.0.0.1:1/elsewhere\r\n", Vec::new()),
        ok(ODD),
        status(500, ""),
        Act::Raw(b"nonsense\r\n\r\n"),
        ok(ODD),
    ]
}

#[test]
fn key_hidden() {
    for source in ["google-legacy", "google"] {
        let server = Server::start(ok(ODD));
        let (mut herd, _folder) = hill(source, &server.url(), "");
        herd["Hill"].ask(KIWI);
        let mut answers = Vec::new();
        for act in acts() {
            server.act(act);
            answers.push(exchange(&herd["Hill"], "WHATSAT kiwi.cs.ucla.edu 10 5\n"));
        }
        assert!(server.seen().iter().any(|request| request.head.contains(KEY)), "the upstream was given it");
        assert_hidden(&herd["Hill"], &answers);
        herd["Hill"].signal(rustix::process::Signal::TERM);
        herd["Hill"].wait_for_end();
        assert!(!herd["Hill"].log.has(KEY), "{:?}", herd["Hill"].log.last(KEY));
    }
}

#[test]
#[cfg(feature = "tls")]
fn key_hidden_tls() {
    let ca = herd_test_support::upstream::tls::Ca::new();
    let good = Server::start_tls(ok(ODD), ca.server(2000, 4000));
    let (herd, _folder) = hill("google-legacy", &good.url(), &format!(", \"ca_file\": {:?}", ca.file()));
    herd["Hill"].ask(KIWI);
    let mut answers = vec![exchange(&herd["Hill"], "WHATSAT kiwi.cs.ucla.edu 10 5\n")];
    assert!(answers[0].contains("12345678901234567890"), "{}", answers[0]);
    good.act(Act::CloseInBody(ODD.into()));
    answers.push(exchange(&herd["Hill"], "WHATSAT kiwi.cs.ucla.edu 10 5\n"));
    assert_hidden(&herd["Hill"], &answers);
}

#[test]
fn readable_key_refused() {
    let folder = Folder::new();
    let key = key_file(&folder);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("the file is ours");
    let places = format!("{{ \"source\": \"google\", \"key_file\": {key:?} }}");
    let mut herd = Herd::one().places(places).build();
    herd["Hill"].launch();
    let why = herd["Hill"].try_wait_until_it_serves().expect_err("it is refused");
    assert!(why.contains("chmod 600") && why.contains("places.key_file") && !why.contains(KEY), "{why}");
}

#[test]
fn fifty_clients() {
    let server = Server::start(Act::Late(Duration::from_millis(300), ODD.into()));
    let (herd, _folder) = hill("google-legacy", &server.url(), "");
    let node = &herd["Hill"];
    // The first query's worker stays; what comes on top of it has to go again.
    node.ask(KIWI);
    exchange(node, "WHATSAT kiwi.cs.ucla.edu 10 5\n");
    let at_rest = node.threads();
    let mut clients: Vec<Client> = (0..50)
        .map(|number| {
            let mut client = node.client();
            client.ask(&format!("IAMAT c{number} +34-118.{number:03} 1621464827"));
            client.send(format!("WHATSAT c{number} 10 5\n"));
            client
        })
        .collect();
    for client in &mut clients {
        assert!(client.line().starts_with(b"AT Hill "), "an answer of its own");
        assert!(client.json().contains("12345678901234567890"));
    }
    assert_eq!(server.seen().len(), 51);
    // Ten seconds without work, and time for a machine that does much else.
    until_within(2 * PATIENCE, "the threads leave", || node.threads() == at_rest);
}

/// Clients that wait for the same places share them, so a crowd is not taken for clients that do not read.
#[test]
fn crowd_shares_places() {
    const CROWD: usize = 60;
    let name = "x".repeat(200_000);
    let body = format!("{{ \"results\" : [ {{ \"name\" : \"{name}\" }} ], \"status\" : \"OK\" }}");
    let server = Server::start(Act::Late(Duration::from_millis(500), body.clone().into()));
    let (herd, _folder) = hill("google-legacy", &server.url(), "");
    let node = &herd["Hill"];
    let at = node.ask(KIWI);
    let mut crowd: Vec<Client> = (0..CROWD).map(|_| node.client()).collect();
    for client in &mut crowd {
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(client.socket(), 16 * 1024);
    }
    let before_kib = node.anonymous_kib();
    for client in &mut crowd {
        client.send("WHATSAT kiwi.cs.ucla.edu 10 5\n");
    }
    // The first reads when all have the beginning of their answers.
    let first = crowd[0].line();
    assert_eq!(String::from_utf8_lossy(&first), at);
    let grown_kib = node.grown_kib(before_kib);
    assert!(grown_kib < 4096, "{grown_kib} KiB more");
    std::thread::scope(|scope| {
        for (number, client) in crowd.iter_mut().enumerate() {
            let (at, body) = (&at, &body);
            scope.spawn(move || {
                if number > 0 {
                    assert_eq!(String::from_utf8_lossy(&client.line()), *at, "client {number}");
                }
                assert_eq!(client.json(), *body, "client {number}");
            });
        }
    });
    assert_eq!(server.seen().len(), 1, "they wait for one query");
}

#[test]
fn waiting_client() {
    let server = Server::start(Act::HangBeforeHead);
    let (herd, _folder) = hill("google-legacy", &server.url(), "");
    let node = &herd["Hill"];
    node.ask(KIWI);
    let mut waiting = node.client();
    waiting.send("WHATSAT kiwi.cs.ucla.edu 10 5\n");
    // Others are answered, the one that waits is not.
    for number in 0..100 {
        assert!(node.ask(&format!("IAMAT c{number} +34-118 1621464827")).starts_with("AT Hill "));
    }
    let answer = String::from_utf8(waiting.line()).expect("an AT line");
    assert!(answer.starts_with("AT Hill "), "{answer}");
    let json = waiting.json();
    assert!(json.contains("time-out while waiting for the upstream's answer"), "{json}");
    assert!(json.contains("\"status\" : \"UNKNOWN_ERROR\""), "{json}");
}
