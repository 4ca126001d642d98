//! Many queries at once, failing upstreams, and what is left afterwards.

use herd::places::{Places, Query, Settings};
use herd_test_support::until;
use herd_test_support::upstream::asking::*;
use herd_test_support::upstream::{Act, Server, ok, status};
use std::time::Duration;

/// Another place for each number, so that queries are not joined.
fn elsewhere(number: u8) -> Query {
    Query { longitude_deg: f64::from(number), ..UCLA }
}

#[test]
fn fifty_at_once() {
    let server = Server::start(Act::Late(Duration::from_millis(300), ODD.into()));
    let places = Places::start(Settings { idle_ms: 200, ..legacy(&server) });
    let receivers: Vec<_> = (0..50).map(|number| ask(&places, elsewhere(number))).collect();
    assert_eq!(places.workers().0, 8);
    assert!(receivers.iter().all(|receiver| receiver.recv().expect("an answer") == ODD));
    // Eight at a time are seven rounds of 0.3 s. How long that takes is for the bench to say.
    assert!((2..=8).contains(&server.at_once_max()), "{}", server.at_once_max());
    until("the workers leave", || places.workers() == (1, 1));
    assert_eq!((server.seen().len(), places.counters().failed), (50, 0));
}

#[test]
fn single_flight() {
    let server = Server::start(Act::Late(Duration::from_millis(300), ODD.into()));
    let places = Places::start(legacy(&server));
    let receivers: Vec<_> = (0..20).map(|_| ask(&places, UCLA)).collect();
    assert!(receivers.iter().all(|receiver| receiver.recv().expect("an answer") == ODD));
    assert_eq!((server.seen().len(), places.counters().joined), (1, 19));
}

