//! The time limit of a query holds whatever the upstream does, in each phase of a call, and so do the limits on what is
//! taken from it.

use herd::places::{ProxyUrl, Settings};
use herd_test_support::PATIENCE;
use herd_test_support::upstream::asking::*;
use herd_test_support::upstream::{Act, Server, ok};
use std::time::{Duration, Instant};

/// The limit that is tried first.
const LIMIT: Duration = Duration::from_millis(500);

/// A drop every so often, so that no single read takes the time that all of them take.
const DROP: Duration = Duration::from_millis(20);

/// Checks that a query with these settings ends as a time-out in this phase, and not before its time. On a busy machine the phase
/// may not be reached in time, so the limit grows until it is.
#[track_caller]
fn assert_times_out(settings: &Settings, phase: &str) {
    let mut limit = LIMIT;
    loop {
        let timeout_ms = u64::try_from(limit.as_millis()).expect("it is short");
        let begin = Instant::now();
        let json = answer_of(Settings { timeout_ms, ..settings.clone() });
        let took = begin.elapsed();
        // A hang that is not cut short lasts for ever here, and so would the wait for the answer.
        assert!(took + DROP >= limit, "{took:?}");
        limit *= 4;
        if json.contains(phase) || limit > PATIENCE {
            return assert_failed(&json, &format!("time-out while {phase}"));
        }
    }
}

#[test]
fn slow_server() {
    let head = "waiting for the upstream's answer";
    let body = "reading the upstream's answer";
    let table = [
        (Act::HangBeforeHead, head),
        (Act::DripHead(DROP), head),
        (Act::HangInBody(ODD.into()), body),
        (Act::Drip(DROP), body),
    ];
    for (act, phase) in table {
        let server = Server::start(act);
        assert_times_out(&legacy(&server), phase);
        assert_times_out(&modern(&server), phase);
    }
}

#[test]
fn flooding_server() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let table = [
        (Act::Flood("", "HTTP/1.1 100 Continue\r\n\r\n"), ""),
        (Act::Flood("HTTP/1.1 200 OK\r\n", "X: y\r\n"), ""),
        (Act::Flood(chunked, "1;an=extension\r\n \r\n"), "too large, over 262144 bytes"),
        (Act::Flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0", ";x=y"), ""),
        (Act::Flood("HTTP/1.1 200 OK\r\n\r\n", "{}"), "too large, over 262144 bytes"),
    ];
    for (act, message) in table {
        let server = Server::start(act);
        let json = answer_of(Settings { timeout_ms: 5_000, ..legacy(&server) });
        assert_failed(&json, message);
    }
}

#[test]
fn slow_proxy() {
    for act in [Act::HangBeforeHead, Act::DripHead(DROP)] {
        let proxy = Server::start(act);
        let proxy = ProxyUrl::new(&format!("http://{}", proxy.address())).map(|url| (url, proxy));
        let (url, _running) = proxy.expect("an address");
        let settings = legacy_at("http://places.example/x".to_owned());
        assert_times_out(&Settings { proxy: Some(url), ..settings }, "connecting to the upstream");
    }
}

#[test]
fn large_bodies() {
    let large = vec![b' '; 16 * 1024 * 1024];
    for act in [ok(large.clone()), Act::Chunked(large[..2_000_000].to_vec())] {
        let server = Server::start(act);
        for settings in [legacy(&server), modern(&server)] {
            assert_failed(&answer_of(settings), "too large, over 262144 bytes");
        }
    }
    let mut fits = ODD.as_bytes().to_vec();
    fits.resize(256 * 1024, b' ');
    let server = Server::start(ok(fits.clone()));
    assert_eq!(answer_of(legacy(&server)).len(), 256 * 1024);
    fits.push(b' ');
    server.act(ok(fits));
    assert_failed(&answer_of(legacy(&server)), "too large, over 262144 bytes");
}

/// Limits while TLS is being agreed on.
#[cfg(feature = "tls")]
mod tls {
    use super::*;

    /// Reads what comes and says nothing.
    fn silent() -> Server {
        Server::start(Act::Unasked(b"", None))
    }

    fn https(server: &Server) -> String {
        format!("https://{}/", server.address())
    }

    #[test]
    fn slow_server_tls() {
        use herd_test_support::upstream::tls::Ca;
        let connecting = "connecting to the upstream";
        assert_times_out(&legacy_at(https(&silent())), connecting);
        // The head of a record of 16 KB, and then a byte of it every so often: no read is idle for long.
        let server = Server::start(Act::Unasked(b"\x16\x03\x03\x40\x00", Some(DROP)));
        assert_times_out(&legacy_at(https(&server)), connecting);
        let ca = Ca::new();
        let body = "reading the upstream's answer";
        for (act, phase) in [
            (Act::DripHead(DROP), "waiting for the upstream's answer"),
            (Act::HangInBody(ODD.into()), body),
            (Act::Drip(DROP), body),
        ] {
            let server = Server::start_tls(act, ca.server(2000, 4000));
            assert_times_out(&Settings { ca_file: Some(ca.file().to_owned()), ..legacy(&server) }, phase);
        }
    }

    #[test]
    fn connecting() {
        let json = answer_of(Settings { connect_ms: 300, ..legacy_at(https(&silent())) });
        assert_failed(&json, "time-out while connecting");
    }
}
