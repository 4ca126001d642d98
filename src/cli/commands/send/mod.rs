//! `herd send`: a client of the herd.
//!
//! Sends and reads at the same time. A node stops reading from a client that does not read, so sending everything first
//! could block for ever. Blocking sockets and two threads are enough, since this process has no other work.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::Failure;
use crate::config::{self, Config, did_you_mean, quoted};

/// The time limit of a connection attempt. In a network of boards it takes milliseconds or fails.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// How long a node may be silent while an answer is due: several times the 8 s limit of places.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// How often the reading thread checks a silent connection.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The node to send to without `--to` and without a configuration.
const DEFAULT_NODE: &str = "Hill";

/// Sends the lines, or standard input if there are none, and copies the answers to `out`.
pub(in crate::cli) fn run(
    to: Option<&str>,
    config: Option<&Path>,
    lines: &[OsString],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let address = address(to, config)?;
    let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT).map_err(|error| {
        Failure::CouldNotRun(format!(
            "send: cannot connect to {address}: {} (is the herd running? start it with: herd up)",
            described(&error, CONNECT_LIMIT)
        ))
    })?;
    let input: Box<dyn Read + Send> =
        if lines.is_empty() { Box::new(io::stdin()) } else { Box::new(io::Cursor::new(joined(lines))) };
    exchange(stream, input, out, SILENCE_LIMIT)
        .map_err(|message| Failure::CouldNotRun(format!("send: {address}: {message}")))
}

/// The lines as bytes, each followed by a line feed.
fn joined(lines: &[OsString]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"]).flatten().copied().collect()
}

/// The address that `--to` and `--config` select. Checks only the configuration's text: a client often cannot read the
/// herd's key.
fn address(to: Option<&str>, file: Option<&Path>) -> Result<SocketAddr, Failure> {
    if let Some(address) = to.and_then(|to| to.parse().ok()) {
        return Ok(address);
    }
    let config = file.map_or_else(config::builtin, Config::read);
    for finding in config.text_findings() {
        let _ = writeln!(io::stderr(), "{finding}");
    }
    let first = if file.is_none() { Some(DEFAULT_NODE) } else { config.names().next() };
    let Some(name) = to.or(first) else {
        return Err(Failure::CouldNotRun("send: the configuration lists no nodes".to_owned()));
    };
    config.client_address(name).ok_or_else(|| {
        let near = did_you_mean(name, config.names());
        let remedy = if near.is_empty() {
            "give an address with a port, or the name of a node".to_owned()
        } else {
            near
        };
        Failure::Usage(format!(
            "herd send: --to {} is unknown ({remedy}); see: herd send --help",
            quoted(name)
        ))
    })
}

/// The text of an error; for a timeout, the limit.
fn described(error: &io::Error, limit: Duration) -> String {
    if is_time_out(error) { format!("no answer within {} s", limit.as_secs()) } else { error.to_string() }
}

fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// The state that the sending thread shares with the reading thread.
enum Sending {
    /// More input may follow: a user may be typing, so silence is not an error.
    Open,
    /// All input is sent, since this time.
    Done(Instant),
    Failed(String),
}

/// Sends the input and shuts down the sending side. Copies answers until the node closes the connection.
fn exchange(
    stream: TcpStream,
    input: Box<dyn Read + Send>,
    out: &mut dyn Write,
    silence_limit: Duration,
) -> Result<(), String> {
    let set_up = || {
        stream.set_read_timeout(Some(LOOK_EVERY.min(silence_limit)))?;
        stream.set_write_timeout(Some(silence_limit))?;
        stream.try_clone()
    };
    let for_sender = set_up().map_err(|error| error.to_string())?;
    let sending = Arc::new(Mutex::new(Sending::Open));
    let of_sender = sending.clone();
    // Not joined: the thread may wait for standard input for ever. It ends with the process.
    thread::spawn(move || {
        let state = send_all(for_sender, input, silence_limit);
        *of_sender.lock().unwrap_or_else(PoisonError::into_inner) = state;
    });
    receive(stream, out, silence_limit, &sending)
}

