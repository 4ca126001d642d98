//! A stranger at a link port: it knows the grammar of the lines and no key.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::http::{connected, patient};

/// A connection to a link port, or from a node to one that the test plays.
pub struct Stranger {
    stream: BufReader<TcpStream>,
}

impl Stranger {
    /// Connects to a link port.
    pub fn connect(address: SocketAddr) -> Stranger {
        Stranger { stream: BufReader::new(connected(address)) }
    }

    /// Takes a connection that is there.
    pub fn on(stream: TcpStream) -> Stranger {
        Stranger { stream: BufReader::new(patient(stream)) }
    }

    /// Says bytes; the other end may have gone.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_ref().write_all(bytes.as_ref());
    }

    /// Says hello as this node.
    pub fn say_hello(&mut self, name: &str) {
        self.say(format!("HELLO 1 {name} 7 4096 000102030405060708090a0b0c0d0e0f\n"));
    }

    /// The next line; `None` at the end.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches('\n').to_owned()),
            Err(error) if is_gone(&error) => None,
            Err(error) => panic!("the node neither speaks nor closes: {error}"),
        }
    }

    /// Reads until the node closes the connection, and returns what it sent.
    pub fn until_closed(&mut self) -> String {
        let mut sent = Vec::new();
        match self.stream.read_to_end(&mut sent) {
            Ok(_) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => panic!("the node does not close the connection: {error}"),
        }
        String::from_utf8_lossy(&sent).into_owned()
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

/// A connection that is closed with unread bytes ends by a reset.
fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
