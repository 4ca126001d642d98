//! `herd status`: requests the status of nodes on this machine, over their control sockets.
//!
//! The node formats the answer, so this program and a node of another release understand each other.

use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::terminal::for_terminal;
use crate::cli::{Failure, write};
use crate::config::{did_you_mean, quoted};
use crate::server::control::{self, Request};

/// How much longer to wait than a node may take for its answer.
const PATIENCE: Duration = Duration::from_millis(2_000);
/// The longest answer, in bytes. A status has about 4 KB, a list of 32,768 clients 7 MB.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Prints the status of the node of this name, or of all nodes that run on this machine.
pub(in crate::cli) fn run(name: Option<&str>, request: Request, out: &mut dyn Write) -> Result<(), Failure> {
    let answers = answer(name, request)?;
    write(out, &for_terminal(answers.as_bytes(), io::stdout().is_terminal()))?;
    // The exit status is for scripts; the output has the reasons.
    if !request.is_of_herd() || Request::says_in_sync(&answers) { Ok(()) } else { Err(Failure::Reported) }
}

/// The answer of the node of this name, or of the nodes of this machine.
pub(super) fn answer(name: Option<&str>, request: Request) -> Result<String, Failure> {
    name.map_or_else(|| all(request), |name| ask(name, request))
}

/// All nodes that run on this machine.
fn all(request: Request) -> Result<String, Failure> {
    let mut answers = String::new();
    for name in control::names() {
        // A killed node leaves its socket behind.
        if let Some(answer) = running(&name).and_then(|stream| exchange(stream, request).ok()) {
            answers += &answer;
            if request.is_of_herd() || request == Request::Clients {
                // One node answers for the whole herd.
                break;
            }
        }
    }
    if answers.is_empty() {
        let remedy =
            "start one with: herd serve NAME, or all with: herd up; only root can ask other users' nodes";
        return Err(Failure::CouldNotRun(format!("status: no node answers on this machine ({remedy})")));
    }
    Ok(answers)
}

fn ask(name: &str, request: Request) -> Result<String, Failure> {
    let (mut denied, mut silent, mut refused, mut last) = (false, false, false, None);
    for path in sockets(name) {
        match control::connect(&path).and_then(|stream| exchange(stream, request)) {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                denied |= error.kind() == ErrorKind::PermissionDenied;
                // A read that reached its time limit.
                silent |= matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                // A node that was killed leaves its socket behind.
                refused |= error.kind() == ErrorKind::ConnectionRefused;
                last = Some((path, error));
            }
        }
    }
    // A node that was killed leaves its socket behind, and is not offered.
    let names: Vec<String> = control::names().into_iter().filter(|name| running(name).is_some()).collect();
    if silent {
        // A path names a socket, not a unit.
        let remedy = match name.contains('/') {
            true => "restart its process".to_owned(),
            false => format!("restart it, such as: systemctl restart herd@{name}"),
        };
        let message = format!("{} does not answer: its process is stopped or hangs ({remedy})", quoted(name));
        return Err(Failure::CouldNotRun(format!("status: {message}")));
    }
    if refused && !denied {
        let start = if name.contains('/') { "NAME" } else { name };
        let message = format!("{} is not running (start it with: herd serve {start})", quoted(name));
        return Err(Failure::CouldNotRun(format!("status: {message}")));
    }
    let near = did_you_mean(name, names.iter().map(String::as_str).filter(|known| *known != name));
    let remedy = match () {
        () if denied => "only the node's user and root can open its control socket: use sudo".to_owned(),
        () if !near.is_empty() => near,
        () if names.is_empty() => format!("no node runs on this machine; start it with: herd serve {name}"),
        () => format!("the nodes on this machine: {}", names.join(", ")),
    };
    let why = last.map(|(path, error)| format!(": {}: {error}", path.display()));
    // A socket that is not there says nothing that its name does not.
    let why = why.filter(|_| denied || name.contains('/')).unwrap_or_default();
    Err(Failure::CouldNotRun(format!("status: {} does not answer{why} ({remedy})", quoted(name))))
}

fn running(name: &str) -> Option<UnixStream> {
    control::paths(name).into_iter().find_map(|path| control::connect(&path).ok())
}

/// The sockets to try. A name with a slash is the path of a socket.
fn sockets(name: &str) -> Vec<PathBuf> {
    if name.contains('/') { vec![Path::new(name).to_path_buf()] } else { control::paths(name) }
}

fn exchange(mut stream: UnixStream, request: Request) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE + Duration::from_millis(request.ms_max())))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", request.word()).as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    if answer.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}
