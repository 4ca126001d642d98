//! A node whose neighbour is snow, another implementation of the Noise framework: from the first byte of a connection to a
//! position that goes each way.

use super::connection::{FRESH_BYTES, Fresh, MESSAGE_BYTES_MAX};
use super::key_pair::KeyPair;
use super::symmetric::mac;
use crate::auth::{HelloFields, KEY_BYTES};
use crate::herd_tests::{NAMES, keys, pair, public_keys, secret_node};
use crate::limits::NONCE_BYTES;
use crate::names::NodeId;
use crate::node::links::LinkEvent;
use crate::node::pull::PULL_BYTES_MAX;
use crate::node::secret::{Message, Mode};
use crate::node::{Node, SessionId};
use crate::out::Out;
use crate::quota::QuotaKey;
use crate::time::{Mono, Now, Timestamp};
use crate::wire;

const NOISE: &str = "Noise_KKpsk2_25519_ChaChaPoly_SHA256";
const FIRST_BYTE: u8 = 2;
const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];
const HINT_BYTES: usize = 16;
const EPHEMERAL: [u8; KEY_BYTES] = [8; KEY_BYTES];
const NOW: Now = Now { mono: Mono(1_000), wall: Timestamp(1_700_000_000_000_000_000), wall_is_trusted: true };

/// The node, and snow as its only neighbour. The names are in rising order, and the earlier node dials.
struct Pair {
    node: Box<Node<64>>,
    id: SessionId,
    me: usize,
}

impl Pair {
    fn new(me: usize) -> Self {
        let mut node = secret_node(me, &public_keys(2), Mode::Only, 1);
        let peer = node.names().find(NAMES[1 - me].as_bytes()).filter(|_| me == 0);
        let id = node.open(NOW.mono, peer, Fresh::from([5; FRESH_BYTES])).expect("no link is up");
        Pair { node, id, me }
    }

    /// snow after the hints of the connection, with the keys of the node that it is.
    fn snow(&self, hints: &[u8], nonce: &[u8]) -> snow::HandshakeState {
        let them = 1 - self.me;
        let key = keys().expect("a keyed herd").list().next().copied().expect("one key");
        let theirs = [u8::try_from(them).expect("few nodes") + 1; KEY_BYTES];
        let ours = pair(self.me).public().0;
        let prologue = [b"herd link 2", nonce, hints].concat();
        let builder = snow::Builder::new(NOISE.parse().expect("snow knows the protocol"))
            .fixed_ephemeral_key_for_testing_only(&EPHEMERAL)
            .local_private_key(&theirs)
            .and_then(|builder| builder.remote_public_key(&ours))
            .and_then(|builder| builder.prologue(&prologue))
            .and_then(|builder| builder.psk(2, &key));
        let builder = builder.expect("each is set once");
        let state = if them == 0 { builder.build_initiator() } else { builder.build_responder() };
        state.expect("all keys are there")
    }

