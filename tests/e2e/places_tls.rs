//! Whom TLS trusts, against a real HTTPS server on loopback.

use herd::places::{Places, ProxyUrl, Settings};
use herd_test_support::upstream::asking::*;
use herd_test_support::upstream::tls::{Ca, self_signed};
use herd_test_support::upstream::tunnel::Tunnel;
use herd_test_support::upstream::{Act, Server, ok};

fn with_ca(server: &Server, ca: &Ca) -> Settings {
    Settings { ca_file: Some(ca.file().to_owned()), ..legacy(server) }
}

#[test]
fn certificate_accepted() {
    let ca = Ca::new();
    // The connection is used again, and made again where the server has ended it meanwhile.
    for (act, requests, connections) in [(ok(ODD), 3, 1), (Act::Once(ODD.into()), 5, 3)] {
        let server = Server::start_tls(act, ca.server(2000, 4000));
        let places = Places::start(with_ca(&server, &ca));
        for _ in 0..3 {
            assert_eq!(answer(&places, UCLA), ODD);
        }
        assert_eq!((server.seen().len(), server.connections()), (requests, connections));
    }
}

#[test]
fn certificate_untrusted() {
    let ca = Ca::new();
    let server = Server::start_tls(ok(ODD), self_signed());
    for settings in [legacy(&server), with_ca(&server, &ca)] {
        assert_failed(&answer_of(settings), "TLS refused: the certificate is not signed by an authority");
    }
    // One of our CA does not do where the built-in roots are asked.
    let server = Server::start_tls(ok(ODD), ca.server(2000, 4000));
    assert_failed(&answer_of(legacy(&server)), "not signed by an authority that is trusted here");
    assert!(server.seen().is_empty(), "no request, and so no key, was sent");
}

#[test]
fn certificate_out_of_time() {
    let ca = Ca::new();
    for (from, until, message) in [
        (2000, 2001, "TLS refused: the certificate has expired"),
        (3000, 4000, "not valid yet, so this board's clock is wrong"),
    ] {
        let server = Server::start_tls(ok(ODD), ca.server(from, until));
        assert_failed(&answer_of(with_ca(&server, &ca)), message);
    }
}

#[test]
fn proxy_sees_name() {
    let ca = Ca::new();
    let server = Server::start_tls(ok(ODD), ca.server(2000, 4000));
    let tunnel = Tunnel::start(1, server.address());
    let proxy = Some(ProxyUrl::new(&tunnel.url()).expect("an address"));
    assert_eq!(answer_of(Settings { proxy, ..with_ca(&server, &ca) }), ODD);
    let seen = tunnel.seen();
    assert!(seen.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.address())), "{seen}");
    assert!(server.seen()[0].target().contains(KEY) && !seen.contains(KEY));
}

#[test]
fn plain_server() {
    let server = Server::start(Act::Unasked(b"HTTP/1.1 400 Bad Request\r\n\r\n", None));
    let url = format!("https://{}/", server.address());
    assert_failed(&answer_of(legacy_at(url)), "TLS refused: received corrupt message");
}

#[test]
fn ca_file_unusable() {
    let server = Server::start(ok(ODD));
    for file in ["/nowhere/ca.pem", "/dev/null"] {
        let json = answer_of(Settings { ca_file: Some(file.into()), ..legacy(&server) });
        let name = file.rsplit('/').next().expect("a name");
        assert_failed(&json, &format!("the CA file {name} cannot be used"));
    }
}
