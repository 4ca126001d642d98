//! Crowds at the listener for phones, with TLS and without.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

use super::{BUSY, HOLD, PATIENCE, hold, side_by_side};

/// What a crowd does, and in the words of the table. Of the names that begin with `tls-` the listener speaks TLS.
pub(crate) const PHONE_ATTACKS: [(&str, &str, &str); 7] = [
    ("phones-silent", "64 connections that send half a body, phones", "connections"),
    ("phones-guess", "reports with guessed tokens, phones", "reports"),
    ("phones-large", "bodies of 1 MiB, phones", "reports"),
    ("phones-batch", "batches of 120 KB with a guessed token, phones", "reports"),
    ("tls-hello", "handshakes, phones over TLS", "handshakes"),
    ("tls-whole", "whole handshakes and a guessed token, phones over TLS", "reports"),
    ("tls-half", "handshakes that stop half-way, phones over TLS", "connections"),
];

const SILENT: usize = 64;
const LARGE_BYTES: usize = 1024 * 1024;
const BATCH_POINTS: usize = 300;

/// Carries an attack out; gives how much of it there was. `None` if there is none of that name.
pub(crate) fn run(name: &str, at: SocketAddr) -> Option<u64> {
    Some(match name {
        "phones-silent" => hold(at, SILENT, &request(&"x".repeat(8000), 8192)),
        "phones-guess" => again_and_again(|n| ask(at, &guess(n))),
        "phones-large" => {
            let request = request(&"x".repeat(LARGE_BYTES), LARGE_BYTES);
            again_and_again(|_| ask(at, &request))
        }
        "phones-batch" => {
            let point = r#"{"type":"Feature","geometry":{"type":"Point","coordinates":[-0.2,51.6]},"properties":{"timestamp":"2026-11-26T21:03:00Z","altitude":0,"speed":4,"horizontal_accuracy":30,"vertical_accuracy":-1,"motion":["driving"],"battery_state":"charging","battery_level":0.8,"device_id":"ann.ip","wifi":"a network of a name as long as it may be"}}"#;
            let body = format!("{{\"locations\":[{}]}}", vec![point; BATCH_POINTS].join(","));
            let request = request(&body, body.len());
            again_and_again(|_| ask(at, &request))
        }
        "tls-hello" => {
            let hello = client_hello();
            again_and_again(|_| ask(at, &hello))
        }
        "tls-whole" => {
            let config = client_config();
            again_and_again(|n| report(at, &config, &guess(n)))
        }
        "tls-half" => {
            let hello = client_hello();
            hold(at, SILENT, &hello[..hello.len() / 2])
        }
        _ => return None,
    })
}

/// A request of Overland with a body that is announced as so long.
fn request(body: &str, length: usize) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer 0000-0000-0000-0000\r\nContent-Length: {length}\r\n\r\n"
    );
    (head + body).into_bytes()
}

/// A report with a token that is not one.
fn guess(n: u64) -> Vec<u8> {
    format!("GET /{n:016}?id=ann.phone&lat=1&lon=2&timestamp=5 HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

/// A client of TLS that takes any certificate.
fn client_config() -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    Arc::new(config)
}

fn client(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(config.clone(), name).expect("the settings are right")
}

/// Does one handshake: the first one starts a thread of the node.
pub(crate) fn start_tls(at: SocketAddr) {
    assert!(report(at, &client_config(), &guess(0)), "the node answers");
}

/// The first message of a client of TLS. Its answer costs the node most of a handshake.
fn client_hello() -> Vec<u8> {
    let mut hello = Vec::new();
    client(&client_config()).write_tls(&mut hello).expect("a vector takes all");
    hello
}

/// One request after a handshake: whether it was answered.
fn report(at: SocketAddr, config: &Arc<ClientConfig>, request: &[u8]) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(&at, PATIENCE) else { return false };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut stream = StreamOwned::new(client(config), stream);
    stream.write_all(request).is_ok() && stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0)
}

/// Takes any certificate: a crowd does not ask whom it harms.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Side by side for as long as a crowd holds out.
fn again_and_again(attack: impl Fn(u64) -> bool + Sync) -> u64 {
    side_by_side(BUSY, |_| {
        let begin = Instant::now();
        (0..).take_while(|_| begin.elapsed() < HOLD).filter(|n| attack(*n)).count() as u64
    })
}

/// One connection: whether it could be had.
fn ask(at: SocketAddr, request: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&at, PATIENCE) else { return false };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    // The node may have closed it before it has all.
    let _ = stream.write_all(request);
    let _ = stream.read(&mut [0; 4096]);
    true
}
