use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::noise::handshake::{Acceptor, Dialler, MESSAGE_BYTES};
use crate::noise::key_pair::KeyPair;

/// The records of both ends of a link, the dialler's first. Always the same.
fn link() -> (Records, Records) {
    static LINK: LazyLock<(Records, Records)> = LazyLock::new(handshake);
    LINK.clone()
}

fn handshake() -> (Records, Records) {
    let (ours, theirs) = (KeyPair::new([1; 32]), KeyPair::new([2; 32]));
    let (mut first, mut second) = ([0; MESSAGE_BYTES], [0; MESSAGE_BYTES]);
    let mut out = Out::new(&mut first);
    let dialler = Dialler::begin(&[], &ours, theirs.public(), KeyPair::new([3; 32]), &[], &mut out);
    let (_, acceptor) = Acceptor::begin(&[], &theirs, ours.public(), &mut first).expect("message 1");
    let mut out = Out::new(&mut second);
    let theirs = acceptor.finish(ours.public(), &KeyPair::new([4; 32]), &[5; 32], &[], &mut out);
    let (_, ours) = dialler.expect("strong keys").finish(&ours, &[5; 32], &mut second).expect("message 2");
    (ours, theirs.expect("strong keys"))
}

fn sealed(records: &mut Records, line: &[u8]) -> Vec<u8> {
    let mut bytes = [0xaa; RECORD_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    records.seal(line, &mut out);
    out.written().to_vec()
}

#[test]
fn every_length_of_a_line_has_a_record() {
    let (mut dialler, mut acceptor) = link();
    for length in 0..=LINK_LINE_BYTES_MAX {
        let line = vec![b'x'; length];
        let mut record = sealed(&mut dialler, &line);
        assert_eq!(record_bytes(&record), Ok(Some(record.len())));
        let size = record.len() - LENGTH_BYTES - TAG_BYTES;
        assert!(SIZES.contains(&size) && size > length);
        assert_eq!(acceptor.open(&mut record), Ok(&line[..]));
    }
    assert_eq!(sealed(&mut dialler, &[b'x'; 100]).len(), 146);
    assert_eq!(sealed(&mut dialler, &[b'x'; LINK_LINE_BYTES_MAX]).len(), RECORD_BYTES_MAX);
}

#[test]
fn lengths_that_no_record_has() {
    assert_eq!(record_bytes(&[]), Ok(None));
    assert_eq!(record_bytes(&[1]), Ok(None));
    let possible = (0..=u16::MAX).filter(|length| record_bytes(&length.to_be_bytes()).is_ok());
    assert!(possible.eq(SIZES.map(|size| u16::try_from(size + TAG_BYTES).expect("a record is short"))));
}

#[test]
fn every_truncation_is_refused() {
    let (mut dialler, _) = link();
    let record = sealed(&mut dialler, b"P 1");
    for length in 0..record.len() {
        let (_, mut acceptor) = link();
        let refused = acceptor.open(&mut record[..length].to_vec()).map(<[u8]>::to_vec);
        assert_eq!(refused, Err(Refused::Length), "{length} bytes");
    }
    let (_, mut acceptor) = link();
    let longer = [&record[..], &[0]].concat();
    assert_eq!(acceptor.open(&mut longer.clone()), Err(Refused::Length));
}

#[test]
fn every_changed_byte_is_refused() {
    let (mut dialler, _) = link();
    let record = sealed(&mut dialler, b"U 0 AT Hill +0.1 phone +1+1 1");
    for at in 0..record.len() {
        for bit in [1, 0x80] {
            let (_, mut acceptor) = link();
            let mut changed = record.clone();
            changed[at] ^= bit;
            assert!(acceptor.open(&mut changed).is_err(), "byte {at}");
        }
    }
}

#[test]
fn replays_gaps_and_reflections_are_refused() {
    let (mut dialler, mut acceptor) = link();
    let first = sealed(&mut dialler, b"P 1");
    let second = sealed(&mut dialler, b"P 1");
    assert_ne!(first, second, "the counter is a part of the nonce");
    assert_eq!(dialler.open(&mut first.clone()), Err(Refused::Tag), "reflected");
    let (_, mut other) = link();
    assert_eq!(other.open(&mut second.clone()), Err(Refused::Tag), "one was dropped");
    let (_, mut other) = link();
    assert_eq!(other.open(&mut second.clone()), Err(Refused::Tag), "reordered");
    assert_eq!(other.open(&mut first.clone()), Err(Refused::Tag), "the counter does not go back");
    assert_eq!(acceptor.open(&mut first.clone()), Ok(&b"P 1"[..]));
    assert_eq!(acceptor.open(&mut first.clone()), Err(Refused::Tag), "replayed");
}

#[test]
fn both_directions_change_their_keys() {
    let (mut dialler, mut acceptor) = link();
    for records in [0, REKEY_RECORDS - 1, REKEY_RECORDS, 2 * REKEY_RECORDS - 1, 2 * REKEY_RECORDS] {
        dialler.sent.skip_to(records);
        acceptor.received.skip_to(records);
        let before = *dialler.sent.key();
        let mut record = sealed(&mut dialler, b"P 1");
        let is_due = records > 0 && records % REKEY_RECORDS == 0;
        assert_eq!(before != *dialler.sent.key(), is_due, "record {records}");
        assert_eq!(acceptor.open(&mut record), Ok(&b"P 1"[..]), "record {records}");
    }
    // The other direction counts for itself.
    let mut record = sealed(&mut acceptor, b"P 2");
    assert_eq!(dialler.open(&mut record), Ok(&b"P 2"[..]));
}

/// A record that opens, of this plaintext.
fn forged(dialler: &mut Records, plaintext: &[u8]) -> Vec<u8> {
    let mut body = plaintext.to_vec();
    let tag = dialler.sent.seal(&[], &mut body);
    let length = u16::try_from(body.len() + TAG_BYTES).expect("a record is short");
    [&length.to_be_bytes()[..], &body, &tag].concat()
}

#[test]
fn plaintexts_that_are_not_one_line() {
    let padded = |text: &[u8], size: usize| {
        let mut plaintext = text.to_vec();
        plaintext.resize(size, 0);
        plaintext
    };
    for (plaintext, is_line) in [
        (padded(b"P 1\n", 128), true),
        (padded(b"\n", 128), true),
        (padded(b"P\x001\n", 128), true),
        (padded(b"", 128), false),
        (padded(b"P 1", 128), false),
        (padded(b"P 1\nP 2\n", 128), false),
        (padded(b"P 1\n\n", 128), false),
        (padded(b"P 1\n\x00x", 128), false),
        (padded(b"P 1\n", 256), false),
    ] {
        let (mut dialler, mut acceptor) = link();
        let mut record = forged(&mut dialler, &plaintext);
        let opened = acceptor.open(&mut record);
        assert_eq!(opened.is_ok(), is_line, "{}", plaintext.escape_ascii());
        assert!(is_line || opened == Err(Refused::Padding));
    }
}

#[test]
fn secrets_do_not_show() {
    assert_eq!(format!("{:?}", link().0), "Records");
}

proptest! {
    /// Any bytes from the other end are refused or a line, without a panic.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2_000), size in 0..SIZES.len()) {
        let (_, mut acceptor) = link();
        prop_assert!(acceptor.open(&mut bytes.clone()).is_err());
        let mut record = bytes;
        record.resize(LENGTH_BYTES + SIZES[size] + TAG_BYTES, 7);
        let length = u16::try_from(SIZES[size] + TAG_BYTES).expect("a record is short");
        record[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        prop_assert_eq!(acceptor.open(&mut record), Err(Refused::Tag));
    }

    /// A line comes out as it went in, and nothing of it shows in the record.
    #[test]
    fn lines_round_trip(line in "[ -~]{8,1792}") {
        let (mut dialler, mut acceptor) = link();
        let mut record = sealed(&mut dialler, line.as_bytes());
        prop_assert!(!record.windows(8).any(|window| window == &line.as_bytes()[..8]));
        prop_assert_eq!(acceptor.open(&mut record), Ok(line.as_bytes()));
    }
}
