//! The client side of the protocol: a stream of bytes is split into lines, and a line is parsed as one of two
//! commands.

use super::fields::{ClientId, ClientTime, ItemLimit, Position, Radius, fields};
use super::limits::CLIENT_LINE_BYTES_MAX;

/// A valid command. The node answers any other line with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A client reports its position.
    Iamat {
        /// The client.
        client: ClientId,
        /// Its position.
        position: Position,
        /// Its time.
        time: ClientTime,
    },
    /// A client asks for the places near a client.
    Whatsat {
        /// The client in the centre.
        client: ClientId,
        /// The radius around it.
        radius: Radius,
        /// The largest number of places.
        items: ItemLimit,
    },
}

impl Command {
    /// Reads a line without its LF. `None` for every line that PROTOCOL does not allow.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        if line.len() > CLIENT_LINE_BYTES_MAX {
            return None;
        }
        let mut parts = fields(line);
        let (word, client) = (parts.next()?, parts.next()?);
        let (second, third) = (parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let client = ClientId::parse(client)?;
        match word {
            b"IAMAT" => Some(Command::Iamat {
                client,
                position: Position::parse(second)?,
                time: ClientTime::parse(third)?,
            }),
            b"WHATSAT" => Some(Command::Whatsat {
                client,
                radius: Radius::parse(second)?,
                items: ItemLimit::parse(third)?,
            }),
            _ => None,
        }
    }
}

/// Whether a line that is not a command is the first line of an HTTP request or a Host header, as a browser sends.
///
/// A page of any web site can make a browser connect to a port of the local network. The node would then read
/// the body of the request as commands. The page chooses the address, and never the version behind it.
#[must_use]
pub fn is_http(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    line.ends_with(b" HTTP/2.0")
        || line.split_last().is_some_and(|(_, line)| line.ends_with(b" HTTP/1."))
        || is_host(line)
}

fn is_host(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"host:"))
}

/// Whether a line that exceeds the limit is of HTTP, by its start: the node must decide before it has the end.
/// The methods are from RFC 9110 and RFC 5789 (`PATCH`).
#[must_use]
pub fn is_long_http(start: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH "];
    METHODS.iter().any(|method| start.starts_with(method)) || is_host(start)
}

