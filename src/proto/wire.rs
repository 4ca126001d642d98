//! The lines between nodes: their grammar, their parser and their writer.
//!
//! ```text
//! HELLO 1 <name> <boot> <capacity> <nonce>   the first line of both ends
//! NO config                                  the last line to an end that is not a neighbour in this node's configuration
//! PROOF <mac> [<mac>]                        one MAC for each key; every later line ends in " ~<tag>"
//! U <age_s> AT <origin> <skew> <client> <position> <time>
//! U <age_s> <rank> AT <origin> …             an update whose origin's clock was not trusted
//! D <round> <hashes> -                       a digest: 64 hashes of 16 hex digits, without blanks
//! D <round> <hashes> AT <origin> …           a digest with a floor, which has the form of an update
//! P <n>                                      a ping or its echo
//! Q <number> <salt> <config> <ms> <facts> <floor>   a census question to the whole herd; <facts> is 1 or 0
//! F <number> <node> <up_s> <clients> <pending> <kb> <version>   the facts of a node, if the question asks for them
//! R <number> <strangers> <pending> <differs> <answered> <troubled> <links> <more> <halves> <floor>
//! ```
//!
//! The Fs of a sum come before its R. `<node>` is the node's place in the sorted list of names. `<version>` has at
//! most 16 characters.
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
use super::facts::{Facts, Version};
use super::limits::{DIGEST_BUCKETS, NONCE_BYTES, TAG_FIELD_BYTES};
use super::names::{Names, NodeId};
use super::out::{Out, read_hex};
use super::update::{AtLineError, Update, UpdateRef};

/// The version of this grammar, in every HELLO.
pub const VERSION: u64 = 1;

/// The line that an end gets whose HELLO does not name the expected neighbour. It is not authenticated, so the node uses it
/// for logs and status only.
pub const REFUSAL: &[u8] = b"NO config";

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
    /// The facts of a node that has answered a census.
    Facts {
        /// The number of the census.
        number: u64,
        /// The node.
        node: NodeId,
        /// Its facts.
        facts: Facts,
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
            b"F" => parse_facts(rest),
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

/// Splits at the first blanks: so many fields, and the rest.
fn split_fields<const COUNT: usize>(mut rest: &[u8]) -> Option<([&[u8]; COUNT], &[u8])> {
    let mut fields = [&[][..]; COUNT];
    for field in &mut fields {
        (*field, rest) = split(rest)?;
    }
    Some((fields, rest))
}

fn hex<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    read_hex(digits, &mut bytes).map(|()| bytes)
}

fn number(field: &[u8]) -> Option<u64> {
    let digits = !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    if digits { u64::try_from(value_of(field)).ok() } else { None }
}

fn parse_hello(rest: &[u8]) -> Option<Line<'_>> {
    let ([version, name, boot, capacity], nonce) = split_fields(rest)?;
    let nonce = hex(nonce)?;
    let capacity = u32::try_from(number(capacity)?).ok()?;
    Some(Line::Hello { version: number(version)?, name, boot: number(boot)?, capacity, nonce })
}

fn parse_proof(rest: &[u8]) -> Option<Line<'_>> {
    let mut proofs = heapless::Vec::new();
    for field in rest.split(|&byte| byte == b' ') {
        proofs.push(hex(field)?).ok()?;
    }
    Some(Line::Proof(proofs))
}

fn parse_digest<'a>(rest: &[u8], names: &Names) -> Option<Line<'a>> {
    let ([round, hashes], floor) = split_fields(rest)?;
    if hashes.len() != DIGEST_BUCKETS * 16 {
        return None;
    }
    let mut buckets = [0; DIGEST_BUCKETS];
    for (bucket, digits) in buckets.iter_mut().zip(hashes.chunks_exact(16)) {
        *bucket = u64::from_be_bytes(hex(digits)?);
    }
    Some(Line::Digest { round: number(round)?, buckets, floor: parse_floor(floor, names) })
}

