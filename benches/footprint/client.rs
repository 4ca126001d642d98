//! Clients that ask as fast as they are answered, in the herd's protocol or in another that keeps positions.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

/// What a server is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// IAMAT and its line.
    Herd,
    /// `SET` as an inline command, and `+OK`.
    Redis,
    /// PUBLISH with QoS 1, retained, and PUBACK (MQTT 3.1.1, 3.3 and 3.4).
    Mqtt,
}

/// Bytes of a CONNACK, and of a PUBACK.
const MQTT_ANSWER_BYTES: usize = 4;

impl Dialect {
    /// Appends the update of client number `client`, at a time that rises with `tick`, to the nanosecond as clients have it.
    fn update(self, text: &mut Vec<u8>, client: usize, tick: usize) {
        let (id, position) = (format!("client-{client:05}.example.org"), "+34.068930-118.445127");
        let time = format!("{}.{client:09}", 1_600_000_000 + tick);
        match self {
            Dialect::Herd => text.extend(format!("IAMAT {id} {position} {time}\n").into_bytes()),
            Dialect::Redis => text.extend(format!("SET {id} {position}/{time}\r\n").into_bytes()),
            Dialect::Mqtt => {
                let body = [
                    &mqtt_string(&id),
                    // A number of the packet, which must not be 0.
                    &[1, u8::try_from(client % 250).expect("it is small") + 1][..],
                    format!("{position}/{time}").as_bytes(),
                ]
                .concat();
                text.extend([0x33, u8::try_from(body.len()).expect("a short packet")]);
                text.extend(body);
            }
        }
    }
}

fn mqtt_string(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).expect("a short text");
    [&len.to_be_bytes()[..], text.as_bytes()].concat()
}

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    dialect: Dialect,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, dialect: Dialect) -> Client {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).expect("a TCP option");
        let port = stream.local_addr().expect("it is connected").port();
        let mut client = Client { stream: BufReader::new(stream), dialect };
        if dialect == Dialect::Mqtt {
            // Clean session, no keep-alive, and an id of its own (3.1).
            let body = [&mqtt_string("MQTT"), &[4, 2, 0, 0][..], &mqtt_string(&port.to_string())].concat();
            let len = u8::try_from(body.len()).expect("a short packet");
            client.send(&[&[0x10, len][..], &body].concat());
            client.skip(1);
        }
        client
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server is there");
    }

    /// Updates of these clients, in one piece.
    fn updates(&self, clients: Range<usize>, tick: usize) -> Vec<u8> {
        let mut text = Vec::new();
        clients.for_each(|client| self.dialect.update(&mut text, client, tick));
        text
    }

    /// Sends updates of these clients at once, and reads the answers.
    pub(crate) fn update(&mut self, clients: Range<usize>, tick: usize) {
        self.send(&self.updates(clients.clone(), tick));
        self.skip(clients.len());
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        assert!(line.ends_with('\n'), "the server has gone");
        line
    }

    /// Reads `answers` answers and forgets them.
    pub(crate) fn skip(&mut self, answers: usize) {
        if self.dialect == Dialect::Mqtt {
            let mut bytes = vec![0; answers * MQTT_ANSWER_BYTES];
            self.stream.read_exact(&mut bytes).expect("answers");
        } else {
            self.skip_lines(answers);
        }
    }

    fn skip_lines(&mut self, mut lines: usize) {
        while lines > 0 {
            let bytes = self.stream.fill_buf().expect("an answer");
            assert!(!bytes.is_empty(), "the server has gone");
            let mut taken = 0;
            for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
                taken = at + 1;
                lines -= 1;
                if lines == 0 {
                    break;
                }
            }
            let taken = if lines == 0 { taken } else { bytes.len() };
            self.stream.consume(taken);
        }
    }

    /// A WHATSAT: the first line of the answer, the others read and forgotten.
    pub(crate) fn what_is_at(&mut self, id: &str, radius_km: u32, items: u32) -> String {
        self.send(format!("WHATSAT {id} {radius_km} {items}\n").as_bytes());
        let first = self.line();
        if first.starts_with("AT ") {
            while self.line() != "\n" {}
        }
        first
    }

    /// Reads to the end of the connection.
    pub(crate) fn close(mut self) {
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Write);
        if self.dialect == Dialect::Herd {
            let _ = self.stream.read_to_end(&mut Vec::new());
        }
    }
}

/// A load: `rounds` rounds in which each of `clients` clients sends `depth` updates at once and reads the answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) depth: usize,
    pub(crate) rounds: usize,
    /// Before each round: enough for a server that has answered to go to sleep, or nothing.
    pub(crate) pause: Duration,
}

impl Load {
    pub(crate) fn requests(self) -> usize {
        self.clients * self.depth * self.rounds
    }

    /// Carries it out. Microseconds of each round.
    pub(crate) fn run(self, clients: &mut [Client], tick: &mut usize) -> Vec<f64> {
        let mut times = Vec::with_capacity(self.rounds);
        for _ in 0..self.rounds {
            std::thread::sleep(self.pause);
            *tick += 1;
            let updates = |(at, client): (usize, &Client)| {
                client.updates(at * self.depth..(at + 1) * self.depth, *tick)
            };
            let texts: Vec<Vec<u8>> = clients.iter().enumerate().map(updates).collect();
            let started = Instant::now();
            for (client, text) in clients.iter_mut().zip(&texts) {
                client.send(text);
            }
            for client in clients.iter_mut() {
                client.skip(self.depth);
            }
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        times
    }
}
