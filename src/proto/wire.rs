//! The lines between nodes: their grammar, their parser and their writer.
//!
//! ```text
//! HELLO 1 <name> <boot> <capacity> <nonce>   the first line of both ends
//! PROOF <mac> [<mac>]                        one MAC for each key; every later line ends in " ~<tag>"
//! U <age_s> AT <origin> <skew> <client> <position> <time>
//! U <age_s> <rank> AT <origin> …             an update whose origin's clock was not trusted
//! D <round> <hashes> -                       a digest: 64 hashes of 16 hex digits, without blanks
//! D <round> <hashes> AT <origin> …           a digest with a floor, which has the form of an update
//! P <n>                                      a ping or its echo
//! Q <number> <salt> <names> <ms> <floor>     a census question to the whole herd
//! R <number> <strangers> <pending> <differs> <answered> <troubled> <links> <more> <halves> <floor>
//! ```
//!
//! Each of `<links>` is the number of a node and of its neighbour, four hex digits each, and a letter: `d`
//! down, `p` pending, `n` name in use twice. `-` means none. `<more>` counts the links that did not fit.
//!
//! A connection from the node whose name sorts last is a dial-back request. It ends after both PROOFs (without
//! keys: after both HELLOs), and the other node dials.
//!
//! Lines end in LF, single blanks separate fields, numbers are decimal, and the rest is lower-case hexadecimal.
//! This file holds no state: [`session`](super::session) decides whether a line may come now.

use super::auth::{HelloFields, KEYS_MAX, PROOF_BYTES, TAG_BYTES};
use super::census::{LinkTrouble, NodeSet, Question, Sum, Trouble};
use super::digest::Buckets;
use super::digits::value_of;
use super::limits::{DIGEST_BUCKETS, NONCE_BYTES, TAG_FIELD_BYTES};
use super::names::{Names, NodeId};
use super::out::{Out, read_hex};
use super::update::{AtLineError, Update, UpdateRef};

/// The version of this grammar, in every HELLO.
pub const VERSION: u64 = 1;

/// Characters of one link in an R.
const LINK_FIELD_BYTES: usize = 9;

/// A line between nodes, without its tag.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a line is taken apart at once, and the core has no heap")]
pub enum Line<'a> {
    /// The name and the start of the sender.
    Hello {
        /// The version of the sender's grammar.
        version: u64,
        /// The sender's name.
        name: &'a [u8],
        /// A number that changes with each start of the sender.
        boot: u64,
        /// The capacity of the sender's table, in entries.
        capacity: u32,
        /// The sender's random bytes for this link.
        nonce: [u8; NONCE_BYTES],
    },
    /// One proof for each key of the sender.
    Proof(heapless::Vec<[u8; PROOF_BYTES], KEYS_MAX>),
    /// An update and its age.
    Update {
        /// Age in seconds since the origin heard the client.
        age_s: u32,
        /// The update, or why it could not be read. Only a malformed one ends the link.
        update: Result<Update, AtLineError>,
    },
    /// A digest of the sender's table.
    Digest {
        /// The number of the round.
        round: u64,
        /// The hashes.
        buckets: Buckets,
        /// The smallest update that the digest covers. Without one it covers the whole table.
        floor: Result<Option<Update>, AtLineError>,
    },
    /// A ping or its echo.
    Ping(u64),
    /// A census question.
    Question {
        /// The number of the census.
        number: u64,
        /// The question, or why it could not be read.
        question: Result<Question, AtLineError>,
    },
    /// The sender's sum of a census.
    Sum {
        /// The number of the census.
        number: u64,
        /// The sum, or why it could not be read.
        sum: Result<Sum, AtLineError>,
    },
}

impl<'a> Line<'a> {
    /// Reads a line. `None` if it does not match the grammar.
    #[must_use]
    pub fn parse(line: &'a [u8], names: &Names) -> Option<Self> {
        let (word, rest) = split(line)?;
        match word {
            b"HELLO" => parse_hello(rest),
            b"PROOF" => parse_proof(rest),
            b"U" => {
                let (age_s, at_line) = split(rest)?;
                let age_s = u32::try_from(number(age_s)?).ok()?;
                Some(Line::Update { age_s, update: Update::parse_ranked_line(at_line, names) })
            }
            b"D" => parse_digest(rest, names),
            b"P" => Some(Line::Ping(number(rest)?)),
            b"Q" => parse_question(rest, names),
            b"R" => parse_sum(rest, names),
            _ => None,
        }
    }
}

/// Splits at the first blank.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = line.iter().position(|&byte| byte == b' ')?;
    Some((&line[..blank], &line[blank + 1..]))
}

