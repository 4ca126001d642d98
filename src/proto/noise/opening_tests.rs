use super::*;
use crate::noise::key_pair::tests::{WEAK, bytes_of};
use crate::noise::record::RECORD_BYTES_MAX;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];
const FILLER: [u8; HINT_BYTES] = [8; HINT_BYTES];

fn pair(seed: u8) -> KeyPair {
    KeyPair::new([seed; 32])
}

/// The introduction of the dialler of `pair(11)` to the acceptor of `pair(12)`.
fn introduced(keys: &Keys) -> (Dialling, [u8; INTRODUCTION_BYTES]) {
    let mut bytes = [0; INTRODUCTION_BYTES];
    let mut out = Out::new(&mut bytes);
    let fresh = (pair(13), FILLER);
    let dialling = Dialling::introduce(&NONCE, &pair(11), pair(12).public(), keys, fresh, &mut out);
    assert_eq!(out.room(), 0);
    (dialling.expect("strong keys"), bytes)
}

/// The acceptor's neighbours: the dialler is the second.
fn candidates() -> [PublicKey; 3] {
    [21, 11, 22].map(|seed| *pair(seed).public())
}

fn recognised(
    bytes: &[u8; INTRODUCTION_BYTES],
    nonce: &[u8; NONCE_BYTES],
    keys: &Keys,
) -> Option<Recognised> {
    let mut bytes = *bytes;
    let introduction = Introduction::new(nonce, &mut bytes);
    introduction.recognise(pair(12).public(), candidates().iter(), keys)
}

/// The acceptor's answer to a recognised dialler.
fn answered(bytes: &[u8; INTRODUCTION_BYTES], keys: &Keys) -> Result<([u8; ANSWER_BYTES], Records), Refused> {
    let mut bytes = *bytes;
    let introduction = Introduction::new(&NONCE, &mut bytes);
    let found = introduction.recognise(pair(12).public(), candidates().iter(), keys).ok_or(Refused::Tag)?;
    assert_eq!(found.candidate, 1);
    let mut answer = [0; ANSWER_BYTES];
    let mut out = Out::new(&mut answer);
    let theirs = &candidates()[found.candidate];
    let records = introduction.answer(found, &pair(12), theirs, keys, &pair(14), &mut out)?;
    assert_eq!(out.room(), 0);
    Ok((answer, records))
}