fn parse_floor(field: &[u8], names: &Names) -> Result<Option<Update>, AtLineError> {
    if field == b"-" { Ok(None) } else { Update::parse_ranked_line(field, names).map(Some) }
}

fn parse_question<'a>(rest: &[u8], names: &Names) -> Option<Line<'a>> {
    let ([census, salt, config, within_ms, facts], floor) = split_fields(rest)?;
    let (census, salt) = (number(census)?, number(salt)?);
    let (config, within_ms) = (number(config)?, number(within_ms)?);
    let facts = match facts {
        b"1" => true,
        b"0" => false,
        _ => return None,
    };
    let question = |floor| Question { number: census, salt, config, within_ms, facts, floor };
    Some(Line::Question { number: census, question: parse_floor(floor, names).map(question) })
}

fn parse_facts<'a>(rest: &[u8]) -> Option<Line<'a>> {
    let ([census, fields @ ..], version): ([&[u8]; 6], _) = split_fields(rest)?;
    let mut numbers = [0; 5];
    for (number_read, field) in numbers.iter_mut().zip(fields) {
        *number_read = u32::try_from(number(field)?).ok()?;
    }
    let [node, up_s, clients, pending, private_kb] = numbers;
    let node = NodeId::at(usize::try_from(node).ok()?)?;
    let facts = Facts { version: Version::parse(version)?, up_s, clients, pending, private_kb };
    Some(Line::Facts { number: number(census)?, node, facts })
}

fn parse_sum<'a>(rest: &[u8], names: &Names) -> Option<Line<'a>> {
    let (fields, floor) = split_fields(rest)?;
    let [census, strangers, pending, differs, answered, troubled, links, more, halves] = fields;
    let mut sum = Sum {
        strangers: u32::try_from(number(strangers)?).ok()?,
        pending: u32::try_from(number(pending)?).ok()?,
        ..Sum::NONE
    };
    read_links(links, &mut sum)?;
    sum.links_left_out = u32::try_from(number(more)?).ok()?;
    sum.differs = u64::from_be_bytes(hex(differs)?);
    read_set(answered, &mut sum.answered)?;
    read_set(troubled, &mut sum.troubled)?;
    if halves.len() != DIGEST_BUCKETS * 8 {
        return None;
    }
    for (half, digits) in sum.halves.iter_mut().zip(halves.chunks_exact(8)) {
        *half = u32::from_be_bytes(hex(digits)?);
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
        let bytes: [u8; 4] = hex(&field[..8])?;
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
            out.put_hex(&node.number().to_be_bytes());
        }
        out.put_byte(link.trouble.letter());
    }
}

/// Splits a line and its tag. `None` if the line has no valid tag field.
#[must_use]
pub fn split_tag(line: &[u8]) -> Option<(&[u8], [u8; TAG_BYTES])> {
    let (line, field) = line.split_at_checked(line.len().checked_sub(TAG_FIELD_BYTES)?)?;
    Some((line, hex(field.strip_prefix(b" ~")?)?))
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
    let Question { number, salt, config, within_ms, facts, .. } = *question;
    for number in [number, salt, config, within_ms, u64::from(facts)] {
        out.put_u128(u128::from(number));
        out.put_byte(b' ');
    }
    put_floor(question.floor.as_ref(), names, out);
}

/// Appends an F.
pub fn put_facts(census: u64, node: NodeId, facts: &Facts, out: &mut Out) {
    let Facts { version, up_s, clients, pending, private_kb } = facts;
    out.put(b"F ");
    let small = [u32::from(node.number()), *up_s, *clients, *pending, *private_kb];
    for number in [census].into_iter().chain(small.map(u64::from)) {
        out.put_u128(u128::from(number));
        out.put_byte(b' ');
    }
    let version = version.text();
    out.put(if version.is_empty() { b"-" } else { version.as_bytes() });
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
#[path = "wire_tests.rs"]
mod tests;
