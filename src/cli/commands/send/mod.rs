//! `herd send`: a client of the herd.
//!
//! Sends and reads at the same time. A node stops reading from a client that does not read, so sending everything first
//! could block for ever. Blocking sockets and two threads are enough, since this process has no other work.

mod answers;
mod explain;
#[cfg(feature = "tools")]
mod newer;

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "tools")]
use super::status;
use super::terminal::for_terminal;
use crate::cli::Failure;
use crate::cli::flags::parse::SendOptions;
use crate::config::{self, Config, Endpoint, did_you_mean, quoted};
use crate::threads::spawn;
use answers::{Answer, Answers, Sent};

/// How often the reading thread checks a silent connection.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The node to send to without `--to` and without a configuration.
const DEFAULT_NODE: &str = "Hill";

/// The port of a host that is given without one: the first of the built-in configuration.
const DEFAULT_CLIENT_PORT: u16 = 8001;

/// The most answers `?` that are explained one by one.
const EXPLAINED_MAX: usize = 20;

/// The stack of the thread that sends, as address space.
const SENDER_STACK_BYTES: usize = 256 * 1024;

const PROMPT: &str = "herd> ";

/// Sends the lines, or standard input if there are none, and copies the answers to `out`.
pub(in crate::cli) fn run(options: &SendOptions, out: &mut dyn Write) -> Result<(), Failure> {
    let addresses = addresses(options.to.as_deref(), options.config.as_deref())?;
    let (stream, address) = connect(&addresses, options.timeout)?;
    let is_on_this_machine =
        address.ip().is_loopback() || stream.local_addr().is_ok_and(|own| own.ip() == address.ip());
    let lines: Vec<Vec<u8>> = options.lines.iter().map(|line| line.as_bytes().to_vec()).collect();
    let is_asking = lines.is_empty() && io::stdin().is_terminal() && io::stderr().is_terminal();
    let input: Box<dyn Read + Send> = if lines.is_empty() {
        Box::new(io::stdin())
    } else {
        Box::new(io::Cursor::new(joined(&options.lines)))
    };
    let on_terminal = io::stdout().is_terminal();
    let mut err = io::stderr();
    let mut notes = Notes::new(is_asking, on_terminal, &mut err);
    if is_asking {
        notes.say("IAMAT ID POSITION TIME, or WHATSAT ID RADIUS ITEMS; Ctrl-D ends");
        notes.prompt();
    }
    exchange(stream, input, out, options.timeout, &mut notes)
        .map_err(|message| Failure::CouldNotRun(format!("send: {address}: {message}")))?;
    if is_on_this_machine {
        notes.name_newer();
    }
    if notes.rejected == 0 {
        return Ok(());
    }
    if notes.rejected > EXPLAINED_MAX {
        let more = notes.rejected - EXPLAINED_MAX;
        notes.say(&format!("the node did not take {more} more"));
    }
    if explain::is_unquoted(&lines) {
        notes.say("the command is one argument: quote it");
    }
    Err(Failure::Rejected)
}

/// Messages to the user beside the answers.
struct Notes<'a> {
    /// Answers `?` so far.
    rejected: usize,
    /// A person types the commands.
    is_asking: bool,
    /// The answers go to a terminal.
    on_terminal: bool,
    #[cfg(feature = "tools")]
    answered: newer::Answered,
    err: &'a mut dyn Write,
}

impl<'a> Notes<'a> {
    fn new(is_asking: bool, on_terminal: bool, err: &'a mut dyn Write) -> Self {
        Notes {
            rejected: 0,
            is_asking,
            on_terminal,
            #[cfg(feature = "tools")]
            answered: newer::Answered::default(),
            err,
        }
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(self.err, "herd send: {text}");
    }

    fn prompt(&mut self) {
        let _ = write!(self.err, "{PROMPT}").and_then(|()| self.err.flush());
    }

    fn take(&mut self, answer: Answer<'_>) {
        match answer {
            Answer::Rejected(line) => self.reject(line),
            #[cfg(feature = "tools")]
            Answer::At(line) => self.answered.push(line),
        }
    }