fn number(field: &[u8]) -> Option<u64> {
    let digits = !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    if digits { u64::try_from(value_of(field)).ok() } else { None }
}

fn parse_hello(rest: &[u8]) -> Option<Line<'_>> {
    let (version, rest) = split(rest)?;
    let (name, rest) = split(rest)?;
    let (boot, rest) = split(rest)?;
    let (capacity, nonce_hex) = split(rest)?;
    let mut nonce = [0; NONCE_BYTES];
    read_hex(nonce_hex, &mut nonce)?;
    let capacity = u32::try_from(number(capacity)?).ok()?;
    Some(Line::Hello { version: number(version)?, name, boot: number(boot)?, capacity, nonce })
}

fn parse_proof(rest: &[u8]) -> Option<Line<'_>> {
    let mut proofs = heapless::Vec::new();
    for field in rest.split(|&byte| byte == b' ') {
        let mut proof = [0; PROOF_BYTES];
        read_hex(field, &mut proof)?;
        proofs.push(proof).ok()?;
    }
    Some(Line::Proof(proofs))
}

fn parse_digest<'a>(rest: &[u8], names: &Names) -> Option<Line<'a>> {
    let (round, rest) = split(rest)?;
    let (hashes, floor) = split(rest)?;
    if hashes.len() != DIGEST_BUCKETS * 16 {
        return None;
    }
    let mut buckets = [0; DIGEST_BUCKETS];
    for (bucket, digits) in buckets.iter_mut().zip(hashes.chunks_exact(16)) {
        let mut bytes = [0; 8];
        read_hex(digits, &mut bytes)?;
        *bucket = u64::from_be_bytes(bytes);
    }
    Some(Line::Digest { round: number(round)?, buckets, floor: parse_floor(floor, names) })
}

fn parse_floor(field: &[u8], names: &Names) -> Result<Option<Update>, AtLineError> {
    if field == b"-" { Ok(None) } else { Update::parse_ranked_line(field, names).map(Some) }
}

fn parse_question<'a>(rest: &[u8], names: &Names) -> Option<Line<'a>> {
    let (census, rest) = split(rest)?;
    let (salt, rest) = split(rest)?;
    let (names_hash, rest) = split(rest)?;
    let (within_ms, floor) = split(rest)?;
    let (census, salt) = (number(census)?, number(salt)?);
    let (names_hash, within_ms) = (number(names_hash)?, number(within_ms)?);
    let question = |floor| Question { number: census, salt, names: names_hash, within_ms, floor };
    Some(Line::Question { number: census, question: parse_floor(floor, names).map(question) })
}

fn parse_sum<'a>(rest: &[u8], names: &Names) -> Option<Line<'a>> {
    let (census, rest) = split(rest)?;
    let (strangers, rest) = split(rest)?;
    let (pending, rest) = split(rest)?;
    let (differs, rest) = split(rest)?;
    let (answered, rest) = split(rest)?;
    let (troubled, rest) = split(rest)?;
    let (links, rest) = split(rest)?;
    let (more, rest) = split(rest)?;
    let (halves, floor) = split(rest)?;
    let mut sum = Sum {
        strangers: u32::try_from(number(strangers)?).ok()?,
        pending: u32::try_from(number(pending)?).ok()?,
        ..Sum::NONE
    };
    read_links(links, &mut sum)?;
    sum.links_left_out = u32::try_from(number(more)?).ok()?;
    let mut bytes = [0; 8];
    read_hex(differs, &mut bytes)?;
    sum.differs = u64::from_be_bytes(bytes);
    read_set(answered, &mut sum.answered)?;
    read_set(troubled, &mut sum.troubled)?;
    if halves.len() != DIGEST_BUCKETS * 8 {
        return None;
    }
    for (half, digits) in sum.halves.iter_mut().zip(halves.chunks_exact(8)) {
        let mut bytes = [0; 4];
        read_hex(digits, &mut bytes)?;
        *half = u32::from_be_bytes(bytes);
    }
    let sum = match parse_floor(floor, names) {
        Ok(floor) => {
            sum.floor = floor;
            Ok(sum)
        }
        Err(error) => Err(error),
    };
    Some(Line::Sum { number: number(census)?, sum })
}

/// A set is hexadecimal, or `-` if it is empty.
fn read_set(field: &[u8], set: &mut NodeSet) -> Option<()> {
    if field == b"-" { Some(()) } else { read_hex(field, set.bytes_mut(field.len() / 2)?) }
}