/// A piece of a client's input. The concatenation of all pieces is the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole line, without its LF.
    Line(&'a [u8]),
    /// The beginning of a line that exceeds the limit. Such a line is invalid whatever follows.
    LongStart(&'a [u8]),
    /// More of such a line.
    LongMore(&'a [u8]),
    /// The end of such a line, without its LF.
    LongEnd(&'a [u8]),
}

/// Splits a stream into lines in constant memory. Its state is one bit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Splitter {
    in_long_line: bool,
}

impl Splitter {
    /// Whether the splitter is inside a line that exceeds the limit.
    #[must_use]
    pub fn is_in_long_line(self) -> bool {
        self.in_long_line
    }

    /// The first piece of `input`, and how many bytes it and its LF take.
    ///
    /// `None` if more input is needed: `input` is then shorter than the longest line, and the caller passes it
    /// again together with the next bytes. `ended` means that no more input follows; the end of input then ends
    /// the last line.
    pub fn next<'a>(&mut self, input: &'a [u8], ended: bool) -> Option<(Piece<'a>, usize)> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let (bytes, taken, whole) = match end {
            Some(end) => (&input[..end], end + 1, true),
            None => (input, input.len(), ended),
        };
        let was_long = self.in_long_line;
        let is_long = was_long || bytes.len() > CLIENT_LINE_BYTES_MAX;
        let nothing_left = input.is_empty() && !(ended && was_long);
        if nothing_left || !(whole || is_long) {
            return None;
        }
        self.in_long_line = is_long && !whole;
        let piece = match (was_long, whole) {
            (false, true) => Piece::Line(bytes),
            (false, false) => Piece::LongStart(bytes),
            (true, false) => Piece::LongMore(bytes),
            (true, true) => Piece::LongEnd(bytes),
        };
        Some((piece, taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_http_are_known() {
        for line in
            ["GET / HTTP/1.1\r", "POST /?0 HTTP/1.1\r", "PRI * HTTP/2.0\r", "host: a", "BREW /pot HTTP/1.0"]
        {
            assert!(is_http(line.as_bytes()), "{line}");
        }
        for line in ["", "GET", "PUT kiwi", "hosts: a", "WHATSAT HTTP/1. 1", "AT x HTTP/2"] {
            assert!(!is_http(line.as_bytes()), "{line}");
        }
        for (line, is_long) in
            [("GET /x", true), ("host: a", true), ("get /x", false), ("GETTING there", false)]
        {
            assert_eq!(is_long_http(line.as_bytes()), is_long, "{line}");
        }
    }

    #[test]
    fn commands_are_two_and_strict() {
        let valid = [
            "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503",
            " \t IAMAT\x0bkiwi\x0c+34-118 \r 0 \r",
            "WHATSAT kiwi 10 5",
            "WHATSAT kiwi 0 0",
        ];
        for line in valid {
            assert!(Command::parse(line.as_bytes()).is_some(), "{line:?}");
        }
        let invalid = [
            "",
            " ",
            "IAMAT",
            "IAMAT kiwi +34-118",
            "IAMAT kiwi +34-118 0 0",
            "iamat kiwi +34-118 0",
            "WHATSAT kiwi 10",
            "WHATSAT kiwi 51 5",
            "WHATSAT kiwi 10 21",
            "WHATSAT kiwi 10 5.0",
            "AT Hill +0.000000000 kiwi +34-118 0",
            "IAMAT\u{a0}kiwi +34-118 0",
            "IAMAT kiwi\x1c+34-118 0 ",
            "\u{feff}IAMAT kiwi +34-118 0",
            "IAMAT kiwi +34-118 0\0",
        ];
        for line in invalid {
            assert_eq!(Command::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    /// The pieces that the splitter returns if `input` arrives in pieces of `sizes`, as a server receives it.
    fn split(input: &[u8], sizes: &[usize]) -> Vec<(char, Vec<u8>)> {
        let (mut splitter, mut held, mut pieces) = (Splitter::default(), Vec::new(), Vec::new());
        let (mut rest, mut sizes) = (input, sizes.iter().cycle());
        loop {
            let n = (*sizes.next().expect("a cycle")).min(rest.len());
            held.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
            while let Some((piece, taken)) = splitter.next(&held, rest.is_empty()) {
                pieces.push(match piece {
                    Piece::Line(bytes) => ('l', bytes.to_vec()),
                    Piece::LongStart(bytes) => ('s', bytes.to_vec()),
                    Piece::LongMore(bytes) => ('m', bytes.to_vec()),
                    Piece::LongEnd(bytes) => ('e', bytes.to_vec()),
                });
                held.drain(..taken);
            }
            assert!(held.len() <= CLIENT_LINE_BYTES_MAX, "constant memory");
            if rest.is_empty() {
                assert!(held.is_empty());
                return pieces;
            }
        }
    }

    /// Joins the pieces of long lines. The answer must not depend on how the bytes were split.
    fn lines(pieces: &[(char, Vec<u8>)]) -> Vec<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for (kind, bytes) in pieces {
            match kind {
                'l' | 's' => lines.push(bytes.clone()),
                _ => lines.last_mut().expect("a long line has a start").extend_from_slice(bytes),
            }
        }
        lines
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces(
            input in proptest::collection::vec(prop_oneof![Just(1_usize), Just(3), Just(1023), Just(1024), Just(1025), Just(3000)], 0..5),
            ended_by_newline: bool,
            sizes in proptest::collection::vec(1..2000_usize, 1..6),
        ) {
            let expected: Vec<Vec<u8>> = input.iter().map(|&n| vec![b'x'; n]).collect();
            let mut bytes = expected.join(&b'\n');
            if ended_by_newline && !bytes.is_empty() { bytes.push(b'\n'); }
            prop_assert_eq!(lines(&split(&bytes, &sizes)), expected);
        }
    }

    #[test]
    fn blank_lines_count_and_an_empty_end_does_not() {
        assert_eq!(lines(&split(b"\n\na\n", &[1])), [&b""[..], b"", b"a"]);
        assert_eq!(lines(&split(b"", &[1])), Vec::<Vec<u8>>::new());
        assert_eq!(lines(&split(b"a", &[9])), [b"a"]);
    }
}
