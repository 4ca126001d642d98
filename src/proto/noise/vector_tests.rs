//! The handshake against a vector of another implementation.

use super::cipher::Cipher;
use super::handshake::{Acceptor, Dialler};
use super::key_pair::tests::bytes_of;
use super::key_pair::{KeyPair, PublicKey};
use super::{Refused, Secret, TAG_BYTES};
use crate::out::{Out, read_hex};

const VECTOR: &str = include_str!("cacophony.txt");

fn field(name: &str) -> &'static str {
    fields(name).next().unwrap_or_else(|| panic!("{name} is in the file"))
}

fn fields(name: &str) -> impl Iterator<Item = &'static str> {
    VECTOR.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
}

fn bytes(hex: &str) -> Vec<u8> {
    let mut bytes = vec![0; hex.len() / 2];
    read_hex(hex.as_bytes(), &mut bytes).expect("hexadecimal");
    bytes
}

/// Encrypts and decrypts a transport message, and compares it with the vector.
fn transports(sent: &mut Cipher, received: &mut Cipher, payload: &str, expected: &str) {
    let mut message = bytes(payload);
    let tag = sent.seal(&[], &mut message);
    message.extend(tag);
    assert_eq!(message, bytes(expected));
    let (body, tag) = message.split_last_chunk_mut::<TAG_BYTES>().expect("it has a tag");
    received.open(&[], body, tag).expect("it was just encrypted");
    assert_eq!(body, bytes(payload));
}

#[test]
fn messages_equal_the_vector() {
    let pair = |name| KeyPair::new(bytes_of(field(name)));
    let (dialler, acceptor) = (pair("init_static"), pair("resp_static"));
    assert_eq!(dialler.public(), &PublicKey(bytes_of(field("resp_remote_static"))));
    assert_eq!(acceptor.public(), &PublicKey(bytes_of(field("init_remote_static"))));
    let prologue = bytes(field("prologue"));
    // The borders of the parts do not count.
    let parts = [&prologue[..3], &prologue[3..]];
    let shared = bytes_of(field("psk"));
    let mut messages = fields("payload").zip(fields("ciphertext"));

    let (payload, expected) = messages.next().expect("message 1");
    let mut first = [0; 256];
    let mut out = Out::new(&mut first);
    let ephemeral = pair("init_ephemeral");
    let dialling = Dialler::begin(&parts, &dialler, acceptor.public(), ephemeral, &bytes(payload), &mut out)
        .expect("strong keys");
    assert_eq!(out.written(), bytes(expected));
    let length = out.len();
    let (read, accepting) =
        Acceptor::begin(&[&prologue], &acceptor, dialler.public(), &mut first[..length]).expect("message 1");
    assert_eq!(read, bytes(payload));

    let (payload, expected) = messages.next().expect("message 2");
    let mut second = [0; 256];
    let mut out = Out::new(&mut second);
    let mut here = accepting
        .finish(dialler.public(), &pair("resp_ephemeral"), &shared, &bytes(payload), &mut out)
        .expect("strong keys");
    assert_eq!(out.written(), bytes(expected));
    let length = out.len();
    let (read, mut there) = dialling.finish(&dialler, &shared, &mut second[..length]).expect("message 2");
    assert_eq!(read, bytes(payload));
    assert_eq!(here.handshake_hash, bytes_of::<32>(field("handshake_hash")));
    assert_eq!(here.digest_secret(), there.digest_secret());

    for (i, (payload, expected)) in messages.enumerate() {
        if i % 2 == 0 {
            transports(&mut there.sent, &mut here.received, payload, expected);
        } else {
            transports(&mut here.sent, &mut there.received, payload, expected);
        }
    }
}

#[test]
fn rekey_is_of_the_framework() {
    let (mut sent, mut received) = (Cipher::new(Secret::new([7; 32])), Cipher::new(Secret::new([7; 32])));
    let mut zeros = [0; 32];
    let next = {
        use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
        let mut nonce = [0xff; 12];
        nonce[..4].fill(0);
        let aead = ChaCha20Poly1305::new(&[7; 32].into());
        let sealed = aead.encrypt_inout_detached(&nonce.into(), &[], (&mut zeros[..]).into());
        sealed.expect("a short message");
        zeros
    };
    let mut text = *b"before";
    let tag = sent.seal(&[], &mut text);
    received.open(&[], &mut text, &tag).expect("one key");
    sent.rekey();
    let mut text = *b"after";
    let tag = sent.seal(&[], &mut text);
    let sealed = text;
    assert_eq!(received.open(&[], &mut text, &tag), Err(Refused::Tag), "the other key");
    assert_eq!(text, sealed, "what does not open stays as it is");
    let mut renewed = Cipher::new(Secret::new(next));
    renewed.seal(&[], &mut [0]);
    renewed.open(&[], &mut text, &tag).expect("the key that the framework defines, and the next counter");
    assert_eq!(&text, b"after");
}