/// Links are 9 characters each, or `-` if the list is empty.
fn read_links(field: &[u8], sum: &mut Sum) -> Option<()> {
    if field == b"-" {
        return Some(());
    }
    if !field.len().is_multiple_of(LINK_FIELD_BYTES) {
        return None;
    }
    for field in field.chunks_exact(LINK_FIELD_BYTES) {
        let mut bytes = [0; 4];
        read_hex(&field[..8], &mut bytes)?;
        let node = |high, low| NodeId::at(usize::from(u16::from_be_bytes([high, low])));
        let (node, neighbour) = (node(bytes[0], bytes[1])?, node(bytes[2], bytes[3])?);
        let trouble = Trouble::of_letter(field[8])?;
        sum.links.push(LinkTrouble { node, neighbour, trouble }).ok()?;
    }
    Some(())
}

fn put_links(sum: &Sum, out: &mut Out) {
    if sum.links.is_empty() {
        out.put_byte(b'-');
    }
    for link in &sum.links {
        for node in [link.node, link.neighbour] {
            out.put_hex(&u16::try_from(node.index()).expect("a herd has at most 1,024 nodes").to_be_bytes());
        }
        out.put_byte(link.trouble.letter());
    }
}

/// Splits a line and its tag. `None` if the line has no valid tag field.
#[must_use]
pub fn split_tag(line: &[u8]) -> Option<(&[u8], [u8; TAG_BYTES])> {
    let (line, field) = line.split_at_checked(line.len().checked_sub(TAG_FIELD_BYTES)?)?;
    let mut tag = [0; TAG_BYTES];
    read_hex(field.strip_prefix(b" ~")?, &mut tag)?;
    Some((line, tag))
}

/// Appends ` ~` and the tag.
pub fn put_tag(tag: &[u8; TAG_BYTES], out: &mut Out) {
    out.put(b" ~");
    out.put_hex(tag);
}

/// Appends a HELLO.
pub fn put_hello(hello: &HelloFields, out: &mut Out) {
    out.put(b"HELLO ");
    out.put_u128(u128::from(VERSION));
    out.put_byte(b' ');
    out.put(hello.name);
    out.put_byte(b' ');
    out.put_u128(u128::from(hello.boot));
    out.put_byte(b' ');
    out.put_u128(u128::from(hello.capacity));
    out.put_byte(b' ');
    out.put_hex(hello.nonce);
}

/// Appends a PROOF.
pub fn put_proofs(proofs: &[[u8; PROOF_BYTES]], out: &mut Out) {
    out.put(b"PROOF");
    for proof in proofs {
        out.put_byte(b' ');
        out.put_hex(proof);
    }
}

/// Appends a U.
pub fn put_update(update: &UpdateRef, age_s: u32, names: &Names, out: &mut Out) {
    out.put(b"U ");
    out.put_u128(u128::from(age_s));
    out.put_byte(b' ');
    update.put_ranked_line(names, out);
}

/// Appends a D.
pub fn put_digest(round: u64, buckets: &Buckets, floor: Option<&Update>, names: &Names, out: &mut Out) {
    out.put(b"D ");
    out.put_u128(u128::from(round));
    out.put_byte(b' ');
    for bucket in buckets {
        out.put_hex(&bucket.to_be_bytes());
    }
    out.put_byte(b' ');
    put_floor(floor, names, out);
}

fn put_floor(floor: Option<&Update>, names: &Names, out: &mut Out) {
    match floor {
        Some(floor) => floor.borrowed().put_ranked_line(names, out),
        None => out.put_byte(b'-'),
    }
}

/// Appends a Q.
pub fn put_question(question: &Question, names: &Names, out: &mut Out) {
    out.put(b"Q ");
    for number in [question.number, question.salt, question.names, question.within_ms] {
        out.put_u128(u128::from(number));
        out.put_byte(b' ');
    }
    put_floor(question.floor.as_ref(), names, out);
}

/// Appends an R.
pub fn put_sum(census: u64, sum: &Sum, names: &Names, out: &mut Out) {
    out.put(b"R ");
    for number in [census, u64::from(sum.strangers), u64::from(sum.pending)] {
        out.put_u128(u128::from(number));
        out.put_byte(b' ');
    }
    out.put_hex(&sum.differs.to_be_bytes());
    for set in [&sum.answered, &sum.troubled] {
        out.put_byte(b' ');
        match set.bytes() {
            [] => out.put_byte(b'-'),
            bytes => out.put_hex(bytes),
        }
    }
    out.put_byte(b' ');
    put_links(sum, out);
    out.put_byte(b' ');
    out.put_u128(u128::from(sum.links_left_out));
    out.put_byte(b' ');
    for half in sum.halves {
        out.put_hex(&half.to_be_bytes());
    }
    out.put_byte(b' ');
    put_floor(sum.floor.as_ref(), names, out);
}

