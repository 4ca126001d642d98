//! The certificate of a node's own listeners: PEM files made ready for TLS.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{CertificateError, RootCertStore, ServerConfig};

use super::TlsFiles;
use crate::files::open_regular;
use crate::tls_provider::{SIGNATURES, provider};

/// Why a certificate cannot be used. The text names the file.
#[derive(Debug, PartialEq, Eq)]
pub enum BadCertificate {
    /// The files do not hold a certificate and its key.
    Unusable(String),
    /// It has expired. A node that starts serves it all the same: its links do not depend on it.
    Expired(String),
}

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            BadCertificate::Unusable(why) | BadCertificate::Expired(why) => f.write_str(why),
        }
    }
}

/// Reads a certificate and its key. An expired one is given all the same, with the reason.
///
/// # Errors
/// [`BadCertificate::Unusable`].
pub fn load(files: &TlsFiles) -> Result<(Arc<ServerConfig>, Option<BadCertificate>), BadCertificate> {
    let chain = certificates(&files.cert_file)?;
    let key = private_key(&files.key_file)?;
    let expired = expiry(&chain[0])
        .err()
        .map(|why| BadCertificate::Expired(format!("{}: the certificate {why}", files.cert_file.display())));
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| {
        let (cert, key) = (files.cert_file.display(), files.key_file.display());
        BadCertificate::Unusable(format!("{cert}, {key}: {error}"))
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A connection leaves nothing behind: a phone that reports every few minutes makes a new handshake.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), expired))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let unusable = |why: &dyn fmt::Display| BadCertificate::Unusable(format!("{}: {why}", file.display()));
    let opened = open_regular(file).map_err(|error| unusable(&error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(opened).collect();
    let chain = chain.map_err(|error| unusable(&format_args!("not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(unusable(&"the file holds no certificate in PEM"));
    }
    Ok(chain)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, BadCertificate> {
    let unusable = |why: &dyn fmt::Display| BadCertificate::Unusable(format!("{}: {why}", file.display()));
    let opened = open_regular(file).map_err(|error| unusable(&error))?;
    PrivateKeyDer::from_pem_reader(opened)
        .map_err(|error| unusable(&format_args!("no private key in PEM: {error}")))
}

/// Whether the certificate is valid still. One that is valid later is fine: a board without a clock chip wakes up in the past.
fn expiry(certificate: &CertificateDer) -> Result<(), &'static str> {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return Ok(()) };
    // The verifier looks at the dates before it looks for an issuer, of which there is none here.
    let judged = verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &RootCertStore::empty(),
        &[],
        UnixTime::now(),
        SIGNATURES.all,
    );
    match judged {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Err("has expired"),
        _ => Ok(()),
    }
}
