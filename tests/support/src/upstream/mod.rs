//! A small HTTP and HTTPS server on loopback that gives the answers of the test, good or bad. One thread a connection; all of
//! them end with the server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

pub mod asking;
pub mod tls;
pub mod tunnel;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers with this status, these further header lines and this body.
    Answer(u16, &'static str, Vec<u8>),
    /// As [`Act::Answer`] with 200, after so long.
    Late(Duration, Vec<u8>),
    /// Answers one request of a connection with 200, and ends the connection instead of a second answer.
    Once(Vec<u8>),
    /// Answers in chunks of seven bytes.
    Chunked(Vec<u8>),
    /// Reads the request and says nothing until the server ends.
    HangBeforeHead,
    /// Sends the head and half of the body, then nothing until the server ends.
    HangInBody(Vec<u8>),
    /// Sends a byte of the body every so often, for ever.
    Drip(Duration),
    /// Sends a byte of the head every so often, for ever.
    DripHead(Duration),
    /// Sends the first bytes, then the others over and over, as fast as they are taken.
    Flood(&'static str, &'static str),
    /// Closes the connection without a word.
    CloseAtOnce,
    /// Closes it in the middle of the body.
    CloseInBody(Vec<u8>),
    /// Sends these bytes as they are, and closes.
    Raw(&'static [u8]),
    /// Sends these bytes before any request, then a zero every so often, or nothing until the client ends the connection.
    Unasked(&'static [u8], Option<Duration>),
}

/// An answer of 200.
pub fn ok(body: impl Into<Vec<u8>>) -> Act {
    status(200, body)
}

/// An answer of this status.
pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Act {
    Act::Answer(status, "", body.into())
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The request line and the header lines, as one text.
    pub head: String,
    /// What follows the head.
    pub body: Vec<u8>,
}

impl Request {
    /// What it asks for.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("")
    }

    /// The value of a header line.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

struct Shared {
    act: Mutex<Act>,
    seen: Mutex<Vec<Request>>,
    /// Connections that are open, to be closed when the server ends.
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    /// Requests that are being answered, and the most of them that ever were.
    at_once: AtomicUsize,
    at_once_max: AtomicUsize,
    is_over: AtomicBool,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Shared {
    fn act(&self) -> Act {
        self.act.lock().expect("no panics").clone()
    }
}

/// A server on a free port of 127.0.0.1.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server over plain HTTP.
    pub fn start(act: Act) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), act, None)
    }

    /// Starts a server over HTTPS.
    pub fn start_tls(act: Act, tls: rustls::ServerConfig) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), act, Some(Arc::new(tls)))
    }

    /// At an address of [`free_addresses`](crate::free_addresses), which no other program is given.
    pub fn start_at(address: SocketAddr, act: Act) -> Self {
        Self::on(TcpListener::bind(address).expect("the port is held for it"), act, None)
    }

    fn on(listener: TcpListener, act: Act, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            act: Mutex::new(act),
            seen: Mutex::default(),
            open: Mutex::default(),
            connections: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            at_once_max: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            tls,
        });
        let for_acceptor = Arc::clone(&shared);
        let acceptor = spawn(move || accept(&listener, &for_acceptor));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`, and a path such as Google's.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/maps/api/place/nearbysearch/json", self.address)
    }

    /// From now on it does this.
    pub fn act(&self, act: Act) {
        *self.shared.act.lock().expect("no panics") = act;
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().expect("no panics").clone()
    }

    /// The most requests that were being answered at the same moment.
    pub fn at_once_max(&self) -> usize {
        self.shared.at_once_max.load(Ordering::Acquire)
    }

    /// The connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        if shared.is_over.load(Ordering::Acquire) {
            break;
        }
        let Ok(stream) = stream else { continue };
        shared.connections.fetch_add(1, Ordering::AcqRel);
        shared.open.lock().expect("no panics").extend(stream.try_clone());
        let shared = Arc::clone(shared);
        threads.push(spawn(move || serve(stream, &shared)));
    }
    for stream in shared.open.lock().expect("no panics").drain(..) {
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    // The server holds a copy of it, so dropping it closes nothing.
    let closer = stream.try_clone();
    // Whatever goes wrong here is what the client wanted to see.
    let _ = match &shared.tls {
        None => talk(stream, shared),
        Some(tls) => rustls::ServerConnection::new(Arc::clone(tls))
            .map_err(io::Error::other)
            .and_then(|connection| talk(rustls::StreamOwned::new(connection, stream), shared)),
    };
    let _ = closer.and_then(|stream| stream.shutdown(std::net::Shutdown::Both));
}

fn talk(stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    if let act @ Act::Unasked(..) = shared.act() {
        return misbehave(act, stream.get_mut(), shared);
    }
    let mut is_first = true;
    while let Some(request) = read_request(&mut stream)? {
        shared.seen.lock().expect("no panics").push(request);
        let act = match shared.act() {
            Act::Once(body) if is_first => ok(body),
            act => act,
        };
        is_first = false;
        let at_once = shared.at_once.fetch_add(1, Ordering::AcqRel) + 1;
        shared.at_once_max.fetch_max(at_once, Ordering::AcqRel);
        let goes_on = perform(act, stream.get_mut(), shared);
        shared.at_once.fetch_sub(1, Ordering::AcqRel);
        if !goes_on? {
            return Ok(());
        }
    }
    Ok(())
}

fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut request = Request::default();
    loop {
        let before = request.head.len();
        if stream.read_line(&mut request.head)? == 0 {
            return Ok(None);
        }
        if request.head[before..].trim().is_empty() {
            break;
        }
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// Whether the connection goes on.
fn perform(act: Act, stream: &mut (impl Read + Write), shared: &Shared) -> io::Result<bool> {
    match act {
        Act::Answer(status, more, body) => {
            let head = head(status, more, body.len());
            send(stream, &[head.as_bytes(), &body].concat())?;
            Ok(true)
        }
        Act::Late(after, body) => {
            std::thread::sleep(after);
            perform(ok(body), stream, shared)
        }
        Act::Chunked(body) => {
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for part in body.chunks(7) {
                answer.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                answer.extend_from_slice(part);
                answer.extend_from_slice(b"\r\n");
            }
            answer.extend_from_slice(b"0\r\n\r\n");
            send(stream, &answer)?;
            Ok(true)
        }
        _ => misbehave(act, stream, shared).map(|()| false),
    }
}

fn head(status: u16, more: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n"
    )
}

/// The acts after which the connection is of no more use.
fn misbehave(act: Act, stream: &mut (impl Read + Write), shared: &Shared) -> io::Result<()> {
    match act {
        Act::Answer(..) | Act::Late(..) | Act::Once(_) | Act::Chunked(_) | Act::CloseAtOnce => {}
        Act::HangBeforeHead => hang(stream)?,
        Act::HangInBody(body) => {
            send_half(stream, &body)?;
            hang(stream)?;
        }
        Act::Drip(every) => {
            stream.write_all(head(200, "", 200_000).as_bytes())?;
            drip(b" ", every, stream, shared)?;
        }
        Act::DripHead(every) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
            drip(b"x", every, stream, shared)?;
        }
        Act::Flood(first, then) => {
            stream.write_all(first.as_bytes())?;
            drip(then.as_bytes(), Duration::ZERO, stream, shared)?;
        }
        Act::CloseInBody(body) => send_half(stream, &body)?,
        Act::Raw(bytes) => send(stream, bytes)?,
        Act::Unasked(bytes, every) => {
            send(stream, bytes)?;
            match every {
                Some(every) => drip(&[0], every, stream, shared)?,
                None => hang(stream)?,
            }
        }
    }
    Ok(())
}

fn send(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// Sends a head and half of the body that it announces.
fn send_half(stream: &mut impl Write, body: &[u8]) -> io::Result<()> {
    send(stream, &[head(200, "", body.len()).as_bytes(), &body[..body.len() / 2]].concat())
}

/// Sends the bytes every so often until the client or the server ends the connection.
fn drip(bytes: &[u8], every: Duration, stream: &mut impl Write, shared: &Shared) -> io::Result<()> {
    while !shared.is_over.load(Ordering::Acquire) {
        send(stream, bytes)?;
        std::thread::sleep(every);
    }
    Ok(())
}

/// Until the client or the server ends the connection.
fn hang(stream: &mut impl Read) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(|_| ())
}
