//! The form of a table on the disk: what is written is read, and what is damaged anywhere is not.

use proptest::prelude::*;

use super::*;
use crate::proto::node::{Node, Seed, Setup};
use crate::proto::time::{Mono, Timestamp};
use crate::proto::update::Update;

const NAMES: [&str; 3] = ["Campbell", "Hill", "Smith"];

/// A node, since only a node can make `Names`.
fn node(names: &[&str]) -> Box<Node<64>> {
    let mut node = Box::new(Node::new());
    let seed = Seed { hash_key: (1, 2), jitter: 3, boot: 4 };
    let setup = Setup {
        names,
        me: 0,
        neighbours: &[],
        keys: None,
        secrecy: None,
        capacity: 32,
        age_s_max: 100,
        seed,
    };
    node.start(&setup).expect("the setup is right");
    node
}

fn table(written: Written, entries: &[(Update, u32)]) -> Vec<u8> {
    let node = node(&NAMES);
    let mut bytes = vec![0; (entries.len() + 2) * LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    let mut encoder = Encoder::default();
    encoder.begin(written, &mut out);
    for (update, age_s) in entries {
        encoder.entry(&update.borrowed(), *age_s, node.names(), &mut out);
    }
    encoder.end(&mut out);
    assert_eq!(encoder.entries() as usize, entries.len());
    out.written().to_vec()
}

fn read_all(mut bytes: &[u8]) -> Result<(Written, Vec<(Update, u32)>), Damage> {
    let node = node(&NAMES);
    let mut entries = Vec::new();
    let written = read(&mut bytes, |_, at_line, age_s| {
        let update = Update::parse_ranked_line(at_line, node.names());
        let is_one = update.is_ok();
        entries.extend(update.ok().map(|update| (update, age_s)));
        is_one
    })?;
    Ok((written, entries))
}

fn update(line: &str) -> Update {
    Update::parse_ranked_line(line.as_bytes(), node(&NAMES).names()).expect("the test's line is right")
}

const WRITTEN: Written = Written { unix_s: 1_621_464_828, is_trusted: true };

fn some() -> Vec<u8> {
    let kiwi = update("AT Hill +0.263873386 kiwi +34.068930-118.445127 1621464827.959498503");
    let rail = update("AT Smith -5.000000000 rail -1+1 1621464827");
    table(WRITTEN, &[(kiwi, 12), (rail, 0)])
}

#[test]
fn a_table_is_text_that_people_can_read() {
    let text = String::from_utf8(some()).expect("ASCII");
    let (entries, last) = text.split_once("end ").expect("a last line");
    assert_eq!(
        entries,
        "herd table 1 1621464828 trusted\n\
         12 AT Hill +0.263873386 kiwi +34.068930-118.445127 1621464827.959498503\n\
         0 AT Smith -5.000000000 rail -1+1 1621464827\n"
    );
    // As another program computes it: releases to come have to read it too.
    assert_eq!(last, "2 3933563c4536e1ac\n");
}

#[test]
fn damage_anywhere_is_found() {
    let whole = some();
    assert_eq!(read_all(&whole).expect("it is right").1.len(), 2);
    for index in 0..whole.len() {
        assert!(read_all(&whole[..index]).is_err(), "the first {index} bytes");
        for change in [1, 2, 0x20, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[index] ^= change;
            assert!(read_all(&damaged).is_err(), "{change:#x} at {index}");
        }
        let mut shorter = whole.clone();
        shorter.remove(index);
        assert!(read_all(&shorter).is_err(), "without {index}");
        let mut longer = whole.clone();
        longer.insert(index, b'1');
        assert!(read_all(&longer).is_err(), "one more at {index}");
    }
    for more in [&b"\n"[..], b"x", b"end 2 0\n"] {
        assert!(read_all(&[&whole, more].concat()).is_err());
    }
    let lines: Vec<&[u8]> = whole.split_inclusive(|&byte| byte == b'\n').collect();
    assert!(read_all(&[lines[0], lines[2], lines[1], lines[3]].concat()).is_err(), "in another order");
    assert!(read_all(&[lines[0], lines[1], lines[3]].concat()).is_err(), "one line less");
    assert!(read_all(&[lines[0], lines[1], lines[1], lines[2], lines[3]].concat()).is_err(), "one twice");
}

#[test]
fn a_malformed_table_is_refused_with_a_reason() {
    let endless = b"x".repeat(10_000);
    let long_line = [b"herd table 1 5 trusted\n1 AT ".to_vec(), b"x".repeat(10_000)].concat();
    for (bytes, expected) in [
        (&b""[..], "its end is missing"),
        (b"#!/bin/sh\n", "it is not a snapshot"),
        (b"\x00\xff\n", "it is not a snapshot"),
        (&endless, "it is not a snapshot"),
        (b"herd table 2 5 trusted\n", "its version is 2, but this release reads version 1"),
        (b"herd table 1 5 maybe\n", "line 1 is not valid"),
        (b"herd table 1 5 trusted \n", "line 1 is not valid"),
        (b"herd table 1 99999999999999999999 trusted\n", "line 1 is not valid"),
        (b"herd table 1 5 trusted\n", "its end is missing"),
        (b"herd table 1 5 trusted\nx\n", "line 2 is not valid"),
        (&long_line, "line 2 is not valid"),
        (b"herd table 1 5 trusted\nend 0 0123456789abcdef\n", "its checksum is wrong"),
        (b"herd table 1 5 trusted\nend 7 0123456789abcdef\n", "its checksum is wrong"),
    ] {
        let damage = read_all(bytes).expect_err("it is not a table").to_string();
        assert_eq!(damage, expected, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
}

/// A file that never ends, of entries that are right.
struct Endless(&'static [u8]);

impl Read for Endless {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(bytes)?;
        if self.0.is_empty() {
            self.0 = b"0 AT Smith -5.000000000 rail -1+1 1621464827\n";
        }
        Ok(read)
    }
}

#[test]
fn a_file_that_does_not_end_is_not_read_for_ever() {
    let mut entries = 0;
    let endless = Endless(b"herd table 1 5 trusted\n");
    let damage = read(&mut io::BufReader::new(endless), |_, _, _| {
        entries += 1;
        true
    });
    assert!(matches!(damage, Err(Damage::Long)) && entries == ENTRIES_MAX);
}

#[test]
fn only_two_clocks_that_are_right_tell_how_long_a_table_lay() {
    let now = |unix_s: i64, wall_is_trusted| Now {
        mono: Mono(0),
        wall: Timestamp(unix_s * NANOSECONDS + 999_999_999),
        wall_is_trusted,
    };
    let written = |unix_s, is_trusted| Written { unix_s, is_trusted };
    assert_eq!(Written::at(&now(-7, true)), written(-7, true));
    for (before, after, down_s) in [
        (written(100, true), now(160, true), 60),
        (written(100, true), now(160, false), 0),
        (written(100, false), now(160, true), 0),
        (written(160, true), now(100, true), 0),
        (written(i64::MIN, true), now(0, true), u32::MAX),
        (written(i64::MAX, true), now(0, true), 0),
    ] {
        assert_eq!(before.down_s(&after), down_s, "{before:?} {after:?}");
    }
}

/// Updates of every length that there is room for.
fn any_update() -> impl Strategy<Value = Update> {
    let client = proptest::collection::vec(33..127_u8, 1..=64);
    let time = (-9_999_999_999..9_999_999_999_i64, proptest::option::of("[0-9]{1,9}"));
    let degrees = ("[+-][0-9]{1,2}(\\.[0-9]{1,18})?", "[+-][0-9]{1,2}(\\.[0-9]{1,18})?");
    let origins = prop_oneof![Just("Campbell"), Just("Hill"), Just("Smith")];
    let skews = (any::<bool>(), 0..1_000_000_000_u64, 0..1_000_000_000_u32);
    (client, time, degrees, origins, skews).prop_filter_map(
        "no update",
        |(client, time, degrees, origin, skew)| {
            let fraction = time.1.map_or_else(String::new, |digits| format!(".{digits}"));
            let sign = if skew.0 { '+' } else { '-' };
            let head = format!("AT {origin} {sign}{}.{:09} ", skew.1, skew.2);
            let tail = format!(" {}{} {}{fraction}", degrees.0, degrees.1, time.0);
            let line = [head.as_bytes(), &client, tail.as_bytes()].concat();
            Update::parse_ranked_line(&line, node(&NAMES).names()).ok()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        entries in proptest::collection::vec((any_update(), any::<u32>()), 0..40),
        unix_s in any::<i64>(),
        is_trusted in any::<bool>(),
    ) {
        let written = Written { unix_s, is_trusted };
        let bytes = table(written, &entries);
        prop_assert!(bytes.split(|&byte| byte == b'\n').all(|line| line.len() < LINE_BYTES_MAX));
        prop_assert_eq!(read_all(&bytes).expect("it is right"), (written, entries));
    }

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(read_all(&bytes).is_err());
        let headed = [b"herd table 1 5 trusted\n".as_slice(), &bytes].concat();
        prop_assert!(read_all(&headed).is_err());
    }
}
