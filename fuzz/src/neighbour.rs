//! A simulated neighbour: it has the herd's key, brings a link up, and then sends the lines of the input.
//!
//! Invariant: until the link is up it follows the protocol. A tag or a record is wrong only if the input requests it.

use herd::proto::auth::{HelloFields, KEY_BYTES, Keys, LineKeys, Role, Transcript};
use herd::proto::limits::{LINK_LINE_BYTES_MAX, NONCE_BYTES};
use herd::proto::node::links::LinkEvent;
use herd::proto::node::pull::PULL_BYTES_MAX;
use herd::proto::node::secret::Message;
use herd::proto::node::{Node, SessionId};
use herd::proto::noise::connection::{Connection, FRESH_BYTES, Fresh, Identity, MESSAGE_BYTES_MAX, Taken};
use herd::proto::noise::key_pair::{KeyPair, PublicKey};
use herd::proto::noise::record::LENGTH_BYTES;
use herd::proto::out::Out;
use herd::proto::session::Cut;
use herd::proto::time::Now;
use herd::proto::wire::{self, Line};

const BOOT: u64 = 77;
const CAPACITY: u32 = 4096;

/// The key of the herd.
pub(crate) fn keys() -> Keys {
    Keys::new([7; KEY_BYTES], None)
}

/// The key pair of a node, by its number in the order of the names.
pub(crate) fn pair(node: usize) -> KeyPair {
    KeyPair::new([u8::try_from(node).expect("few nodes") + 1; KEY_BYTES])
}

