//! What a node says over HTTP: figures and health, to be read and nothing else, whatever strangers do there.

use std::io::Read;
use std::net::{Shutdown, SocketAddr};

use herd::server::http::{HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX};
use herd::server::limits::SILENT_MAX;
use herd_test_support::http::{ask, connected, crowd};
use herd_test_support::{Herd, until};

/// A pair of nodes of which Hill has an HTTP listener.
fn pair() -> (Herd, SocketAddr) {
    let mut herd = Herd::pair().build();
    let http = herd.start_with_http();
    (herd, http)
}

fn metrics(http: SocketAddr) -> String {
    let (head, body) = ask(http, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0;"),
        "{head}"
    );
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    assert!(body.ends_with("\n# EOF\n"), "{body}");
    body
}

#[test]
fn metrics_of_node() {
    let (mut herd, http) = pair();
    herd["Hill"].ask("IAMAT kiwi +34.068930-118.445127 1621464827.959498503");
    let other = herd.names().into_iter().find(|name| *name != "Hill").expect("a pair");
    until("the link is in sync", || {
        metrics(http).contains(&format!("herd_link_in_sync{{neighbour=\"{other}\"}} 1\n"))
    });
    let text = metrics(http);
    for line in [
        "herd_client_commands_total{command=\"iamat\"} 1\n",
        "herd_table_entries 1\n",
        "herd_table_capacity_entries 4096\n",
        "herd_clock_trusted 1\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    // Neither a client's id nor where it is.
    assert!(!text.contains("kiwi") && !text.contains("118.4"), "{text}");
    herd[other].kill();
    until("the link is down", || {
        metrics(http).contains(&format!("herd_link_up{{neighbour=\"{other}\"}} 0\n"))
    });
    assert_eq!(ask(http, b"GET /healthz HTTP/1.0\r\n\r\n").1, "ok\n");
    assert_eq!(ask(http, b"GET http://a:1/healthz HTTP/1.1\r\nHost: a:1\r\n\r\n").1, "ok\n");
    let (head, body) = ask(http, b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    assert!(body.contains("\n# TYPE herd_client_commands_total counter\n"), "{body}");
    assert!(!body.contains("# EOF") && !body.contains("# UNIT") && !body.contains(" info\n"), "{body}");
    let (head, body) = ask(http, b"HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.contains("\r\nContent-Length: 3\r\n") && body.is_empty(), "{head}");
}

#[test]
fn bad_requests() {
    let (_herd, http) = pair();
    let long = [b"GET /metrics HTTP/1.1\r\nA: ".to_vec(), vec![b'x'; HTTP_HEAD_BYTES_MAX]].concat();
    for (request, status) in [
        (&b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"[..], "404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "405 Method Not Allowed"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"IAMAT kiwi +1+1 1\n\n", "400 Bad Request"),
        (&[0xff; 64], "400 Bad Request"),
        (&long, "431 Request Header Fields Too Large"),
    ] {
        let (head, _) = ask(http, request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
    }
    assert!(metrics(http).contains("herd_http_refused_total 7\n"), "{}", metrics(http));
}

/// A client that goes on sending sees the refusal, and no reset.
#[test]
fn refusal_arrives() {
    let (_herd, http) = pair();
    let head = b"POST /clients HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n".to_vec();
    let long = [b"GET /metrics HTTP/1.1\r\nA: ".to_vec(), vec![b'x'; 5 * HTTP_HEAD_BYTES_MAX]].concat();
    for (request, status) in [([head, vec![b'x'; 90_000]].concat(), "405"), (long, "431")] {
        let (answer, _) = ask(http, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[test]
fn refusals_counted() {
    let (mut herd, http) = pair();
    // A connection that closes without a request.
    drop(connected(http));
    until("it is counted", || metrics(http).contains("herd_status_requests_failed_total 1\n"));
    herd.put_map("Hill", "{");
    herd["Hill"].signal(rustix::process::Signal::HUP);
    until("the configuration is counted", || metrics(http).contains("herd_reloads_failed_total 1\n"));
    herd["Smith"].kill();
    until("dials are counted", || !metrics(http).contains("herd_dials_failed_total 0\n"));
}

#[test]
fn slow_crowd() {
    let (herd, http) = pair();
    // Clients that send one byte take all connections.
    let silent = crowd(http, 2 * SILENT_MAX, b"G");
    // A client is answered, and the node closes the oldest for one that asks, long before the time of the others is over.
    assert!(herd["Hill"].ask("IAMAT kiwi +1+1 1").starts_with("AT Hill "));
    let mut last = silent.last().expect("a crowd");
    last.set_nonblocking(true).expect("it is a socket");
    let mut is_open = || {
        let error = last.read(&mut [0]).expect_err("it is open, and nothing is sent");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    };
    is_open();
    assert!(metrics(http).contains("herd_client_commands_total{command=\"iamat\"} 1\n"));
    is_open();
    let mut first = &silent[0];
    assert_eq!(first.read(&mut [0]).unwrap_or(0), 0, "the first has made way");
    for stream in &silent {
        let _ = stream.shutdown(Shutdown::Both);
    }
    // The same with many that ask and do not read.
    let deaf = crowd(http, HTTP_CONNECTIONS_MAX, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(herd["Hill"].ask("WHATSAT kiwi 0 0").starts_with("AT Hill "));
    assert_eq!(ask(http, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").1, "ok\n");
    drop(deaf);
}
