//! Certificates made as a test needs them: a CA, and servers' certificates of any validity signed by it or self-signed.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Folder;
use crate::http::connected;

/// A CA of the tests' own, and the file that holds its certificate; the file leaves with it.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
    _folder: Folder,
}

impl Ca {
    /// Makes a CA and its file.
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names are names");
        params.distinguished_name.push(rcgen::DnType::CommonName, "herd tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let folder = Folder::new();
        let file = folder.write("ca.pem", issuer.pem());
        Self { issuer, file, _folder: folder }
    }

    /// The file of its certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A server of 127.0.0.1 whose certificate holds from and until the given years.
    pub fn server(&self, from: i32, until: i32) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(from, until).signed_by(&key, &self.issuer).expect("a certificate");
        config(certificate.der().clone(), &key)
    }

    /// Writes the certificate of such a server and its key as PEM files.
    pub fn write(&self, from: i32, until: i32, cert_file: &Path, key_file: &Path) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(from, until).signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(cert_file, certificate.pem()).expect("the folder is the test's");
        std::fs::write(key_file, key.serialize_pem()).expect("the folder is the test's");
    }

    /// Sends a request to a server of 127.0.0.1 that this CA has signed, by one version of TLS or any. Gives the answer and the
    /// server's certificate.
    ///
    /// # Errors
    /// What the connection or TLS says.
    pub fn ask(&self, at: SocketAddr, request: &[u8], versions: Versions) -> io::Result<(String, Vec<u8>)> {
        let connection = self.client(versions)?;
        let mut stream = StreamOwned::new(connection, connected(at));
        stream.write_all(request)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let certificates = stream.conn.peer_certificates().unwrap_or_default();
        Ok((answer, certificates.first().map_or_else(Vec::new, |certificate| certificate.to_vec())))
    }

    /// A client of a server of 127.0.0.1 that this CA has signed, before its first byte.
    ///
    /// # Errors
    /// What TLS says.
    pub fn client(&self, versions: Versions) -> io::Result<ClientConnection> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
    }
}

/// Versions of TLS.
pub type Versions = &'static [&'static rustls::SupportedProtocolVersion];

/// A server with a self-signed certificate.
pub fn self_signed() -> ServerConfig {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(2000, 4000).self_signed(&key).expect("a certificate");
    config(certificate.der().clone(), &key)
}

fn params(from: i32, until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a name");
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key is the certificate's")
}