fn talk(from: &mut Records, to: &mut Records) {
    let mut bytes = [0; RECORD_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    from.seal(b"P 1", &mut out);
    let length = out.len();
    assert_eq!(to.open(&mut bytes[..length]), Ok(&b"P 1"[..]));
}

#[test]
fn a_herd_changes_its_key_node_by_node() {
    let before = Keys::new(OLD, None);
    let during = Keys::new(NEW, Some(OLD));
    let after = Keys::new(NEW, None);
    for (a, b) in
        [(&before, &before), (&before, &during), (&during, &during), (&during, &after), (&after, &after)]
    {
        for (dialler, acceptor) in [(a, b), (b, a)] {
            let (dialling, bytes) = introduced(dialler);
            let (mut answer, mut theirs) = answered(&bytes, acceptor).expect("a common key");
            let mut ours = dialling.finish(&pair(11), dialler, &mut answer).expect("a common key");
            talk(&mut ours, &mut theirs);
            talk(&mut theirs, &mut ours);
            assert_eq!(ours.digest_secret(), theirs.digest_secret());
        }
    }
    let (_, bytes) = introduced(&before);
    assert_eq!(recognised(&bytes, &NONCE, &after), None);
}

#[test]
fn both_ends_take_the_newer_key_of_the_dialler() {
    let (_, bytes) = introduced(&Keys::new(NEW, Some(OLD)));
    let (answer, _) = answered(&bytes, &Keys::new(OLD, Some(NEW))).expect("common keys");
    assert_eq!(answer[0], 0);
    let (_, bytes) = introduced(&Keys::new(NEW, Some(OLD)));
    let (answer, _) = answered(&bytes, &Keys::new(OLD, None)).expect("a common key");
    assert_eq!(answer[0], 1);
}

#[test]
fn strangers_replays_and_reflections_are_not_recognised() {
    let keys = Keys::new(NEW, None);
    let (_, bytes) = introduced(&keys);
    assert!(recognised(&bytes, &NONCE, &keys).is_some());
    assert_eq!(recognised(&bytes, &[10; NONCE_BYTES], &keys), None, "replayed in another connection");
    assert_eq!(recognised(&[7; INTRODUCTION_BYTES], &NONCE, &keys), None, "a stranger");
    let mut reflected = bytes;
    let introduction = Introduction::new(&NONCE, &mut reflected);
    let neighbours = [*pair(12).public()];
    assert_eq!(introduction.recognise(pair(11).public(), neighbours.iter(), &keys), None, "reflected");
    let mut misdirected = bytes;
    let introduction = Introduction::new(&NONCE, &mut misdirected);
    assert_eq!(
        introduction.recognise(pair(22).public(), candidates().iter(), &keys),
        None,
        "to another node"
    );
}

#[test]
fn every_changed_byte_ends_the_handshake() {
    let keys = Keys::new(NEW, None);
    let (_, bytes) = introduced(&keys);
    for at in 0..INTRODUCTION_BYTES {
        let mut changed = bytes;
        changed[at] ^= 1;
        assert!(answered(&changed, &keys).is_err(), "byte {at} of the introduction");
    }
    for at in 0..ANSWER_BYTES {
        let (dialling, bytes) = introduced(&keys);
        let (mut answer, _) = answered(&bytes, &keys).expect("a common key");
        answer[at] ^= 1;
        assert!(dialling.finish(&pair(11), &keys, &mut answer).is_err(), "byte {at} of the answer");
    }
}

#[test]
fn a_key_of_the_herd_is_not_enough() {
    let keys = Keys::new(NEW, None);
    let mut bytes = [0; INTRODUCTION_BYTES];
    let mut out = Out::new(&mut bytes);
    // An insider has the herd's key and the dialler's public key, but not its private key.
    let thief = KeyPair::with_public([66; 32], *pair(11).public());
    Dialling::introduce(&NONCE, &thief, pair(12).public(), &keys, (pair(13), FILLER), &mut out)
        .expect("strong keys");
    assert!(recognised(&bytes, &NONCE, &keys).is_some(), "the hint is right");
    assert_eq!(answered(&bytes, &keys).map(|_| ()), Err(Refused::Tag));
    // The acceptor's place.
    let (dialling, bytes) = introduced(&keys);
    let mut copy = bytes;
    let thief = KeyPair::with_public([66; 32], *pair(12).public());
    let introduction = Introduction::new(&NONCE, &mut copy);
    let found =
        introduction.recognise(thief.public(), candidates().iter(), &keys).expect("the hint is right");
    let mut answer = [0; ANSWER_BYTES];
    let mut out = Out::new(&mut answer);
    let theirs = candidates()[1];
    let refused = introduction.answer(found, &thief, &theirs, &keys, &pair(14), &mut out).map(|_| ());
    assert_eq!(refused, Err(Refused::Tag), "it cannot read message 1");
    answer[1..][..KEY_BYTES].copy_from_slice(&pair(14).public().0);
    assert_eq!(dialling.finish(&pair(11), &keys, &mut answer).map(|_| ()), Err(Refused::Tag));
}

#[test]
fn a_private_key_is_not_enough() {
    let keys = Keys::new(NEW, None);
    let (dialling, bytes) = introduced(&keys);
    let mut copy = bytes;
    let introduction = Introduction::new(&NONCE, &mut copy);
    let found = Recognised { candidate: 1, hint: 0, key: 0 };
    let mut answer = [0; ANSWER_BYTES];
    let mut out = Out::new(&mut answer);
    let others = Keys::new(OLD, None);
    introduction.answer(found, &pair(12), &candidates()[1], &others, &pair(14), &mut out).expect("message 1");
    assert_eq!(dialling.finish(&pair(11), &keys, &mut answer).map(|_| ()), Err(Refused::Tag));
}

#[test]
fn weak_keys_are_refused() {
    let keys = Keys::new(NEW, None);
    for weak in WEAK.map(|weak| PublicKey(bytes_of(weak))) {
        let mut bytes = [0; INTRODUCTION_BYTES];
        let mut out = Out::new(&mut bytes);
        let fresh = (pair(13), FILLER);
        let refused = Dialling::introduce(&NONCE, &pair(11), &weak, &keys, fresh, &mut out);
        assert_eq!(refused.map(|_| ()), Err(Refused::WeakKey), "in the configuration");

        // A weak ephemeral key in message 1, with a right hint.
        let (_, mut bytes) = introduced(&keys);
        bytes[KEYS_MAX * HINT_BYTES..][..KEY_BYTES].copy_from_slice(&weak.0);
        let right = hint(&NEW, &NONCE, &weak, pair(11).public(), pair(12).public());
        bytes[..HINT_BYTES].copy_from_slice(&right);
        assert_eq!(answered(&bytes, &keys).map(|_| ()), Err(Refused::WeakKey), "in message 1");

        let (dialling, bytes) = introduced(&keys);
        let (mut answer, _) = answered(&bytes, &keys).expect("a common key");
        answer[1..][..KEY_BYTES].copy_from_slice(&weak.0);
        let refused = dialling.finish(&pair(11), &keys, &mut answer);
        assert_eq!(refused.map(|_| ()), Err(Refused::WeakKey), "in message 2");
    }
}

#[test]
fn nothing_shows_the_nodes() {
    let keys = Keys::new(NEW, None);
    let (_, bytes) = introduced(&keys);
    let (answer, _) = answered(&bytes, &keys).expect("a common key");
    for public in candidates().iter().chain([pair(12).public()]) {
        for sent in [&bytes[..], &answer] {
            assert!(!sent.windows(8).any(|window| window == &public.0[..8]));
        }
    }
}
