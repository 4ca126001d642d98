//! A client's bytes: the target sends them through the splitter and a node, and compares the answers with
//! PROTOCOL and a simple table.
//!
//! Input: a line of sizes, each byte the length of a read, cyclically (255 stands for 2,000); then all bytes of
//! the client. Checks: the output equals, byte for byte, the output of the rules and of a table of the newest
//! updates. It does not depend on how the bytes are split. The node answers each line as soon as it is
//! complete. The table respects its capacity.

use std::fmt::Write;

use herd::proto::client::{Piece, Splitter};
use herd::proto::limits::{AGE_S_MAX, ANSWER_BYTES_MAX, CLIENT_LINE_BYTES_MAX};
use herd::proto::node::{Answer, Node, Seed, Setup};
use herd::proto::out::Out;
use herd::proto::quota::QuotaKey;
use herd::proto::time::{Mono, Now, Timestamp};

use crate::grammar::{self, Fix, Request};

/// A small capacity, so that a short input fills the table.
const CAPACITY: usize = 4;
const WALL_NS: i64 = 1_700_000_000_123_456_789;
const NOW: Now = Now { mono: Mono(5_000), wall: Timestamp(WALL_NS), wall_is_trusted: true };
/// The size of a read that is longer than the longest line.
const LONG_READ: usize = 2_000;

/// See the head of the file.
pub fn client_line(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let sizes: Vec<usize> = data[..end]
        .iter()
        .map(|&byte| if byte == u8::MAX { LONG_READ } else { usize::from(byte).max(1) })
        .collect();
    let input = data.get(end + 1..).unwrap_or_default();
    let expected = expected(input);
    let whole = answers(input, &[usize::MAX]);
    assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&expected));
    assert_eq!(whole, expected);
    if !sizes.is_empty() {
        assert!(answers(input, &sizes) == whole, "answers depend on how the input is cut: {sizes:?}");
    }
}

fn node() -> Box<Node<16>> {
    let mut node = Box::new(Node::new());
    let setup = Setup {
        names: &["Hill"],
        me: 0,
        neighbours: &[],
        keys: None,
        secrecy: None,
        capacity: CAPACITY,
        age_s_max: AGE_S_MAX,
        seed: Seed { hash_key: (1, 2), jitter: 3, boot: 4 },
    };
    node.start(&setup).expect("the setup is right");
    node
}

/// The bytes that a server sends back if the input arrives in reads of these sizes.
fn answers(input: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut node = node();
    let (mut splitter, mut held, mut sent) = (Splitter::default(), Vec::new(), Vec::new());
    let mut in_http = false;
    let (mut rest, mut sizes) = (input, sizes.iter().cycle());
    loop {
        let size = (*sizes.next().expect("a cycle")).min(rest.len());
        held.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        while let Some((piece, taken)) = splitter.next(&held, rest.is_empty()) {
            if answer(&mut node, piece, &mut in_http, &mut sent) {
                return sent;
            }
            assert!(node.table().len() <= CAPACITY, "the table respects its capacity");
            held.drain(..taken);
        }
        assert!(
            held.len() <= CLIENT_LINE_BYTES_MAX && !held.contains(&b'\n'),
            "the splitter returns every complete line"
        );
        if rest.is_empty() {
            assert!(held.is_empty(), "the end of input ends the last line");
            return sent;
        }
    }
}

/// Appends the answer to `sent`. Returns whether the connection ends after it, because the line is HTTP.
fn answer(node: &mut Node<16>, piece: Piece, in_http: &mut bool, sent: &mut Vec<u8>) -> bool {
    // The contract of `client_line`: a line over the limit that came in one read needs room for itself.
    let line_bytes = if let Piece::Line(line) = piece { line.len() } else { 0 };
    let mut bytes = vec![0; ANSWER_BYTES_MAX.max(line_bytes + 3)];
    let mut out = Out::new(&mut bytes);
    match piece {
        Piece::Line(line) => match node.client_line(&NOW, QuotaKey::EXEMPT, line, &mut out) {
            answer @ (Answer::Done | Answer::Close) => {
                sent.extend_from_slice(out.written());
                return matches!(answer, Answer::Close);
            }
            Answer::Places(query) => {
                assert!(out.is_empty(), "places give the answer");
                sent.extend_from_slice(&query.at_line);
                sent.extend_from_slice(near(query.radius.metres(), query.items.get()).as_bytes());
            }
        },
        Piece::LongStart(bytes) => {
            *in_http = node.count_long_line(bytes);
            sent.extend_from_slice(b"? ");
            sent.extend_from_slice(bytes);
        }
        Piece::LongMore(bytes) => sent.extend_from_slice(bytes),
        Piece::LongEnd(bytes) => {
            sent.extend_from_slice(bytes);
            sent.push(b'\n');
            return *in_http;
        }
    }
    false
}

/// A substitute for the JSON of an answer.
fn near(radius_m: f64, items: u8) -> String {
    // Rounded to the metre, because the last millimetre does not matter.
    format!("\nnear {radius_m:.0} {items}\n")
}

/// The expected output by the rules.
fn expected(input: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut table: Vec<Fix> = Vec::new();
    let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    // The bytes after the last newline are a line unless they are empty.
    lines.pop_if(|last| last.is_empty());
    for line in lines {
        let at_line = |fix: &Fix| {
            let (client, position, time) = (&fix.client[..], &fix.position[..], &fix.time[..]);
            let skew = fix.skew(WALL_NS);
            [b"AT Hill", skew.as_bytes(), client, position, time].join(&b' ')
        };
        match grammar::read(line, WALL_NS) {
            Some(Request::Iamat(fix)) => {
                sent.extend(at_line(&fix));
                sent.push(b'\n');
                admit(&mut table, fix);
            }
            Some(Request::Whatsat { client, radius_km, items })
                if table.iter().any(|fix| fix.client == client) =>
            {
                let fix = table.iter().find(|fix| fix.client == client).expect("just seen");
                sent.extend(at_line(fix));
                let mut json = String::new();
                write!(json, "{}", near((radius_km * 1_000_000.0).trunc() / 1_000.0, items))
                    .expect("a String");
                sent.extend(json.into_bytes());
            }
            _ => {
                sent.extend([b"? ", line, b"\n"].concat());
                if speaks_http(&line[..line.len().min(CLIENT_LINE_BYTES_MAX)]) {
                    break;
                }
            }
        }
    }
    sent
}

/// Whether a line is HTTP: a method and a blank, a `Host` header, or the version at its end.
fn speaks_http(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let words = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"];
    let is_request = text.split_once(' ').is_some_and(|(first, _)| words.contains(&first));
    let end = text.trim_end_matches(['\t', '\r', '\n', '\x0c', ' ']);
    let mut version = end.chars().rev().skip(1);
    let is_version = " HTTP/1.".chars().rev().all(|wanted| version.next() == Some(wanted));
    is_request || is_version || text.to_ascii_lowercase().starts_with("host:")
}

/// Stores the newest update of each client, and of these the newest ones up to the capacity.
fn admit(table: &mut Vec<Fix>, fix: Fix) {
    if let Some(old) = table.iter_mut().find(|old| old.client == fix.client) {
        if fix.compare(old).is_gt() && !fix.is_repeat(old) {
            *old = fix;
        }
        return;
    }
    table.push(fix);
    if table.len() > CAPACITY {
        let smallest =
            (0..table.len()).min_by(|&a, &b| table[a].compare(&table[b])).expect("the table is full");
        table.remove(smallest);
    }
}