#[test]
fn waited_too_long() {
    let server = Server::start(Act::HangBeforeHead);
    let settings = Settings { workers: 1, timeout_ms: 500, fallback: Some(places_file()), ..legacy(&server) };
    let places = Places::start(settings);
    let receivers: Vec<_> = (0..10).map(|number| ask(&places, elsewhere(number))).collect();
    let answers: Vec<_> = receivers.iter().map(|receiver| receiver.recv().expect("an answer")).collect();
    assert!(answers[0].contains("time-out while waiting for the upstream's answer"), "{}", answers[0]);
    assert!(answers[9].contains("time-out while waiting for a worker"), "{}", answers[9]);
    // Nine were answered without a turn at the upstream.
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn full_queue() {
    let server = Server::start(Act::HangBeforeHead);
    let places = Places::start(Settings { workers: 1, queue_max: 2, ..legacy(&server) });
    let first = ask(&places, elsewhere(0));
    until("the first has asked", || !server.seen().is_empty());
    // Joining one that is being answered is waiting, too.
    let waiting = [ask(&places, elsewhere(1)), ask(&places, elsewhere(0))];
    assert_failed(&answer(&places, elsewhere(2)), "2 queries are waiting already");
    drop(places);
    for receiver in waiting.iter().chain([&first]) {
        assert_failed(&receiver.recv().expect("an answer"), "the node is stopping");
        assert!(receiver.recv().is_err(), "done is called once");
    }
}

#[test]
fn fair_lanes() {
    let server = Server::start(Act::Late(Duration::from_millis(50), ODD.into()));
    let places = Places::start(Settings { workers: 1, ..legacy(&server) });
    let many: Vec<_> = (0..70).map(|number| ask_from(&places, elsewhere(number), 1)).collect();
    until("the first has asked", || !server.seen().is_empty());
    let one = ask_from(&places, elsewhere(100), 2);
    assert_eq!(one.recv().expect("an answer"), ODD);
    assert!(
        server.seen().len() < 10,
        "its turn comes after one of the other address, whatever that one asks"
    );
    assert!(many.iter().all(|receiver| receiver.recv().expect("an answer") == ODD), "none is refused");
}

#[test]
fn share_of_queue() {
    let server = Server::start(Act::HangBeforeHead);
    let settings = Settings { workers: 1, timeout_ms: 500, fallback: Some(places_file()), ..legacy(&server) };
    let places = Places::start(settings);
    let first = ask_from(&places, elsewhere(0), 1);
    until("the first has asked", || !server.seen().is_empty());
    let many: Vec<_> = (1..=70).map(|number| ask_from(&places, elsewhere(number), 1)).collect();
    let other = ask_from(&places, elsewhere(100), 2);
    let words = |receiver: &std::sync::mpsc::Receiver<String>| receiver.recv().expect("an answer");
    let is_hurried = |answer: &String| answer.contains("too many queries from one address");
    let answers: Vec<_> = many.iter().map(words).collect();
    assert!(!is_hurried(&words(&first)));
    assert_eq!(answers.iter().filter(|answer| is_hurried(answer)).count(), 6, "64 may wait for the upstream");
    assert!(answers.iter().all(|answer| answer.contains("answered from places.dat")), "{}", answers[0]);
    assert!(!is_hurried(&words(&other)), "another address has its own share");
}

#[test]
fn query_quota() {
    let server = Server::start(ok(ODD));
    let limited = Settings { queries_per_minute: Some(2), ..legacy(&server) };
    let places = Places::start(limited.clone());
    assert_eq!(answer(&places, elsewhere(0)), ODD);
    assert_eq!(answer(&places, elsewhere(1)), ODD);
    let refusal = "this node has asked the upstream 2 times in the last minute";
    assert_refused(&answer(&places, elsewhere(2)), "OVER_QUERY_LIMIT", refusal);
    assert_eq!(server.seen().len(), 2);
    let places = Places::start(Settings { fallback: Some(places_file()), ..limited });
    let answers: Vec<_> = (0..3).map(|number| answer(&places, elsewhere(number))).collect();
    assert_eq!(answers[1], ODD);
    assert!(
        answers[2].contains("answered from places.dat") && answers[2].contains(refusal),
        "{}",
        answers[2]
    );
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn stopping() {
    let server = Server::start(Act::HangBeforeHead);
    let places = Places::start(legacy(&server));
    let receivers: Vec<_> = (0..4).map(|number| ask(&places, elsewhere(number))).collect();
    until("all have asked", || server.seen().len() == 4);
    drop(places);
    // Not the time-out that the upstream would have come to.
    for receiver in receivers {
        assert_failed(&receiver.recv().expect("an answer"), "the node is stopping");
    }
}

#[test]
fn failing_upstream_probed() {
    let server = Server::start(status(503, ""));
    let places = Places::start(Settings { pause_ms: 1_500, ..legacy(&server) });
    for number in 0..3 {
        assert_failed(&answer(&places, elsewhere(number)), "HTTP status 503");
    }
    let json = answer(&places, UCLA);
    assert_failed(&json, "s; last: the upstream failed with HTTP");
    assert!(json.contains("failed repeatedly and is tried again in "), "{json}");
    assert_eq!(server.seen().len(), 3, "it is left alone");
    // After the pause one of many is let through; it fails, and so the next pause begins.
    server.act(status(503, ""));
    std::thread::sleep(Duration::from_millis(1_600));
    let receivers: Vec<_> = (0..6).map(|number| ask(&places, elsewhere(number))).collect();
    for receiver in receivers {
        assert_failed(&receiver.recv().expect("an answer"), "HTTP status 503");
    }
    assert_eq!(server.seen().len(), 4, "one probe");
    server.act(ok(ODD));
    until("the upstream is asked again", || answer(&places, UCLA) == ODD);
    assert_eq!(answer(&places, elsewhere(1)), ODD);
    assert_eq!(server.seen().len(), 6, "one probe, and then as before");
}

#[test]
fn refused_query() {
    let server = Server::start(status(400, ""));
    let places = Places::start(legacy(&server));
    for number in 0..5 {
        assert_refused(&answer(&places, elsewhere(number)), "INVALID_REQUEST", "refused the query");
    }
    assert_eq!(server.seen().len(), 5);
}

#[test]
fn cache() {
    let server = Server::start(ok(ODD));
    let places = Places::start(legacy(&server));
    assert_eq!((answer(&places, UCLA), answer(&places, UCLA)), (ODD.to_owned(), ODD.to_owned()));
    assert_eq!(server.seen().len(), 2);
    let places = Places::start(Settings { cache_s: 3_600, ..legacy(&server) });
    for items in [5, 5, 2, 2] {
        let expected = if items == 5 { ODD } else { ODD_CUT };
        assert_eq!(answer(&places, Query { items, ..UCLA }), expected);
    }
    assert_eq!((server.seen().len(), places.counters().from_cache), (4, 2));
    // Failures are not cached.
    server.act(status(500, ""));
    assert!(answer(&places, elsewhere(1)).contains("500"));
    server.act(ok(ODD));
    assert_eq!(answer(&places, elsewhere(1)), ODD);
}

#[test]
fn idle_connections() {
    let server = Server::start(ok(ODD));
    let places = Places::start(Settings { idle_ms: 100, ..legacy(&server) });
    assert_eq!(answer(&places, UCLA), ODD);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(answer(&places, UCLA), ODD);
    assert_eq!(server.connections(), 2);
}
