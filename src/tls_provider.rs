//! The cryptography of TLS: ring's, without what no certificate of the web has.
//!
//! rustls' own choice for ring also verifies and signs with Ed25519, which no public authority issues. Without it a
//! board's program is 25 KB smaller.

use std::sync::Arc;

use rustls::crypto::ring::sign::{RsaSigningKey, any_ecdsa_type};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms, ring,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{Error, SignatureScheme as Scheme};
use webpki::ring as verified;

/// Key exchanges and ciphers of rustls, with these signatures.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: ring::DEFAULT_CIPHER_SUITES.to_vec(),
        kx_groups: ring::ALL_KX_GROUPS.to_vec(),
        signature_verification_algorithms: SIGNATURES,
        secure_random: &System,
        key_provider: &System,
    })
}

/// As rustls has them for ring, without Ed25519 (`SUPPORTED_SIG_ALGS`).
pub const SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        verified::ECDSA_P256_SHA256,
        verified::ECDSA_P256_SHA384,
        verified::ECDSA_P384_SHA256,
        verified::ECDSA_P384_SHA384,
        verified::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        verified::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        verified::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        verified::RSA_PKCS1_2048_8192_SHA256,
        verified::RSA_PKCS1_2048_8192_SHA384,
        verified::RSA_PKCS1_2048_8192_SHA512,
        verified::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        verified::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        verified::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ],
    // TLS 1.2 does not fix the curve by the scheme.
    mapping: &[
        (Scheme::ECDSA_NISTP384_SHA384, &[verified::ECDSA_P384_SHA384, verified::ECDSA_P256_SHA384]),
        (Scheme::ECDSA_NISTP256_SHA256, &[verified::ECDSA_P256_SHA256, verified::ECDSA_P384_SHA256]),
        (Scheme::RSA_PSS_SHA512, &[verified::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
        (Scheme::RSA_PSS_SHA384, &[verified::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
        (Scheme::RSA_PSS_SHA256, &[verified::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
        (Scheme::RSA_PKCS1_SHA512, &[verified::RSA_PKCS1_2048_8192_SHA512]),
        (Scheme::RSA_PKCS1_SHA384, &[verified::RSA_PKCS1_2048_8192_SHA384]),
        (Scheme::RSA_PKCS1_SHA256, &[verified::RSA_PKCS1_2048_8192_SHA256]),
    ],
};

/// The system's random bytes, and private keys of ECDSA and RSA.
#[derive(Debug)]
struct System;

impl SecureRandom for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        crate::random::fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for System {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        match any_ecdsa_type(&key) {
            Ok(ecdsa) => Ok(ecdsa),
            Err(_) => Ok(Arc::new(RsaSigningKey::new(&key)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rustls supports beyond this is Ed25519 alone: an update of rustls that brings more is noticed.
    #[test]
    fn the_rest_is_that_of_rustls() {
        let theirs = ring::default_provider().signature_verification_algorithms;
        let schemes = |all: WebPkiSupportedAlgorithms| all.supported_schemes();
        let missing: Vec<Scheme> =
            schemes(theirs).into_iter().filter(|scheme| !schemes(SIGNATURES).contains(scheme)).collect();
        assert_eq!(missing, [Scheme::ED25519]);
        assert_eq!(theirs.all.len(), SIGNATURES.all.len() + 1);
        assert_eq!(provider().cipher_suites.len(), ring::default_provider().cipher_suites.len());
    }
}
