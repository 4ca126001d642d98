//! Requests over HTTP, byte for byte, and crowds that make them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// A connection, whose reads and writes fail after [`PATIENCE`].
pub fn connected(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}")))
}

/// This connection, whose reads and writes fail after [`PATIENCE`].
pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("the limit is not zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("the limit is not zero");
    stream
}

/// A connection on which these bytes were sent.
pub fn opened(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connected(address);
    stream.write_all(bytes).expect("the node reads all");
    stream
}

/// So many connections, with these bytes sent on each.
pub fn crowd(address: SocketAddr, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    (0..count).map(|_| opened(address, bytes)).collect()
}

/// The answer on a connection: its head and its body.
pub fn answer(mut stream: TcpStream) -> (String, String) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the node closes in order");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.to_owned(), body.to_owned())
}

/// The answer to these bytes: its head and its body.
pub fn ask(address: SocketAddr, request: &[u8]) -> (String, String) {
    answer(opened(address, request))
}
