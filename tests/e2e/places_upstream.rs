//! What clients are answered when an upstream answers well, badly or not at all: real HTTP on loopback, at the level of
//! `Places::ask`.

use herd::places::{Endpoint, Key, Places, ProxyUrl, Query, Settings, Source, check_url};
use herd_test_support::free_addresses;
use herd_test_support::upstream::asking::*;
use herd_test_support::upstream::tunnel::Tunnel;
use herd_test_support::upstream::{Act, Server, ok, status};

#[test]
fn answer_cut() {
    let server = Server::start(ok(ODD));
    let places = Places::start(legacy(&server));
    assert_eq!(answer(&places, UCLA), ODD);
    assert_eq!(answer(&places, Query { items: 2, ..UCLA }), ODD_CUT);
    let none = answer(&places, Query { items: 0, ..UCLA });
    assert!(none.contains("\"results\":[], \"z\":-0.0"), "{none}");
    let seen = server.seen();
    let tail = "location=34.068930,-118.445127&radius=10000";
    assert_eq!(seen[0].target(), format!("/maps/api/place/nearbysearch/json?{tail}&key={KEY}"));
    assert!(!seen[0].target().contains('+'));
    assert_eq!(seen[0].header("accept-encoding"), None);
    assert_eq!((places.counters().asked, places.counters().failed), (3, 0));
}

#[test]
fn chunked() {
    let server = Server::start(Act::Chunked(ODD.into()));
    assert_eq!(answer_of(legacy(&server)), ODD);
}

#[test]
fn upstream_errors() {
    let denied = "{\n   \"error_message\" : \"The provided API key is invalid.\",\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"REQUEST_DENIED\"\n}\n";
    let server = Server::start(ok(denied));
    assert_eq!(answer_of(legacy(&server)), denied.trim_end());
    let table: [(Act, &str, &str); 10] = [
        (status(403, denied), "REQUEST_DENIED", "refused the key: The provided API key is invalid."),
        (status(403, "{\"error\":{\"message\":\"no\"}}"), "REQUEST_DENIED", "refused the key: no"),
        (status(429, "{}"), "OVER_QUERY_LIMIT", "the quota is used up"),
        (status(500, "<html>oops</html>"), "UNKNOWN_ERROR", "HTTP status 500"),
        (status(400, "{}"), "INVALID_REQUEST", "refused the query"),
        (ok("{\"status\":\"OVER_QUERY_LIMIT\"}"), "OVER_QUERY_LIMIT", "the quota is used up"),
        (
            Act::Answer(302, "Location: /elsewhere\r\n", Vec::new()),
            "UNKNOWN_ERROR",
            "redirect (HTTP status 302)",
        ),
        (
            Act::Answer(307, "Location: /elsewhere\r\n", Vec::new()),
            "UNKNOWN_ERROR",
            "redirect (HTTP status 307)",
        ),
        (ok(format!("{{\"results\":[\"{KEY}\"]}}")), "UNKNOWN_ERROR", "repeats the key"),
        (
            ok(format!("{{\"results\":[\"{}\"]}}", KEY.replace('-', "%2d"))),
            "UNKNOWN_ERROR",
            "repeats the key",
        ),
    ];
    for (act, expected, message) in table {
        let requests = server.seen().len();
        server.act(act);
        assert_refused(&answer_of(legacy(&server)), expected, message);
        assert_eq!(server.seen().len(), requests + 1, "nothing is followed or asked again");
    }
}

#[test]
fn no_json() {
    let deep = format!("{{\"results\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    let table: [(Act, &str); 9] = [
        (ok(""), "it is empty"),
        (ok("<html>"), "it is HTML"),
        (ok(&ODD[..90]), "it breaks off"),
        (ok("{\"results\":[1,]}"), "it is malformed"),
        (ok("[1]"), "it is not an object"),
        (ok("{}"), "it has no results"),
        (ok(deep), "it is nested too deeply"),
        (ok("{\"results\":[1],\"results\":[2]}"), "a member appears twice"),
        (
            // `{"results":[]}`, packed.
            Act::Answer(
                200,
                "Content-Encoding: gzip\r\n",
                b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabV*J-.\xcd))V\xb2\x8a\x8e\xad\x05\0\n'|\x9e\x0e\0\0\0"
                    .to_vec(),
            ),
            "it is compressed, which was not asked for",
        ),
    ];
    let server = Server::start(ok(""));
    for (act, message) in table {
        server.act(act);
        assert_failed(&answer_of(legacy(&server)), &format!("bad JSON from the upstream: {message}"));
    }
}

#[test]
fn early_end() {
    let table = [
        (Act::CloseAtOnce, "closed the connection before it answered"),
        (Act::CloseInBody(ODD.into()), "closed the connection in the middle"),
        (Act::Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "does not speak HTTP"),
        (Act::Raw(b"HTTP/1.1 200 OK\r\n\r\n{\"results\":["), "bad JSON from the upstream: it breaks off"),
    ];
    let server = Server::start(ok(ODD));
    for (act, message) in table {
        server.act(act);
        assert_failed(&answer_of(legacy(&server)), message);
    }
}