/// What a node sends next: a line with its LF, or a message of a secret link.
fn pull_message<const SLOTS: usize>(node: &mut Node<SLOTS>, now: &Now, id: SessionId) -> Option<Vec<u8>> {
    let mut bytes = [0; PULL_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    if !node.pull(now.mono, id, &mut out, &mut |_| {}) {
        assert!(out.is_empty(), "`pull` writes nothing if it returns false");
        return None;
    }
    Some(out.written().to_vec())
}

/// The next line of a node whose link is not secret, without its newline.
pub(crate) fn pull<const SLOTS: usize>(node: &mut Node<SLOTS>, now: &Now, id: SessionId) -> Option<Vec<u8>> {
    let mut line = pull_message(node, now, id)?;
    assert_eq!(line.pop(), Some(b'\n'), "a line ends in a newline");
    assert!(!line.contains(&b'\n'), "`pull` writes one line");
    Some(line)
}

/// The bytes that `write` puts into a link line.
pub(crate) fn written(write: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut bytes = [0; LINK_LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    write(&mut out);
    out.written().to_vec()
}

/// What protects the lines of a link.
enum Guard {
    Signed(LineKeys),
    Secret(Connection),
}

/// A link that is up, seen from the neighbour's end.
pub(crate) struct Neighbour {
    pub(crate) id: SessionId,
    guard: Guard,
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
        let fresh = [5; FRESH_BYTES].into();
        let id = node.open(now.mono, node_dials.then_some(peer), fresh).expect("the link is down");
        let hello = pull(node, now, id).expect("a HELLO comes first");
        let mine = hello_of(name);
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
        Neighbour { id, guard: Guard::Signed(line_keys) }
    }

    /// As [`Neighbour::meet`], for a secret link to a node of the public key `theirs`.
    pub(crate) fn meet_in_secret<const SLOTS: usize>(
        node: &mut Node<SLOTS>,
        now: &Now,
        name: &str,
        node_dials: bool,
        theirs: PublicKey,
    ) -> Self {
        let peer = node.names().find(name.as_bytes()).expect("the configuration lists the neighbour");
        let fresh = |seed| Fresh::from([seed; FRESH_BYTES]);
        let id = node.open(now.mono, node_dials.then_some(peer), fresh(5)).expect("the link is down");
        let mut first = [0; 1];
        let mut out = Out::new(&mut first);
        let connection = if node_dials {
            Connection::accept(fresh(6))
        } else {
            Connection::dial(theirs, fresh(6), &mut out)
        };
        let first = out.written().to_vec();
        let mut link = Neighbour { id, guard: Guard::Secret(connection) };
        if !node_dials {
            assert_eq!(link.deliver(node, now, &first), LinkEvent::None);
        }
        let (mut has_said_hello, mut has_heard_hello) = (false, false);
        while !(has_said_hello && has_heard_hello) {
            if link.is_open() && !has_said_hello {
                has_said_hello = true;
                let hello = link.guarded(&written(|out| wire::put_hello(&hello_of(name), out)));
                let event = link.deliver(node, now, &hello);
                assert!(matches!(event, LinkEvent::Up { node, .. } if node == peer), "{event:?}");
                continue;
            }
            let mut message = pull_message(node, now, id).expect("the handshake is not complete");
            if let Some(line) = link.step(node, now, &pair(peer.index()), &theirs, &mut message) {
                let hello = Line::parse(&line, node.names());
                assert!(matches!(hello, Some(Line::Hello { version: wire::VERSION, .. })));
                has_heard_hello = true;
            }
        }
        link
    }

    fn is_open(&self) -> bool {
        matches!(&self.guard, Guard::Secret(connection) if connection.is_open())
    }

    /// Takes a message of the node, and returns its line, if it is one.
    fn step<const SLOTS: usize>(
        &mut self,
        node: &mut Node<SLOTS>,
        now: &Now,
        ours: &KeyPair,
        theirs: &PublicKey,
        message: &mut [u8],
    ) -> Option<Vec<u8>> {
        let Guard::Secret(connection) = &mut self.guard else { return None };
        let mut answer = [0; PULL_BYTES_MAX];
        let mut out = Out::new(&mut answer);
        let keys = keys();
        let us = Identity { pair: ours, keys: &keys };
        let taken = connection.take(message, us, [theirs].into_iter(), &mut out).expect("the node is right");
        if let Taken::Line(line) = taken {
            return Some(line.to_vec());
        }
        let answer = out.written();
        assert!(answer.is_empty() || self.deliver(node, now, answer) == LinkEvent::None);
        None
    }

    /// The line as it goes over the wire: with its correct tag, or in its record.
    pub(crate) fn guarded(&mut self, line: &[u8]) -> Vec<u8> {
        match &mut self.guard {
            Guard::Signed(line_keys) => {
                let tag = line_keys.sign(line);
                let mut whole = line.to_vec();
                whole.extend(written(|out| wire::put_tag(&tag, out)));
                whole
            }
            Guard::Secret(connection) => {
                let mut bytes = [0; MESSAGE_BYTES_MAX];
                let mut out = Out::new(&mut bytes);
                connection.seal(line, &mut out);
                out.written().to_vec()
            }
        }
    }

    /// The line without what protects it: in clear, and in a record of its size on a secret link.
    pub(crate) fn unguarded(&mut self, line: &[u8]) -> Vec<u8> {
        match &self.guard {
            Guard::Signed(_) => line.to_vec(),
            Guard::Secret(_) => {
                let mut whole = self.guarded(line);
                let record = &mut whole[LENGTH_BYTES..];
                record.fill(0);
                record[..line.len()].copy_from_slice(line);
                record[line.len()] = b'\n';
                whole
            }
        }
    }

    /// Passes what [`Neighbour::guarded`] made to the node, as its server does.
    pub(crate) fn deliver<const SLOTS: usize>(
        &self,
        node: &mut Node<SLOTS>,
        now: &Now,
        whole: &[u8],
    ) -> LinkEvent {
        if matches!(self.guard, Guard::Signed(_)) {
            return node.link_line(now, self.id, whole);
        }
        let mut input = whole.to_vec();
        match node.take_message(now.mono, self.id, &mut input) {
            Message::Line(bytes, line) => {
                assert_eq!(bytes, whole.len(), "a record is one line");
                let line = line.to_vec();
                node.link_line(now, self.id, &line)
            }
            Message::Step(bytes) => {
                assert_eq!(bytes, whole.len());
                LinkEvent::None
            }
            Message::Ended => LinkEvent::None,
            Message::Part => panic!("a message that is whole"),
        }
    }

    /// The next line of the node, without what protects it.
    pub(crate) fn pull<const SLOTS: usize>(&mut self, node: &mut Node<SLOTS>, now: &Now) -> Option<Vec<u8>> {
        match &mut self.guard {
            Guard::Signed(line_keys) => {
                let line = pull(node, now, self.id)?;
                let (line, tag) = wire::split_tag(&line).expect("each line of a link that is up has a tag");
                assert!(line_keys.check(line, &tag), "the tag is correct");
                Some(line.to_vec())
            }
            Guard::Secret(connection) => {
                let mut record = pull_message(node, now, self.id)?;
                let keys = keys();
                let us = Identity { pair: &pair(0), keys: &keys };
                let mut none = [];
                let taken = connection.take(&mut record, us, [].into_iter(), &mut Out::new(&mut none));
                let Ok(Taken::Line(line)) = taken else { panic!("a record of the node opens: {taken:?}") };
                Some(line.to_vec())
            }
        }
    }

    /// How the node ends a link with a message that does not verify.
    pub(crate) fn cut_of_a_forgery(&self) -> Cut {
        match self.guard {
            Guard::Signed(_) => Cut::WrongTag,
            Guard::Secret(_) => Cut::BadRecord,
        }
    }

    /// The secret that keys the digests of the link.
    pub(crate) fn digest_secret(&self) -> u64 {
        match &self.guard {
            Guard::Signed(line_keys) => line_keys.digest_secret(),
            Guard::Secret(connection) => connection.digest_secret().expect("the link is up"),
        }
    }
}

/// What the neighbour says of itself.
fn hello_of(name: &str) -> HelloFields<'_> {
    HelloFields { name: name.as_bytes(), boot: BOOT, capacity: CAPACITY, nonce: &[6; NONCE_BYTES] }
}
