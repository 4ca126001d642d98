//! Authentication of links: how the two ends prove that they know the herd's key, and how each line is signed.
//!
//! The MAC is HMAC-SHA256 (RFC 2104, FIPS 180-4). A proof covers the sender's role and all fields of both
//! HELLOs, including the nonces. So a proof is valid for one connection and one direction: it can be neither
//! replayed nor reflected. The same transcript gives a key for each direction. A line's tag covers the line
//! counter of that direction, so the receiver detects lines that are forged, replayed, dropped or reordered.
//! Lines are not encrypted: any host on the path can read them.
//!
//! For key rotation a node may hold two keys. A PROOF then carries one proof for each key, the current one
//! first. The link uses the first key of the dialling end's list that the other end also holds. So a herd can
//! change keys node by node without losing a link.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use super::limits::NONCE_BYTES;

/// Bytes of a herd's key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a proof.
pub const PROOF_BYTES: usize = 32;
/// Bytes of a line's tag.
pub const TAG_BYTES: usize = 8;
/// The largest number of keys of a node: the current one and the previous one.
pub const KEYS_MAX: usize = 2;

/// The herd's keys of one node: the current one, then optionally the previous one.
///
/// This is a list, not a key and an `Option`, so that `None::<Keys>` is all zero: see
/// [`Node::new`](super::node::Node::new). Erased when it is dropped.
#[derive(Clone)]
pub struct Keys(heapless::Vec<[u8; KEY_BYTES], KEYS_MAX>);

impl Keys {
    /// The current key, and the previous one if the node still accepts it.
    #[must_use]
    pub fn new(current: [u8; KEY_BYTES], previous: Option<[u8; KEY_BYTES]>) -> Self {
        Keys(core::iter::once(current).chain(previous).collect())
    }

    /// Derives a secret from each key, the current key first, for a `purpose` other than links. Only a holder
    /// of the key can compute it, and it reveals nothing about the key.
    pub fn derived(&self, purpose: &[u8]) -> impl Iterator<Item = [u8; 32]> {
        self.list().map(move |key| {
            let mut mac = mac(key);
            mac.update(b"herd derived 1 ");
            mac.update(purpose);
            mac.finalize().into_bytes().into()
        })
    }

    /// Whether these keys contain all of `others`.
    pub(super) fn include(&self, others: &Keys) -> bool {
        others.list().all(|other| self.list().any(|key| key == other))
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &[u8; KEY_BYTES]> {
        self.0.iter()
    }
}

impl Drop for Keys {
    #[inline(never)]
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        f.write_str("Keys")
    }
}

/// One end of a link, for the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that dialled.
    Dialler,
    /// The end that accepted.
    Acceptor,
}

impl Role {
    /// The other end's role.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Role::Dialler => Role::Acceptor,
            Role::Acceptor => Role::Dialler,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Role::Dialler => b'D',
            Role::Acceptor => b'A',
        }
    }
}

/// The fields of one end's HELLO.
#[derive(Clone, Copy, Debug)]
pub struct HelloFields<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// A number that changes with each start of the node.
    pub boot: u64,
    /// The capacity of its table, in entries.
    pub capacity: u32,
    /// Fresh random bytes.
    pub nonce: &'a [u8; NONCE_BYTES],
}

/// Both HELLOs of a link, the dialler's first.
#[derive(Clone, Copy, Debug)]
pub struct Transcript<'a>(pub [HelloFields<'a>; 2]);

type Mac256 = Hmac<Sha256>;

fn mac(key: &[u8; KEY_BYTES]) -> Mac256 {
    Mac256::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl Transcript<'_> {
    /// A MAC of `purpose`, a role and the transcript. Every part has a fixed length or carries its length, so
    /// two different transcripts never give the same bytes.
    fn mac(&self, key: &[u8; KEY_BYTES], purpose: &[u8; 5], role: Role) -> [u8; 32] {
        let mut mac = mac(key);
        mac.update(b"herd link 1 ");
        mac.update(purpose);
        mac.update(&[role.byte()]);
        for hello in &self.0 {
            mac.update(&[u8::try_from(hello.name.len()).unwrap_or(u8::MAX)]);
            mac.update(hello.name);
            mac.update(&hello.boot.to_be_bytes());
            mac.update(&hello.capacity.to_be_bytes());
            mac.update(hello.nonce);
        }
        mac.finalize().into_bytes().into()
    }

    fn proof(&self, key: &[u8; KEY_BYTES], role: Role) -> [u8; PROOF_BYTES] {
        self.mac(key, b"proof", role)
    }

    /// The proofs that the end in `role` sends: one for each key, the current one first.
    pub fn proofs(&self, keys: &Keys, role: Role) -> heapless::Vec<[u8; PROOF_BYTES], KEYS_MAX> {
        keys.list().map(|key| self.proof(key, role)).collect()
    }

    /// Checks the proofs of the other end. `role` is this end's role. `None` if the ends share no key.
    #[must_use]
    pub fn verify(&self, keys: &Keys, role: Role, proofs: &[[u8; PROOF_BYTES]]) -> Option<LineKeys> {
        let is_proof =
            |key: &&[u8; KEY_BYTES], proof: &[u8; PROOF_BYTES]| same(&self.proof(key, role.other()), proof);
        // The dialler's order decides, so both ends choose the same key.
        let key = match role {
            Role::Dialler => keys.list().find(|key| proofs.iter().any(|proof| is_proof(key, proof))),
            Role::Acceptor => proofs.iter().find_map(|proof| keys.list().find(|key| is_proof(key, proof))),
        }?;
        let salt = self.mac(key, b"salts", Role::Dialler);
        Some(LineKeys {
            sent: Counted { mac: mac(&self.mac(key, b"lines", role)), lines: 0 },
            received: Counted { mac: mac(&self.mac(key, b"lines", role.other())), lines: 0 },
            digest_secret: u64::from_be_bytes(salt[..8].try_into().expect("eight bytes of 32")),
        })
    }
}

