//! A simulated neighbour: it has the herd's key, brings a link up, and then sends the lines of the input.
//!
//! Invariant: until the link is up it follows the protocol. A tag is wrong only if the input requests it.

use herd::proto::auth::{HelloFields, KEY_BYTES, Keys, LineKeys, Role, Transcript};
use herd::proto::limits::{LINK_LINE_BYTES_MAX, NONCE_BYTES};
use herd::proto::node::links::LinkEvent;
use herd::proto::node::{Node, SessionId};
use herd::proto::out::Out;
use herd::proto::time::Now;
use herd::proto::wire::{self, Line};

const BOOT: u64 = 77;
const CAPACITY: u32 = 4096;

/// The key of the herd.
pub(crate) fn keys() -> Keys {
    Keys::new([7; KEY_BYTES], None)
}

/// The next line of a node, without its newline.
pub(crate) fn pull<const SLOTS: usize>(node: &mut Node<SLOTS>, now: &Now, id: SessionId) -> Option<Vec<u8>> {
    let mut bytes = [0; LINK_LINE_BYTES_MAX + 1];
    let mut out = Out::new(&mut bytes);
    if !node.pull(now, id, &mut out) {
        assert!(out.is_empty(), "`pull` writes nothing if it returns false");
        return None;
    }
    let line = out.written().strip_suffix(b"\n").expect("a line ends in a newline");
    assert!(!line.contains(&b'\n'), "`pull` writes one line");
    Some(line.to_vec())
}

/// The bytes that `write` puts into a link line.
pub(crate) fn written(write: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut bytes = [0; LINK_LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    write(&mut out);
    out.written().to_vec()
}

/// A link that is up, seen from the neighbour's end.
pub(crate) struct Neighbour {
    pub(crate) id: SessionId,
    line_keys: LineKeys,
}

impl Neighbour {
    /// Brings a link up. If `node_dials`, the node has dialled this neighbour, else the neighbour has dialled
    /// the node.
    pub(crate) fn meet<const SLOTS: usize>(
        node: &mut Node<SLOTS>,
        now: &Now,
        name: &str,
        node_dials: bool,
    ) -> Self {
        let peer = node.names().find(name.as_bytes()).expect("the configuration lists the neighbour");
        let nonce = [5; NONCE_BYTES];
        let id = node.open(now.mono, node_dials.then_some(peer), nonce).expect("the link is down");
        let hello = pull(node, now, id).expect("a HELLO comes first");
        let mine =
            HelloFields { name: name.as_bytes(), boot: BOOT, capacity: CAPACITY, nonce: &[6; NONCE_BYTES] };
        assert_eq!(node.link_line(now, id, &written(|out| wire::put_hello(&mine, out))), LinkEvent::None);
        let Some(Line::Hello { version: wire::VERSION, name: its, boot, capacity, nonce }) =
            Line::parse(&hello, node.names())
        else {
            panic!("no HELLO: {}", String::from_utf8_lossy(&hello))
        };
        let its = HelloFields { name: its, boot, capacity, nonce: &nonce };
        let (transcript, role) = if node_dials {
            (Transcript([its, mine]), Role::Acceptor)
        } else {
            (Transcript([mine, its]), Role::Dialler)
        };
        let proof = pull(node, now, id).expect("a PROOF comes second");
        let Some(Line::Proof(proofs)) = Line::parse(&proof, node.names()) else { panic!("no PROOF") };
        let line_keys = transcript.verify(&keys(), role, &proofs).expect("the node knows the key");
        let mine = transcript.proofs(&keys(), role);
        let event = node.link_line(now, id, &written(|out| wire::put_proofs(&mine, out)));
        assert!(matches!(event, LinkEvent::Up { node, .. } if node == peer), "{event:?}");
        Neighbour { id, line_keys }
    }

    /// The line with its correct tag.
    pub(crate) fn signed(&mut self, line: &[u8]) -> Vec<u8> {
        let tag = self.line_keys.sign(line);
        let mut whole = line.to_vec();
        whole.extend(written(|out| wire::put_tag(&tag, out)));
        whole
    }

    /// Removes the tag from a line of the node. The tag must be correct.
    pub(crate) fn opened(&mut self, line: &[u8]) -> Vec<u8> {
        let (line, tag) = wire::split_tag(line).expect("each line of a link that is up has a tag");
        assert!(self.line_keys.check(line, &tag), "the tag is correct");
        line.to_vec()
    }

    /// The secret that keys the digests of the link.
    pub(crate) fn digest_secret(&self) -> u64 {
        self.line_keys.digest_secret()
    }
}