fn send_all(mut stream: TcpStream, mut input: Box<dyn Read + Send>, limit: Duration) -> Sending {
    let sent = io::copy(&mut input, &mut stream).and_then(|_| match stream.shutdown(Shutdown::Write) {
        // The node closed the connection first.
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
        result => result,
    });
    match sent {
        Ok(()) => Sending::Done(Instant::now()),
        Err(error) if is_time_out(&error) => {
            Sending::Failed(format!("the node read no input for {} s", limit.as_secs()))
        }
        Err(error) => Sending::Failed(format!("while sending: {error}")),
    }
}

fn receive(
    mut stream: TcpStream,
    out: &mut dyn Write,
    silence_limit: Duration,
    sending: &Mutex<Sending>,
) -> Result<(), String> {
    let mut last_read = Instant::now();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk);
        let mut sending = sending.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(0) => {
                let state = std::mem::replace(&mut *sending, Sending::Open);
                return if let Sending::Failed(message) = state { Err(message) } else { Ok(()) };
            }
            Ok(count) => {
                last_read = Instant::now();
                drop(sending);
                out.write_all(&chunk[..count])
                    .and_then(|()| out.flush())
                    .map_err(|error| format!("output: {error}"))?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_time_out(&error) => match &*sending {
                Sending::Open => {}
                Sending::Failed(message) => return Err(message.clone()),
                Sending::Done(when) if last_read.max(*when).elapsed() < silence_limit => {}
                Sending::Done(_) => return Err(described(&error, silence_limit)),
            },
            Err(error) => return Err(format!("while reading: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A connection and the thread of its other end.
    fn connected(node: impl FnOnce(TcpStream) + Send + 'static) -> (TcpStream, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let thread = thread::spawn(move || node(listener.accept().expect("a client comes").0));
        (TcpStream::connect(address).expect("the listener is there"), thread)
    }

    #[test]
    fn more_is_sent_than_any_buffer_holds_and_all_comes_back() {
        let (stream, node) = connected(|stream| {
            let (mut from, mut to) = (&stream, &stream);
            io::copy(&mut from, &mut to).expect("the client reads");
        });
        let bytes: Vec<u8> = (0..16_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
        let mut out = Vec::new();
        exchange(stream, Box::new(io::Cursor::new(bytes.clone())), &mut out, SILENCE_LIMIT)
            .expect("all goes well");
        assert!(out == bytes);
        node.join().expect("the node ended well");
    }

    #[test]
    fn a_silent_node_times_out() {
        let (stream, node) = connected(|mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).expect("the client sends");
            // Sends no answer and holds the connection until the client closes it.
            let _ = stream.read(&mut [0]);
            thread::sleep(Duration::from_millis(200));
        });
        let mut out = Vec::new();
        let outcome = exchange(stream, Box::new(&b"x\n"[..]), &mut out, Duration::from_millis(50));
        assert_eq!(outcome, Err("no answer within 0 s".to_owned()));
        node.join().expect("the node ended well");
    }

    #[test]
    fn an_address_is_found_by_number_by_name_or_by_default() {
        for (to, expected) in
            [(None, "127.0.0.1:8001"), (Some("Campbell"), "127.0.0.1:8005"), (Some("[::1]:7"), "[::1]:7")]
        {
            assert_eq!(address(to, None).ok(), expected.parse().ok(), "{to:?}");
        }
        let Err(Failure::Usage(message)) = address(Some("Hil"), None) else { panic!("an unknown node") };
        assert_eq!(
            message,
            "herd send: --to \"Hil\" is unknown (did you mean \"Hill\"?); see: herd send --help"
        );
    }

    #[test]
    fn lines_are_sent_as_they_are() {
        use std::os::unix::ffi::OsStringExt;
        let lines = vec![OsString::from("a  b"), OsString::from_vec(vec![0xff, b'c'])];
        assert_eq!(joined(&lines), b"a  b\n\xffc\n");
    }
}
