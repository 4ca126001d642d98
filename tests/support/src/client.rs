//! A client of the herd, as PROTOCOL.md has it, that reads exactly what it is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::http::connected;

/// A connection to a node's client port.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects; a node that does not answer fails the test.
    pub fn connect(address: SocketAddr) -> Client {
        let stream = connected(address);
        stream.set_nodelay(true).expect("the socket is open");
        Client { stream: BufReader::new(stream) }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_ref().write_all(bytes.as_ref()).expect("the node reads");
    }

    /// One line of an answer, with its newline; what there is at the end of input.
    pub fn raw_line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("the node answers");
        line
    }

    /// Fills these bytes.
    pub fn read_exact(&mut self, bytes: &mut [u8]) {
        self.stream.read_exact(bytes).expect("the node answers");
    }

    /// One line of an answer, without its newline.
    pub fn line(&mut self) -> Vec<u8> {
        let mut line = self.raw_line();
        assert_eq!(line.pop(), Some(b'\n'), "a whole line is pending, and the connection ended");
        line
    }

    /// Sends a line and reads the one line that answers it.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        String::from_utf8(self.line()).expect("the command was UTF-8")
    }

    /// The rest of a WHATSAT's answer after its AT line, up to and without the two newlines that end it.
    pub fn json(&mut self) -> String {
        let mut text = Vec::new();
        loop {
            let line = self.raw_line();
            assert_eq!(line.last(), Some(&b'\n'), "the answer is cut short: {}", text.escape_ascii());
            if line == b"\n" {
                assert_eq!(text.pop(), Some(b'\n'), "JSON stands before the blank line");
                return String::from_utf8(text).expect("JSON is UTF-8");
            }
            text.extend_from_slice(&line);
        }
    }

    /// Sends a WHATSAT and reads its whole answer: the AT line and the JSON, or the copy of the line and nothing.
    pub fn whatsat(&mut self, line: &str) -> (String, String) {
        let first = self.ask(line);
        let json = if first.starts_with("? ") { String::new() } else { self.json() };
        (first, json)
    }

    /// Says that no more will come.
    pub fn half_close(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Reads to the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the node ends the connection in order");
        rest
    }

    /// Whether the node has closed the connection, in order or not; waits for it to do so.
    pub fn is_closed_by_node(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

/// Sends everything on one connection while it reads, half-closes it, and gives all that came back.
pub fn exchange(address: SocketAddr, input: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(address);
    let socket = client.socket().try_clone().expect("descriptors are left");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            (&socket).write_all(input).expect("the node reads");
            socket.shutdown(Shutdown::Write).expect("the connection is open");
        });
        client.rest()
    })
}
