//! Secret links: two nodes that know each other's public keys agree on keys that only they hold, and encrypt every
//! line.
//!
//! The handshake is `Noise_KKpsk2_25519_ChaChaPoly_SHA256` of the Noise Protocol Framework (revision 34,
//! <https://noiseprotocol.org/noise.html>):
//!
//! ```text
//! -> s                both ends know the dialler's public key,
//! <- s                and the acceptor's, from the configuration
//! ...
//! -> e, es, ss        message 1
//! <- e, ee, se, psk   message 2: the herd's key is the pre-shared key
//! ```
//!
//! An end authenticates with its own private key and the herd's key. The keys of the records depend on two ephemeral
//! keys, so recorded traffic stays closed when an attacker later reads both private keys and the herd's key. A thief of
//! a node's private key and the herd's key can be that node, but cannot be another node to it. Messages do not show
//! which nodes have a link. A holder of the acceptor's private key can test that for a recorded message 1.
//!
//! Nothing here does IO, allocates or draws random numbers. An ephemeral key is an argument. Types that hold a secret
//! erase it when they are dropped.
//!
//! | file | purpose |
//! |---|---|
//! | [`key_pair`] | private and public keys, and their agreement |
//! | `secret` | bytes that are erased after use |
//! | `cipher`, `symmetric` | CipherState and SymmetricState of the framework |
//! | [`handshake`] | the two messages |
//! | [`opening`] | the bytes of a connection up to its first record |
//! | [`record`] | a line as a record, and back |
//! | [`connection`] | all of that in its order, for one connection |

mod cipher;
pub mod connection;
pub mod handshake;
pub mod key_pair;
pub mod opening;
pub mod record;
mod secret;
mod symmetric;

#[cfg(test)]
mod interoperation_tests;
#[cfg(test)]
mod snow_tests;
#[cfg(test)]
mod vector_tests;

pub use secret::Secret;

/// Bytes of an authentication tag: of Poly1305.
pub const TAG_BYTES: usize = 16;

/// Why bytes of the other end are refused. The link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The first byte is not of this protocol.
    Protocol,
    /// The dialler is not a neighbour, or has no key of this node's herd.
    Stranger,
    /// The bytes do not have the length that the protocol wants.
    Length,
    /// A tag is wrong. The bytes are forged, replayed, reordered or damaged, or one end has another key.
    Tag,
    /// A public key agrees on zero with every private key. A correct node never sends one.
    WeakKey,
    /// The decrypted bytes are not one line with its padding.
    Padding,
}