    /// Names the updates that are not stored.
    fn name_newer(&mut self) {
        #[cfg(feature = "tools")]
        for note in self.answered.notes() {
            self.say(&note);
        }
    }

    fn reject(&mut self, line: &[u8]) {
        self.rejected += 1;
        if self.rejected <= EXPLAINED_MAX || self.is_asking {
            self.say(&explain::explain(line));
        }
    }
}

/// The lines as bytes, each followed by a line feed.
fn joined(lines: &[OsString]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"]).flatten().copied().collect()
}

/// Tries the addresses in turn. Returns the connection and the address that it is to.
fn connect(addresses: &[SocketAddr], timeout: Duration) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, timeout) {
            Ok(stream) => return Ok((stream, *address)),
            Err(error) => last = Some((address, error)),
        }
    }
    let (address, error) = last.unwrap_or_else(|| unreachable!("a host has an address, or it is not found"));
    let why = described(&error, timeout);
    let remedy = "is the herd running? start it with: herd up";
    Err(Failure::CouldNotRun(format!("send: cannot connect to {address}: {why} ({remedy})")))
}

/// The addresses that `--to` and `--config` select. Checks only the configuration's text: a client often cannot read the
/// herd's key.
fn addresses(to: Option<&str>, file: Option<&Path>) -> Result<Vec<SocketAddr>, Failure> {
    if let Some(address) = to.and_then(numeric) {
        return Ok(vec![address]);
    }
    let config = file.map_or_else(config::builtin, Config::read);
    for finding in config.text_findings() {
        let _ = writeln!(io::stderr(), "{finding}");
    }
    let first = if file.is_none() { Some(DEFAULT_NODE) } else { config.names().next() };
    let Some(name) = to.or(first) else {
        return Err(Failure::CouldNotRun("send: the configuration lists no nodes".to_owned()));
    };
    match config.client_address(name) {
        Some(Endpoint::Address(address)) => return Ok(vec![address]),
        Some(Endpoint::Name(host)) => {
            return resolved(&host).map_err(|error| {
                let remedy = "give the node's address with --to";
                Failure::CouldNotRun(format!(
                    "send: cannot look up {host}, where {name} is: {error} ({remedy})"
                ))
            });
        }
        None => {}
    }
    let near = did_you_mean(name, config.names());
    let could_be_host = !name.is_empty() && (near.is_empty() || name.contains(['.', ':']));
    if could_be_host && let Ok(addresses) = resolved(name) {
        return Ok(addresses);
    }
    let remedy = if near.is_empty() {
        "give the name of a node, or a host or address, with or without a port".to_owned()
    } else {
        near
    };
    let name = quoted(name);
    Err(Failure::Usage(format!("herd send: --to {name} is unknown ({remedy}); see: herd send --help")))
}

/// An address in figures, with or without a port.
fn numeric(to: &str) -> Option<SocketAddr> {
    let bare = to.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(to);
    let with_default = |ip: IpAddr| SocketAddr::new(ip, DEFAULT_CLIENT_PORT);
    to.parse().ok().or_else(|| bare.parse().ok().map(with_default))
}

/// The addresses of a host, `hill.local` or `hill.local:8001`.
fn resolved(host: &str) -> io::Result<Vec<SocketAddr>> {
    let found = match host.rsplit_once(':') {
        Some(_) => host.to_socket_addrs()?,
        None => (host, DEFAULT_CLIENT_PORT).to_socket_addrs()?,
    };
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok(found) }
}

/// The text of an error; for a timeout, the limit.
fn described(error: &io::Error, limit: Duration) -> String {
    if is_time_out(error) { format!("no answer within {}", span(limit)) } else { error.to_string() }
}

