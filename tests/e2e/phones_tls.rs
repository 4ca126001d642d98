//! TLS on the listeners `http` and `phones`.

use std::io::Read;
use std::net::SocketAddr;

use herd_test_support::http::opened;
use herd_test_support::upstream::tls::{Ca, Versions};
use herd_test_support::{Herd, free_addresses, until};
use rustix::process::Signal;

const TLS_1_2: Versions = &[&rustls::version::TLS12];
const TLS_1_3: Versions = &[&rustls::version::TLS13];
const REPORT: &[u8] = b"GET /?id=van7&lat=1&lon=2&timestamp=5 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const PAGE: &[u8] = b"GET /clients.geojson HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// Hill alone, without a key, with a certificate that holds until this year.
struct Node {
    herd: Herd,
    ca: Ca,
    phones: SocketAddr,
    http: SocketAddr,
}

impl Node {
    fn until(year: i32) -> Node {
        let mut herd = Herd::one().build();
        let [phones, http] = free_addresses(2)[..] else { panic!("two addresses") };
        herd.add_address("Hill", "phones", &phones.to_string());
        herd.add_address("Hill", "http", &http.to_string());
        herd.add_member("Hill", "\"tls\": { \"cert_file\": \"cert.pem\", \"key_file\": \"cert.key\" }");
        let ca = Ca::new();
        ca.write(2000, year, &herd.folder.path("cert.pem"), &herd.folder.path("cert.key"));
        herd.start_built();
        Node { herd, ca, phones, http }
    }

    /// Writes another certificate and has the node read it.
    fn renew(&self, until_year: i32) {
        let folder = &self.herd.folder;
        self.ca.write(2000, until_year, &folder.path("cert.pem"), &folder.path("cert.key"));
        self.herd["Hill"].signal(Signal::HUP);
    }

    fn certificate(&self) -> Vec<u8> {
        self.ca.ask(self.phones, REPORT, TLS_1_3).expect("the certificate is right").1
    }
}

#[test]
fn both_versions() {
    let node = Node::until(4000);
    for versions in [TLS_1_2, TLS_1_3] {
        let (answer, _) = node.ca.ask(node.phones, REPORT, versions).expect("the certificate is right");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        // The list has no length, so its end is that of TLS.
        let (page, _) = node.ca.ask(node.http, PAGE, versions).expect("the certificate is right");
        assert!(page.contains("\"id\":\"van7\"") && page.ends_with("]}\n"), "{page}");
    }
    // A client of plain HTTP is not answered.
    let mut answer = Vec::new();
    let _ = opened(node.phones, REPORT).read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn certificate_renewed() {
    let node = Node::until(4000);
    let first = node.certificate();
    node.renew(3999);
    until("the new certificate is used", || node.certificate() != first);
    let second = node.certificate();
    node.renew(2001);
    node.herd["Hill"].log.wait_for("cert.pem: the certificate has expired");
    assert_eq!(node.certificate(), second, "the one before stays in use");
    node.herd.folder.write("cert.key", "nothing");
    node.herd["Hill"].signal(Signal::HUP);
    node.herd["Hill"].log.wait_for("cert.key: no private key in PEM");
    assert_eq!(node.certificate(), second);
}

#[test]
fn expired_at_start() {
    let node = Node::until(2001);
    node.herd["Hill"].log.wait_for("cert.pem: the certificate has expired");
    assert!(node.ca.ask(node.phones, REPORT, TLS_1_3).is_err(), "a client refuses it");
    assert!(node.herd["Hill"].ask("IAMAT kiwi +1+1 1").starts_with("AT Hill "), "the node runs");
}