#[test]
fn idle_connection_ends() {
    let new = r#"{"places":[{"id":"a","location":{"latitude":34.06,"longitude":-118.44}}]}"#;
    for (body, settings) in [(ODD, legacy as fn(&Server) -> _), (new, modern)] {
        let server = Server::start(Act::Once(body.into()));
        let places = Places::start(settings(&server));
        let first = answer(&places, UCLA);
        for asked in 1..4 {
            assert_eq!(answer(&places, UCLA), first, "query {asked}");
            assert_eq!((server.seen().len(), server.connections()), (1 + 2 * asked, 1 + asked));
        }
        // Only once, and never after the first byte of an answer.
        server.act(Act::CloseAtOnce);
        let (seen, connections) = (server.seen().len(), server.connections());
        assert_failed(&answer(&places, UCLA), "closed the connection before it answered");
        assert_eq!((server.seen().len(), server.connections()), (seen + 2, connections + 1));
        server.act(ok(body));
        assert_eq!(answer(&places, UCLA), first);
        let (seen, connections) = (server.seen().len(), server.connections());
        server.act(Act::Raw(b"H"));
        assert_failed(&answer(&places, UCLA), "closed the connection before it answered");
        assert_eq!((server.seen().len(), server.connections()), (seen + 1, connections));
    }
}

#[test]
fn retry_is_counted() {
    let server = Server::start(Act::Once(ODD.into()));
    let places = Places::start(Settings { queries_per_minute: Some(3), ..legacy(&server) });
    assert_eq!(answer(&places, UCLA), ODD);
    assert_eq!(answer(&places, UCLA), ODD);
    assert_eq!(server.seen().len(), 3, "two queries and a retry");
    assert_refused(&answer(&places, UCLA), "OVER_QUERY_LIMIT", "3 times in the last minute");
    // A retry that is one too many does not take place.
    let places = Places::start(Settings { queries_per_minute: Some(2), ..legacy(&server) });
    assert_eq!(answer(&places, UCLA), ODD);
    assert_failed(&answer(&places, UCLA), "closed the connection before it answered");
    assert_eq!(server.seen().len(), 5);
}

#[test]
fn byte_order_mark() {
    let marked = |body: &str| ok(format!("\u{feff}{body}"));
    let server = Server::start(marked(ODD));
    assert_eq!(answer_of(legacy(&server)), ODD);
    server.act(marked("{}"));
    assert!(answer_of(modern(&server)).contains("ZERO_RESULTS"));
    server.act(status(403, "\u{feff}{\"error\":{\"message\":\"no\"}}"));
    for settings in [legacy(&server), modern(&server)] {
        assert_refused(&answer_of(settings), "REQUEST_DENIED", "refused the key: no");
    }
}

#[test]
fn large_head() {
    let server = Server::start(ok(ODD));
    let leaked = |text: String| -> &'static str { text.leak() };
    for (more, message) in [
        (format!("Set-Cookie: {}\r\n", "a".repeat(9000)), Err("its head is over 8 KB")),
        (format!("Set-Cookie: {}\r\n", "a".repeat(100_000)), Err("its head is over 8 KB")),
        (format!("Set-Cookie: {}\r\n", "a".repeat(8200)), Err("its head is over 8 KB")),
        (format!("Set-Cookie: {}\r\n", "a".repeat(8000)), Ok(())),
        ("X: a\r\n".repeat(150), Err("it sends more than 128 headers")),
        ("X: a\r\n".repeat(127), Err("it sends more than 128 headers")),
        ("X: a\r\n".repeat(126), Ok(())),
    ] {
        server.act(Act::Answer(200, leaked(more), ODD.into()));
        let json = answer_of(legacy(&server));
        match message {
            Ok(()) => assert_eq!(json, ODD),
            Err(message) => assert_failed(&json, message),
        }
    }
}

#[test]
fn upstream_recovers() {
    let address = free_addresses(1)[0];
    let places = Places::start(legacy_at(format!("http://{address}/")));
    assert_failed(&answer(&places, UCLA), "cannot be reached: Connection refused");
    let _server = Server::start_at(address, ok(ODD));
    assert_eq!(answer(&places, UCLA), ODD);
}

#[test]
fn unknown_host() {
    let json = answer_of(legacy_at("http://herd-test.invalid/".to_owned()));
    assert_failed(&json, "the upstream cannot be reached: its name is not known");
}

