//! TLS: a Mosquitto whose certificate is of the test's own authority.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::broker::Broker;
use super::{bridge_to, message, phone};
use herd_test_support::{Folder, Herd, free_addresses, until};

/// A broker that listens at a second address, over TLS, with a certificate for this host or for that address.
struct TlsBroker {
    broker: Broker,
    url: String,
    /// The authority's certificate.
    ca_file: PathBuf,
}

fn pem_of(name: &str, issuer: Option<&Issuer<KeyPair>>) -> (String, String) {
    let key = KeyPair::generate().expect("a key can be made");
    let server = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = match issuer {
        Some(issuer) => server.signed_by(&key, issuer),
        None => server.self_signed(&key),
    };
    (certificate.expect("it can be signed").pem(), key.serialize_pem())
}

impl TlsBroker {
    fn start(folder: &Folder, host: Option<&str>) -> TlsBroker {
        let address = free_addresses(1)[0];
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key can be made");
        let ca_pem = ca.self_signed(&ca_key).expect("it can be signed").pem();
        let host = host.map_or_else(|| address.ip().to_string(), str::to_owned);
        let (certificate, key) = pem_of(&host, Some(&Issuer::new(ca, ca_key)));
        let file = |name: &str, text: &str| {
            std::fs::write(folder.path(name), text).expect("the folder is ours");
            folder.path(name)
        };
        let settings = format!(
            "allow_anonymous true\nlistener {} {}\ncertfile {}\nkeyfile {}",
            address.port(),
            address.ip(),
            file("server.pem", &certificate).display(),
            file("key.pem", &key).display()
        );
        let url = format!("mqtts://{address}");
        TlsBroker { broker: Broker::start(&settings), url, ca_file: file("ca.pem", &ca_pem) }
    }
}

#[test]
fn a_broker_is_reached_over_tls() {
    let (herd, folder) = (Herd::one().start(), Folder::new());
    let TlsBroker { broker, url, ca_file } = TlsBroker::start(&folder, None);
    let reader = broker.reader();
    let bridge = bridge_to(&herd, "Hill", &url, &["--ca-file", ca_file.to_str().expect("UTF-8")]);
    bridge.log.wait_for("node up");
    assert!(bridge.log.has(&format!("broker up: {url}")));
    let mut client = herd["Hill"].client();
    for number in 0..300 {
        client.send(format!("IAMAT c{number} +1+1 {number}\n"));
    }
    until("all is published", || {
        (0..300).all(|number| reader.log.has(&format!(" owntracks/herd/c{number} ")))
    });
    broker.publish("owntracks/ann/phone", &phone(""));
    until("it takes in", || herd["Hill"].at("ann.phone").is_some());
    assert_eq!(message(&reader, "owntracks/herd/ann.phone")["herd"]["origin"], "Hill");
}

#[test]
fn a_broker_that_cannot_prove_its_name_is_refused() {
    let (herd, folder) = (Herd::one().start(), Folder::new());
    let TlsBroker { broker, url, ca_file } = TlsBroker::start(&folder, None);
    let elsewhere = Folder::new();
    let misnamed = TlsBroker::start(&elsewhere, Some("broker.example"));
    let unrelated = folder.path("unrelated.pem");
    std::fs::write(&unrelated, pem_of("broker.example", None).0).expect("the folder is ours");
    for (url, ca_file, words) in [
        (&url, Some(&unrelated), "(trust its authority with --ca-file FILE)"),
        (
            &misnamed.url,
            Some(&misnamed.ca_file),
            "TLS: invalid peer certificate: certificate not valid for name",
        ),
        (&format!("mqtts://{}", broker.address), Some(&ca_file), "TLS: "),
        // Without TLS at a port that demands it.
        (&url.replace("mqtts", "mqtt"), None, "before it accepted the bridge"),
    ] {
        let flags: Vec<&str> =
            ca_file.iter().flat_map(|file| ["--ca-file", file.to_str().expect("UTF-8")]).collect();
        let bridge = bridge_to(&herd, "Hill", url, &flags);
        bridge.log.wait_for("broker down");
        assert!(bridge.log.has(words) && !bridge.log.has("broker up"), "{url}: {}", bridge.log.tail());
    }
}