    /// What the node sends next.
    fn pull(&mut self) -> Vec<u8> {
        let mut bytes = [0; PULL_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        assert!(self.node.pull(NOW.mono, self.id, &mut out, &mut |_| {}), "{:?}", self.node.take_cut());
        out.written().to_vec()
    }

    fn step(&mut self, message: &[u8]) {
        let mut input = message.to_vec();
        let taken = self.node.take_message(NOW.mono, self.id, &mut input);
        assert_eq!(taken, Message::Step(message.len()));
    }

    fn say(&mut self, snow: &mut snow::TransportState, line: &[u8]) -> LinkEvent {
        let mut record = [0; MESSAGE_BYTES_MAX];
        let mut plaintext = [0; 128];
        plaintext[..line.len()].copy_from_slice(line);
        plaintext[line.len()] = b'\n';
        let length = snow.write_message(&plaintext, &mut record[2..]).expect("there is room");
        record[..2].copy_from_slice(&u16::try_from(length).expect("it is short").to_be_bytes());
        let taken = self.node.take_message(NOW.mono, self.id, &mut record[..2 + length]);
        assert_eq!(taken, Message::Line(2 + length, line));
        self.node.link_line(&NOW, self.id, line)
    }

    fn hear(&mut self, snow: &mut snow::TransportState) -> String {
        let record = self.pull();
        let mut plaintext = [0; MESSAGE_BYTES_MAX];
        let length = snow.read_message(&record[2..], &mut plaintext).expect("it opens");
        let text = String::from_utf8(plaintext[..length].to_vec()).expect("lines are ASCII");
        text.trim_end_matches('\0').trim_end_matches('\n').to_owned()
    }

    /// A position of a client of each end reaches the other.
    fn exchange(mut self, mut snow: snow::TransportState) {
        let mut bytes = [0; 256];
        let mut out = Out::new(&mut bytes);
        let name = NAMES[1 - self.me].as_bytes();
        wire::put_hello(&HelloFields { name, boot: 77, capacity: 32, nonce: &NONCE }, &mut out);
        // The end that has dialled speaks first.
        let mut hello = String::new();
        if self.me == 0 {
            hello = self.hear(&mut snow);
        }
        let event = self.say(&mut snow, out.written());
        let peer: NodeId = self.node.names().find(name).expect("it is listed");
        assert_eq!(event, LinkEvent::Up { node: peer, restarted: false });
        if self.me == 1 {
            hello = self.hear(&mut snow);
        }
        assert!(hello.starts_with(&format!("HELLO 1 {} ", NAMES[self.me])), "{hello}");

        let at = format!("AT {} +0.000000000 kiwi +1+1 1699999999", NAMES[1 - self.me]);
        self.say(&mut snow, format!("U 0 {at}").as_bytes());
        let mut answer = [0; 4096];
        let mut out = Out::new(&mut answer);
        self.node.client_line(&NOW, QuotaKey::EXEMPT, b"IAMAT plum +2+2 1699999999", &mut out);
        assert!((0..4).any(|_| self.hear(&mut snow).contains(" plum +2+2 1699999999")));
        assert_eq!(self.node.table().len(), 2, "kiwi and plum");
        assert!(self.node.take_cut().is_none());
    }
}

#[test]
fn a_node_dials_snow() {
    let mut link = Pair::new(0);
    assert_eq!(link.pull(), [FIRST_BYTE]);
    link.step(&NONCE);
    let introduction = link.pull();
    let (hints, message) = introduction.split_at(2 * HINT_BYTES);
    let mut snow = link.snow(hints, &NONCE);
    let (mut read, mut answer) = ([0; 64], [0; 64]);
    assert_eq!(snow.read_message(message, &mut read).expect("message 1"), 0);
    // The first of the two hints is of the herd's key.
    let length = snow.write_message(&[], &mut answer[1..]).expect("message 2");
    link.step(&answer[..=length]);
    link.exchange(snow.into_transport_mode().expect("the handshake is complete"));
}

#[test]
fn snow_dials_a_node() {
    let mut link = Pair::new(1);
    link.step(&[FIRST_BYTE]);
    let nonce = link.pull();
    let key = keys().expect("a keyed herd").list().next().copied().expect("one key");
    let ephemeral = KeyPair::new(EPHEMERAL);
    let publics = [0, 1].map(|node| pair(node).public().0);
    let hint = mac(&key, &[b"herd hint 2", &nonce, &ephemeral.public().0, &publics[0], &publics[1]]);
    let hints = [&hint[..HINT_BYTES], &[7; HINT_BYTES]].concat();
    let mut snow = link.snow(&hints, &nonce);
    let (mut read, mut message) = ([0; 64], [0; 64]);
    let length = snow.write_message(&[], &mut message).expect("message 1");
    link.step(&[&hints, &message[..length]].concat());
    let answer = link.pull();
    assert_eq!(answer[0], 0, "the hint that applies");
    assert_eq!(snow.read_message(&answer[1..], &mut read).expect("message 2"), 0);
    link.exchange(snow.into_transport_mode().expect("the handshake is complete"));
}
