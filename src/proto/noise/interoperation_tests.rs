//! The handshake and the records with snow, another implementation of the Noise framework, at the other end.

use super::handshake::{Acceptor, Dialler};
use super::key_pair::KeyPair;
use super::record::{LENGTH_BYTES, RECORD_BYTES_MAX, REKEY_RECORDS, Records};
use crate::out::Out;
use proptest::prelude::*;

const NAME: &str = "Noise_KKpsk2_25519_ChaChaPoly_SHA256";

/// The secrets of a handshake.
#[derive(Clone, Debug)]
struct Secrets {
    ours: [u8; 32],
    theirs: [u8; 32],
    our_ephemeral: [u8; 32],
    their_ephemeral: [u8; 32],
    shared: [u8; 32],
    prologue: Vec<u8>,
}

fn secrets() -> impl Strategy<Value = Secrets> {
    let key = any::<[u8; 32]>;
    (key(), key(), key(), key(), key(), prop::collection::vec(any::<u8>(), 0..80)).prop_map(
        |(ours, theirs, our_ephemeral, their_ephemeral, shared, prologue)| Secrets {
            ours,
            theirs,
            our_ephemeral,
            their_ephemeral,
            shared,
            prologue,
        },
    )
}

impl Secrets {
    /// snow at the other end, in this role.
    fn snow(&self, is_dialler: bool) -> snow::HandshakeState {
        let ours = *KeyPair::new(self.ours).public();
        let builder = snow::Builder::new(NAME.parse().expect("snow knows the protocol"))
            .fixed_ephemeral_key_for_testing_only(&self.their_ephemeral)
            .local_private_key(&self.theirs)
            .and_then(|builder| builder.remote_public_key(&ours.0))
            .and_then(|builder| builder.prologue(&self.prologue))
            .and_then(|builder| builder.psk(2, &self.shared));
        let builder = builder.expect("each is set once");
        let state = if is_dialler { builder.build_initiator() } else { builder.build_responder() };
        state.expect("all keys are there")
    }

    fn dial(&self) -> (Records, snow::TransportState) {
        let mut snow = self.snow(false);
        let (ours, theirs) = (KeyPair::new(self.ours), KeyPair::new(self.theirs));
        let (mut message, mut read) = ([0; 256], [0; 256]);
        let mut out = Out::new(&mut message);
        let ephemeral = KeyPair::new(self.our_ephemeral);
        let dialler = Dialler::begin(&[&self.prologue], &ours, theirs.public(), ephemeral, b"one", &mut out);
        let length = snow.read_message(out.written(), &mut read).expect("message 1");
        assert_eq!(&read[..length], b"one");
        let length = snow.write_message(b"two", &mut message).expect("message 2");
        let dialler = dialler.expect("strong keys");
        let (payload, records) =
            dialler.finish(&ours, &self.shared, &mut message[..length]).expect("message 2");
        assert_eq!(payload, b"two");
        assert_eq!(records.handshake_hash, snow.get_handshake_hash());
        (records, snow.into_transport_mode().expect("the handshake is complete"))
    }

    fn accept(&self) -> (Records, snow::TransportState) {
        let mut snow = self.snow(true);
        let (ours, theirs) = (KeyPair::new(self.ours), KeyPair::new(self.theirs));
        let (mut message, mut read) = ([0; 256], [0; 256]);
        let length = snow.write_message(b"one", &mut message).expect("message 1");
        let (payload, acceptor) =
            Acceptor::begin(&[&self.prologue], &ours, theirs.public(), &mut message[..length])
                .expect("message 1");
        assert_eq!(payload, b"one");
        let mut out = Out::new(&mut message);
        let ephemeral = KeyPair::new(self.our_ephemeral);
        let records = acceptor.finish(theirs.public(), &ephemeral, &self.shared, b"two", &mut out);
        let length = snow.read_message(out.written(), &mut read).expect("message 2");
        assert_eq!(&read[..length], b"two");
        let records = records.expect("strong keys");
        assert_eq!(records.handshake_hash, snow.get_handshake_hash());
        (records, snow.into_transport_mode().expect("the handshake is complete"))
    }
}

/// A line of the node to snow, and one of snow to the node.
fn exchange(records: &mut Records, snow: &mut snow::TransportState, line: &[u8]) {
    let (mut record, mut read) = ([0; RECORD_BYTES_MAX], [0; RECORD_BYTES_MAX]);
    let mut out = Out::new(&mut record);
    records.seal(line, &mut out);
    let length = snow.read_message(&out.written()[LENGTH_BYTES..], &mut read).expect("a transport message");
    assert_eq!(&read[..=line.len()], [line, b"\n"].concat());
    let length = snow.write_message(&read[..length], &mut record[LENGTH_BYTES..]).expect("room for it");
    record[..LENGTH_BYTES].copy_from_slice(&u16::try_from(length).expect("it is short").to_be_bytes());
    assert_eq!(records.open(&mut record[..LENGTH_BYTES + length]), Ok(line));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn handshakes_and_lines(secrets in secrets(), line in "[ -~]{0,1792}") {
        for (mut records, mut snow) in [secrets.dial(), secrets.accept()] {
            exchange(&mut records, &mut snow, line.as_bytes());
            exchange(&mut records, &mut snow, line.as_bytes());
        }
    }
}

#[test]
fn keys_are_replaced_as_by_snow() {
    let secrets = Secrets {
        ours: [1; 32],
        theirs: [2; 32],
        our_ephemeral: [3; 32],
        their_ephemeral: [4; 32],
        shared: [5; 32],
        prologue: Vec::new(),
    };
    let (mut records, mut snow) = secrets.dial();
    // snow has no way to skip what it sends.
    for _ in 0..REKEY_RECORDS - 1 {
        snow.write_message(&[], &mut [0; 16]).expect("an empty message");
    }
    snow.set_receiving_nonce(REKEY_RECORDS - 1);
    records.sent.skip_to(REKEY_RECORDS - 1);
    records.received.skip_to(REKEY_RECORDS - 1);
    exchange(&mut records, &mut snow, b"P 1");
    snow.rekey_incoming();
    snow.rekey_outgoing();
    exchange(&mut records, &mut snow, b"P 2");
    exchange(&mut records, &mut snow, b"P 3");
}