/// A float would bring 16 KB of code for its digits into the small program.
fn span(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// What the sending thread shares with the reading thread.
#[derive(Default)]
struct Shared {
    sent: Sent,
    sending: Sending,
}

#[derive(Default)]
enum Sending {
    /// More input may follow: a user may be typing.
    #[default]
    Open,
    /// All input is sent.
    Done,
    Failed(String),
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the input and shuts down the sending side. Copies answers until the node closes the connection.
fn exchange(
    stream: TcpStream,
    input: Box<dyn Read + Send>,
    out: &mut dyn Write,
    timeout: Duration,
    notes: &mut Notes<'_>,
) -> Result<(), String> {
    let set_up = || {
        stream.set_read_timeout(Some(LOOK_EVERY.min(timeout)))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.try_clone()
    };
    let for_sender = set_up().map_err(|error| error.to_string())?;
    let shared = Arc::new(Mutex::new(Shared::default()));
    let of_sender = shared.clone();
    // Not joined: the thread may wait for standard input for ever. It ends with the process.
    let run = move || {
        if let Err(error) = send_all(for_sender, input, &of_sender) {
            lock(&of_sender).sending = Sending::Failed(if is_time_out(&error) {
                format!("the node read no input for {}", span(timeout))
            } else {
                format!("while sending: {error}")
            });
        }
    };
    spawn("sender", SENDER_STACK_BYTES, Box::new(run)).map_err(|error| error.to_string())?;
    receive(stream, out, timeout, &shared, notes)
}

fn send_all(
    mut stream: TcpStream,
    mut input: Box<dyn Read + Send>,
    shared: &Mutex<Shared>,
) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let count = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // Before the node can answer.
        lock(shared).sent.push(&chunk[..count]);
        stream.write_all(&chunk[..count])?;
    }
    {
        // Before the node can see the end and close.
        let mut shared = lock(shared);
        shared.sent.end();
        shared.sending = Sending::Done;
    }
    match stream.shutdown(Shutdown::Write) {
        // The node closed the connection first.
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

fn receive(
    mut stream: TcpStream,
    out: &mut dyn Write,
    timeout: Duration,
    shared: &Mutex<Shared>,
    notes: &mut Notes<'_>,
) -> Result<(), String> {
    let mut answers = Answers::default();
    let mut quiet_since = Instant::now();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return at_end(&lock(shared)),
            Ok(count) => {
                quiet_since = Instant::now();
                let written = out
                    .write_all(&for_terminal(&chunk[..count], notes.on_terminal))
                    .and_then(|()| out.flush());
                match written {
                    // `herd send | head -1`: the user has seen enough.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                    written => written.map_err(|error| format!("output: {error}"))?,
                }
                let mut shared = lock(shared);
                answers.push(&chunk[..count], &mut shared.sent, &mut |answer| notes.take(answer));
                if notes.is_asking && shared.sent.unanswered() == 0 {
                    notes.prompt();
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_time_out(&error) => {
                let shared = lock(shared);
                if let Sending::Failed(message) = &shared.sending {
                    return Err(message.clone());
                }
                // Typing may take any time. The node owes an answer, and its end after the end of the input.
                let is_owed = shared.sent.unanswered() > 0 || matches!(shared.sending, Sending::Done);
                if !is_owed {
                    quiet_since = Instant::now();
                } else if quiet_since.elapsed() >= timeout {
                    return Err(format!("{}{}", described(&error, timeout), unanswered(&shared.sent)));
                }
            }
            Err(_) => return at_end(&lock(shared)),
        }
    }
}

/// What the end of the connection means.
fn at_end(shared: &Shared) -> Result<(), String> {
    let unanswered = unanswered(&shared.sent);
    match &shared.sending {
        _ if !unanswered.is_empty() => Err(format!("the node closed the connection{unanswered}")),
        Sending::Done => Ok(()),
        Sending::Open => Err("the node closed the connection before the input ended".to_owned()),
        Sending::Failed(message) => Err(message.clone()),
    }
}

/// ` with 1 of 3 lines unanswered`; empty if all lines are answered.
fn unanswered(sent: &Sent) -> String {
    match (sent.unanswered(), sent.lines()) {
        (0, _) => String::new(),
        (1, 1) => " with the line unanswered".to_owned(),
        (unanswered, lines) => format!(" with {unanswered} of {lines} lines unanswered"),
    }
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