#[test]
fn bad_settings() {
    let google = Settings::new(Source::Google(Endpoint::default()));
    assert_refused(
        &answer_of(google),
        "REQUEST_DENIED",
        "no key; give one in the configuration's places.key_file",
    );
    let odd = legacy_at("gopher://x".to_owned());
    assert_failed(&answer_of(odd), "places.url cannot be asked: it is not an address");
    if !cfg!(feature = "tls") {
        let key = Some(Key::new(KEY).expect("a key"));
        let google = Settings::new(Source::GoogleLegacy(Endpoint { url: None, key }));
        assert_failed(&answer_of(google), "https needs TLS, which this build is without");
        assert!(check_url("https://x/").is_err());
    }
}

#[test]
fn no_key_needed() {
    let server = Server::start(ok(ODD));
    let endpoint = Endpoint { url: Some(server.url()), key: None };
    assert_eq!(answer_of(Settings::new(Source::GoogleLegacy(endpoint))), ODD);
    assert!(!server.seen()[0].target().contains("key"));
}

#[test]
fn proxy_connect() {
    let server = Server::start(status(407, ""));
    let proxy = ProxyUrl::new(&format!("http://me:secret@{}", server.address())).expect("an address");
    let settings = legacy_at("http://places.example:8080/x".to_owned());
    let json = answer_of(Settings { proxy: Some(proxy), ..settings });
    assert_failed(&json, "the upstream cannot be reached: the proxy refused");
    let seen = server.seen();
    assert_eq!(seen[0].target(), "places.example:8080");
    assert!(!seen[0].head.contains(KEY) && seen[0].header("proxy-authorization").is_some());
}

#[test]
fn tunnel() {
    let server = Server::start(ok(ODD));
    let tunnel = Tunnel::start(1, server.address());
    let proxy = Some(ProxyUrl::new(&tunnel.url()).expect("an address"));
    // The name is looked up by the proxy, if at all: no other resolver knows it.
    let settings = legacy_at("http://herd-test.invalid/x?a=b".to_owned());
    assert_eq!(answer_of(Settings { proxy, ..settings }), ODD);
    let seen = tunnel.seen();
    assert!(seen.starts_with("CONNECT herd-test.invalid:80 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{seen}");
    let request = &server.seen()[0];
    assert!(request.target().starts_with("/x?a=b&location=34.0"), "{}", request.target());
    assert!(request.header("proxy-authorization").is_none(), "the password is the proxy's alone");
}

#[test]
fn two_addresses() {
    let server = Server::start(ok(ODD));
    let url = format!("http://localhost:{}/", server.address().port());
    assert_eq!(answer_of(legacy_at(url)), ODD);
}

#[test]
fn new_service() {
    let places = r#"{"places":[{"id":"a","location":{"latitude":34.0600,"longitude":-118.44},"displayName":{"text":"A"},"types":["cafe"]}]}"#;
    let server = Server::start(ok(places));
    let json = answer_of(modern(&server));
    assert!(json.contains("\"lat\" : 34.0600,") && json.ends_with("\"status\" : \"OK\"\n}"), "{json}");
    let seen = server.seen();
    assert!(seen[0].head.starts_with("POST "), "{}", seen[0].head);
    assert_eq!(seen[0].header("x-goog-api-key"), Some(KEY));
    assert!(!seen[0].target().contains(KEY));
    let body: serde_json::Value = serde_json::from_slice(&seen[0].body).expect("JSON");
    assert_eq!((&body["maxResultCount"], &body["rankPreference"]), (&5.into(), &"DISTANCE".into()));
    server.act(ok("{}\n"));
    assert!(answer_of(modern(&server)).contains("ZERO_RESULTS"));
    server.act(status(429, "{\"error\":{\"message\":\"too many\",\"status\":\"RESOURCE_EXHAUSTED\"}}"));
    assert_refused(&answer_of(modern(&server)), "OVER_QUERY_LIMIT", "the quota is used up: too many");
}

#[test]
fn fallback() {
    let server = Server::start(status(500, ""));
    let places = Places::start(Settings { fallback: Some(places_file()), ..legacy(&server) });
    let json = answer(&places, UCLA);
    let value = herd_test_support::json(&json);
    let info = value["info_messages"][0].as_str().expect("a message");
    assert_eq!(info, "places: answered from places.dat; the upstream failed with HTTP status 500");
    assert_eq!((&value["results"][0]["name"], &value["status"]), (&"Bel Air".into(), &"OK".into()));
    assert!(json.starts_with("{\n   \"html_attributions\" : [],\n   \"info_messages\" : ["), "{json}");
    assert_eq!((places.counters().from_fallback, places.counters().failed), (1, 0));
    // No results are an answer.
    server.act(ok("{\"results\":[],\"status\":\"ZERO_RESULTS\"}"));
    assert_eq!(answer(&places, UCLA), "{\"results\":[],\"status\":\"ZERO_RESULTS\"}");
    // Without a fallback that can answer, the first failure is what the client sees.
    server.act(status(403, ""));
    let json = answer_of(Settings { fallback: Some("/nowhere".into()), ..legacy(&server) });
    assert_refused(&json, "REQUEST_DENIED", "refused the key");
}