/// Appends a P.
pub fn put_ping(n: u64, out: &mut Out) {
    out.put(b"P ");
    out.put_u128(u128::from(n));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{LINK_LINE_BYTES_MAX, NODES_MAX};
    use crate::update::tests::{any_update, names};
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Out)) -> Vec<u8> {
        let mut bytes = [0; LINK_LINE_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        write(&mut out);
        out.written().to_vec()
    }

    #[test]
    fn a_hello_reads_as_it_was_written() {
        let hello = HelloFields { name: b"Hill", boot: u64::MAX, capacity: 4096, nonce: &[0xab; 16] };
        let line = written(|out| put_hello(&hello, out));
        assert_eq!(line, b"HELLO 1 Hill 18446744073709551615 4096 abababababababababababababababab");
        let Some(Line::Hello { version: 1, name: b"Hill", boot: u64::MAX, capacity: 4096, nonce }) =
            Line::parse(&line, &names())
        else {
            panic!("the line parses as another kind")
        };
        assert_eq!(nonce, [0xab; 16]);
    }

    proptest! {
        #[test]
        fn questions_and_sums_read_as_they_were_written(
            floor in proptest::option::of(any_update()),
            numbers: [u64; 4],
            small: [u32; 2],
            nodes in proptest::collection::vec(0..NODES_MAX, 0..40),
        ) {
            let names = names();
            let [number, salt, names_hash, within_ms] = numbers;
            let question = Question { number, salt, names: names_hash, within_ms, floor: floor.clone() };
            let line = written(|out| put_question(&question, &names, out));
            let read = Line::parse(&line, &names);
            let Some(Line::Question { number: n, question: Ok(back) }) = read else { panic!("{read:?}") };
            prop_assert_eq!((n, back), (number, question));

            let mut sum = Sum { strangers: small[0], pending: small[1], differs: salt, floor, ..Sum::NONE };
            for (half, factor) in sum.halves.iter_mut().zip(1..) {
                *half = small[0].wrapping_mul(factor);
            }
            for (i, node) in nodes.iter().enumerate() {
                let set = if i % 2 == 0 { &mut sum.answered } else { &mut sum.troubled };
                let node = NodeId::at(*node).expect("within the limit");
                set.add(node);
                let trouble = [Trouble::Down, Trouble::Pending, Trouble::NameInUse][i % 3];
                sum.add_link(LinkTrouble { node, neighbour: node, trouble });
            }
            let line = written(|out| put_sum(number, &sum, &names, out));
            prop_assert!(line.len() + TAG_FIELD_BYTES <= LINK_LINE_BYTES_MAX);
            let read = Line::parse(&line, &names);
            let Some(Line::Sum { number: n, sum: Ok(back) }) = read else { panic!("{read:?}") };
            prop_assert_eq!((n, back), (number, sum));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200), word in "(HELLO|PROOF|U|D|P|Q|R) .{0,40}") {
            let _ = Line::parse(&line, &names());
            let _ = Line::parse(word.as_bytes(), &names());
            let _ = split_tag(&line);
        }
    }

    #[test]
    fn tags_round_trip() {
        let line = written(|out| {
            out.put(b"P 1");
            put_tag(&[0, 1, 2, 3, 4, 5, 6, 0xff], out);
        });
        assert_eq!(line, b"P 1 ~00010203040506ff");
        assert_eq!(split_tag(&line), Some((&b"P 1"[..], [0, 1, 2, 3, 4, 5, 6, 0xff])));
        for wrong in
            [&b""[..], b"P 1", b"P 1 00010203040506ff", b"P 1 ~00010203040506f", b"P 1 ~00010203040506FF"]
        {
            assert_eq!(split_tag(wrong), None);
        }
    }

    #[test]
    fn malformed_lines_are_rejected() {
        for wrong in [
            "",
            "U",
            "U x AT",
            "P",
            "P -1",
            "P 1 2",
            "D 1 00 -",
            "PROOF",
            "PROOF 00",
            "HELLO 1 Hill 1 1",
            "X 1",
            "Q 1 2 -",
            "R 1 0 0 0000000000000000 - - - 0 - -",
            "R 1 0 0 0000000000000000 0 - - 0 00 -",
            "U 4294967296 AT",
        ] {
            assert!(Line::parse(wrong.as_bytes(), &names()).is_none(), "{wrong}");
        }
    }
}