/// Compares two secrets in constant time, so that the duration does not reveal where they differ.
#[must_use]
pub fn same<const BYTES: usize>(a: &[u8; BYTES], b: &[u8; BYTES]) -> bool {
    a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[derive(Clone)]
struct Counted {
    mac: Mac256,
    lines: u64,
}

impl Counted {
    fn next(&mut self, line: &[u8]) -> Mac256 {
        let mut mac = self.mac.clone();
        mac.update(&self.lines.to_be_bytes());
        mac.update(line);
        self.lines += 1;
        mac
    }
}

/// Signs and checks the lines of one link after authentication.
#[derive(Clone)]
pub struct LineKeys {
    sent: Counted,
    received: Counted,
    digest_secret: u64,
}

impl core::fmt::Debug for LineKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        f.write_str("LineKeys")
    }
}

impl LineKeys {
    /// The tag of the next line that this end sends.
    pub fn sign(&mut self, line: &[u8]) -> [u8; TAG_BYTES] {
        let whole = self.sent.next(line).finalize().into_bytes();
        whole[..TAG_BYTES].try_into().expect("a tag is shorter than the MAC")
    }

    /// Whether `tag` is correct for the next line that this end receives. After a wrong tag the caller must end
    /// the link.
    #[must_use]
    pub fn check(&mut self, line: &[u8], tag: &[u8; TAG_BYTES]) -> bool {
        self.received.next(line).verify_truncated_left(tag).is_ok()
    }

    /// The link's secret for [`Salt`](super::digest::Salt).
    #[must_use]
    pub fn digest_secret(&self) -> u64 {
        self.digest_secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [u8; KEY_BYTES] = [1; KEY_BYTES];
    const NEW: [u8; KEY_BYTES] = [2; KEY_BYTES];
    const OTHER: [u8; KEY_BYTES] = [3; KEY_BYTES];

    fn hello<'a>(name: &'a [u8], nonce: &'a [u8; NONCE_BYTES]) -> HelloFields<'a> {
        HelloFields { name, boot: 5, capacity: 4096, nonce }
    }

    /// The line keys of both ends, if the handshake succeeds.
    fn meet(dialler: &Keys, acceptor: &Keys) -> Option<(LineKeys, LineKeys)> {
        let transcript = Transcript([hello(b"Hill", &[7; 16]), hello(b"Smith", &[8; 16])]);
        let (from_dialler, from_acceptor) =
            (transcript.proofs(dialler, Role::Dialler), transcript.proofs(acceptor, Role::Acceptor));
        let a = transcript.verify(dialler, Role::Dialler, &from_acceptor);
        let b = transcript.verify(acceptor, Role::Acceptor, &from_dialler);
        assert_eq!(a.is_some(), b.is_some(), "both ends see the same");
        a.zip(b)
    }

    #[test]
    fn a_herd_changes_keys_one_node_after_another() {
        let before = Keys::new(OLD, None);
        let during = Keys::new(NEW, Some(OLD));
        let after = Keys::new(NEW, None);
        for (a, b) in
            [(&before, &before), (&before, &during), (&during, &during), (&during, &after), (&after, &after)]
        {
            for (dialler, acceptor) in [(a, b), (b, a)] {
                let (mut dialler, mut acceptor) = meet(dialler, acceptor).expect("they share a key");
                let tag = dialler.sign(b"P 1");
                assert!(acceptor.check(b"P 1", &tag));
                let tag = acceptor.sign(b"P 2");
                assert!(dialler.check(b"P 2", &tag));
                assert_eq!(dialler.digest_secret(), acceptor.digest_secret());
            }
        }
        assert!(meet(&before, &after).is_none());
        assert!(meet(&before, &Keys::new(OTHER, None)).is_none());
    }

    #[test]
    fn proofs_are_neither_reflected_nor_replayed() {
        let keys = Keys::new(NEW, None);
        let first = Transcript([hello(b"Hill", &[7; 16]), hello(b"Smith", &[8; 16])]);
        let second = Transcript([hello(b"Hill", &[7; 16]), hello(b"Smith", &[9; 16])]);
        let mine = first.proofs(&keys, Role::Dialler);
        assert!(first.verify(&keys, Role::Acceptor, &mine).is_some());
        assert!(first.verify(&keys, Role::Dialler, &mine).is_none(), "reflected");
        assert!(second.verify(&keys, Role::Acceptor, &mine).is_none(), "replayed");
    }

    #[test]
    fn wrong_lines_are_detected() {
        let keys = Keys::new(NEW, None);
        let (mut dialler, acceptor) = meet(&keys, &keys).expect("one key");
        let (first, second) = (dialler.sign(b"P 1"), dialler.sign(b"P 1"));
        assert_ne!(first, second, "the counter is part of the tag");
        let fresh = || acceptor.clone();
        assert!(!fresh().check(b"P 2", &first), "forged");
        assert!(!fresh().check(b"P 1", &second), "reordered, or one was dropped");
        let mut replayed = fresh();
        assert!(replayed.check(b"P 1", &first));
        assert!(!replayed.check(b"P 1", &first), "replayed");
        assert!(!dialler.check(b"P 1", &first), "reflected");
    }

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", Keys::new(NEW, Some(OLD))), "Keys");
    }
}
