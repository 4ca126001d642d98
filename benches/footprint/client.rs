//! Clients that ask as fast as they are answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).expect("a TCP option");
        Client(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("the node is there");
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        assert!(line.ends_with('\n'), "the node has gone");
        line
    }

    /// Reads `lines` lines and forgets them.
    pub(crate) fn skip(&mut self, mut lines: usize) {
        while lines > 0 {
            let bytes = self.0.fill_buf().expect("an answer");
            assert!(!bytes.is_empty(), "the node has gone");
            let mut taken = 0;
            for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
                taken = at + 1;
                lines -= 1;
                if lines == 0 {
                    break;
                }
            }
            let taken = if lines == 0 { taken } else { bytes.len() };
            self.0.consume(taken);
        }
    }

    /// A WHATSAT for no places: the first line of the answer.
    pub(crate) fn where_is(&mut self, id: &str) -> String {
        self.send(&format!("WHATSAT {id} 0 0\n"));
        let first = self.line();
        if first.starts_with("AT ") {
            while self.line() != "\n" {}
        }
        first
    }

    /// Reads to the end of the connection.
    pub(crate) fn close(mut self) {
        let _ = self.0.get_ref().shutdown(std::net::Shutdown::Write);
        let _ = self.0.read_to_end(&mut Vec::new());
    }
}

/// `IAMAT` of a client, at a time that rises with `tick`.
pub(crate) fn iamat(client: usize, tick: usize) -> String {
    format!("IAMAT client-{client:05}.example.org +34.068930-118.445127 {}.5\n", 1_600_000_000 + tick)
}

/// `rounds` rounds in which each client sends `depth` reports at once and reads the answers. Microseconds of each round.
pub(crate) fn ask(clients: &mut [Client], depth: usize, rounds: usize, tick: &mut usize) -> Vec<f64> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        *tick += 1;
        let lines: Vec<String> = (0..clients.len())
            .map(|client| (0..depth).map(|i| iamat(client * depth + i, *tick)).collect())
            .collect();
        let started = Instant::now();
        for (client, lines) in clients.iter_mut().zip(&lines) {
            client.send(lines);
        }
        for client in clients.iter_mut() {
            client.skip(depth);
        }
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    times
}
