use core::iter;

use proptest::prelude::*;

use super::*;
use crate::noise::record::RECORD_BYTES_MAX;

/// A node of a test: its secrets, its neighbours, and one connection.
struct End {
    pair: KeyPair,
    keys: Keys,
    neighbours: Vec<PublicKey>,
    connection: Connection,
    /// Bytes of the other end that are not a whole message yet.
    input: Vec<u8>,
    /// Bytes for the other end.
    output: Vec<u8>,
    seen: Vec<String>,
}

fn fresh(seed: u8) -> Fresh {
    Fresh { ephemeral: Secret::new([seed; 32]), filler: [seed; NONCE_BYTES] }
}

impl End {
    fn new(seed: u8, neighbours: &[u8]) -> Self {
        End {
            pair: KeyPair::new([seed; 32]),
            keys: Keys::new([7; 32], None),
            neighbours: neighbours.iter().map(|&seed| *KeyPair::new([seed; 32]).public()).collect(),
            connection: Connection::accept(fresh(seed + 100)),
            input: Vec::new(),
            output: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn dialling(mut self, fresh: Fresh) -> Self {
        let mut bytes = [0; 1];
        self.connection = Connection::dial(self.neighbours[0], fresh, &mut Out::new(&mut bytes));
        self.output.extend(bytes);
        self
    }

    /// Takes all whole messages. The server does the same.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.input.extend(bytes);
        while let Some(length) = self.connection.message_bytes(&self.input)?
            && length <= self.input.len()
        {
            let mut message: Vec<u8> = self.input.drain(..length).collect();
            let us = Identity { pair: &self.pair, keys: &self.keys };
            let mut answer = [0; INTRODUCTION_BYTES];
            let mut out = Out::new(&mut answer);
            let taken = self.connection.take(&mut message, us, self.neighbours.iter(), &mut out);
            self.output.extend(out.written());
            self.seen.push(match taken? {
                Taken::Line(line) => String::from_utf8_lossy(line).into_owned(),
                other => format!("{other:?}"),
            });
        }
        Ok(())
    }

    fn send(&mut self, line: &str) {
        let mut bytes = [0; RECORD_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        self.connection.seal(line.as_bytes(), &mut out);
        self.output.extend(out.written());
    }
}

/// Carries bytes both ways, at most `piece` at a time, until both ends wait.
fn carry(dialler: &mut End, acceptor: &mut End, piece: usize) -> Result<(), Refused> {
    while !dialler.output.is_empty() || !acceptor.output.is_empty() {
        let piece_of =
            |end: &mut End| -> Vec<u8> { end.output.drain(..piece.min(end.output.len())).collect() };
        acceptor.take(&piece_of(dialler))?;
        dialler.take(&piece_of(acceptor))?;
    }
    Ok(())
}

fn pair() -> (End, End) {
    (End::new(1, &[2]).dialling(fresh(101)), End::new(2, &[3, 1, 4]))
}

#[test]
fn a_link_in_pieces_of_any_size() {
    for piece in [1, 2, 7, 16, 79, 80, 81, 5_000] {
        let (mut dialler, mut acceptor) = pair();
        carry(&mut dialler, &mut acceptor, piece).expect("neighbours");
        assert_eq!(dialler.seen, ["Step", "Authenticated"]);
        assert_eq!(acceptor.seen, ["Step", "Introduced { candidate: 1 }"]);
        assert!(dialler.connection.is_open() && !acceptor.connection.is_open());
        assert!(dialler.connection.digest_secret().is_some());
        assert_eq!(dialler.connection.digest_secret(), acceptor.connection.digest_secret());
        dialler.send("HELLO");
        carry(&mut dialler, &mut acceptor, piece).expect("a line");
        assert!(acceptor.connection.is_open());
        for line in ["HELLO", "P 1", ""] {
            acceptor.send(line);
        }
        dialler.send("P 2");
        carry(&mut dialler, &mut acceptor, piece).expect("lines");
        assert_eq!(dialler.seen[2..], ["HELLO", "P 1", ""]);
        assert_eq!(acceptor.seen[2..], ["HELLO", "P 2"]);
    }
}

/// What the acceptor makes of these bytes. It has one connection for them.
fn accepted(bytes: &[u8]) -> (Result<(), Refused>, End) {
    let (_, mut acceptor) = pair();
    let result = acceptor.take(bytes);
    (result, acceptor)
}

/// The bytes of a dialler up to its second line.
fn dialled() -> Vec<u8> {
    let (mut dialler, mut acceptor) = pair();
    let mut bytes = Vec::new();
    for step in 0..4 {
        if step == 3 {
            dialler.send("HELLO");
            dialler.send("P 1");
        }
        let sent = mem::take(&mut dialler.output);
        acceptor.take(&sent).expect("a neighbour");
        dialler.take(&mem::take(&mut acceptor.output)).expect("a neighbour");
        bytes.extend(sent);
    }
    assert_eq!(acceptor.seen[2..], ["HELLO", "P 1"]);
    bytes
}

#[test]
fn a_truncated_connection_never_shows_another_line() {
    let bytes = dialled();
    for length in 0..bytes.len() {
        let (result, acceptor) = accepted(&bytes[..length]);
        assert_eq!(result, Ok(()), "it waits for more");
        let whole = ["Step", "Introduced { candidate: 1 }", "HELLO"];
        assert_eq!(acceptor.seen, whole[..acceptor.seen.len()], "{length} bytes");
    }
}

#[test]
fn a_changed_byte_ends_the_connection() {
    let bytes = dialled();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let (result, mut acceptor) = accepted(&changed);
        let seen = acceptor.seen.len();
        assert!(result.is_err(), "byte {at}");
        assert!(seen < 4, "byte {at}");
        // An end stays an end.
        assert!(acceptor.take(&bytes).is_err());
        assert_eq!((acceptor.seen.len(), acceptor.connection.is_open()), (seen, false));
    }
}

#[test]
fn a_recorded_connection_cannot_be_replayed() {
    let bytes = dialled();
    let (_, mut acceptor) = pair();
    acceptor.connection = Connection::accept(fresh(50));
    assert_eq!(acceptor.take(&bytes), Err(Refused::Stranger));
    assert_eq!(acceptor.seen, ["Step"]);
}

#[test]
fn strangers_and_other_protocols_are_refused() {
    let (result, acceptor) = accepted(b"HELLO 1 Hill");
    assert_eq!(result, Err(Refused::Protocol));
    assert_eq!(acceptor.output, []);
    let bytes: Vec<u8> = iter::once(FIRST_BYTE).chain([9; INTRODUCTION_BYTES]).collect();
    let (result, acceptor) = accepted(&bytes);
    assert_eq!(result, Err(Refused::Stranger));
    assert_eq!(acceptor.output.len(), NONCE_BYTES, "no answer");
    // A node that is not a neighbour, and a neighbour with another key of the herd.
    for (seed, key) in [(5, 7), (1, 8)] {
        let mut dialler = End::new(seed, &[2]).dialling(fresh(101));
        dialler.keys = Keys::new([key; 32], None);
        let (_, mut acceptor) = pair();
        assert_eq!(carry(&mut dialler, &mut acceptor, 100), Err(Refused::Stranger));
        assert_eq!(dialler.seen, ["Step"]);
    }
    // A dialler that expects another node.
    let (_, mut acceptor) = pair();
    let mut dialler = End::new(1, &[3]).dialling(fresh(101));
    assert_eq!(carry(&mut dialler, &mut acceptor, 100), Err(Refused::Stranger));
}

#[test]
fn a_revoked_key_is_refused() {
    let (mut dialler, mut acceptor) = pair();
    acceptor.neighbours.remove(1);
    assert_eq!(carry(&mut dialler, &mut acceptor, 100), Err(Refused::Stranger));
}

#[test]
fn the_state_is_small() {
    // Two of them, and the name and times of a session, are a link's share of memory.
    assert!(size_of::<Connection>() <= 256, "{} bytes", size_of::<Connection>());
}

#[test]
fn secrets_do_not_show() {
    let (dialler, acceptor) = pair();
    let shown = format!("{:?} {:?}", dialler.connection, acceptor.connection);
    assert!(shown.contains("Secret") && !shown.contains("ephemeral: ["), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any bytes in any order, from a neighbour or a stranger: no panic, and no line that was not sent.
    #[test]
    fn any_bytes(noise in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400, drops in 0_usize..50) {
        let mut bytes = dialled();
        let at = at.min(bytes.len());
        let end = (at + drops).min(bytes.len());
        let removed: Vec<u8> = bytes.splice(at..end, noise.iter().copied()).collect();
        prop_assume!(removed != noise);
        let (_, mut acceptor) = accepted(&bytes);
        let _ = acceptor.take(&noise);
        prop_assert!(acceptor.seen.iter().skip(2).zip(["HELLO", "P 1"]).all(|(seen, sent)| seen == sent));
        prop_assert!(acceptor.seen.len() <= 4);
        let mut dialler = pair().0;
        let _ = dialler.take(&noise);
        prop_assert!(!dialler.connection.is_open());
    }
}
