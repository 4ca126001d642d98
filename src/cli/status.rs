//! `herd status`: asks nodes on this machine how they are, over their control sockets.
//!
//! A node writes the answer down itself, so that this and a node of another release understand each other.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Failure;
use crate::config::{did_you_mean, quoted};
use crate::server::control::{self, Request};

/// How much longer than a node may take its answer is waited for.
const PATIENCE: Duration = Duration::from_millis(2_000);
/// The longest answer that is taken, in bytes: a node writes some 4 KB.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Prints the status of the node of this name, or of all nodes that run on this machine.
pub(super) fn run(name: Option<&str>, request: Request, out: &mut dyn Write) -> Result<(), Failure> {
    let answers = name.map_or_else(|| all(request), |name| ask(name, request))?;
    out.write_all(answers.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        // The reader of a pipe has seen enough.
        ErrorKind::BrokenPipe => Failure::Told,
        _ => Failure::CouldNotRun(format!("status: standard output: {error}")),
    })?;
    // The exit status is for scripts: what was printed says why.
    if !request.is_of_herd() || Request::says_in_sync(&answers) { Ok(()) } else { Err(Failure::Told) }
}

/// All nodes that run on this machine.
fn all(request: Request) -> Result<String, Failure> {
    let mut answers = String::new();
    for name in control::names() {
        // One that was killed leaves its socket.
        if let Some(answer) = running(&name).and_then(|stream| exchange(stream, request).ok()) {
            answers += &answer;
            if request.is_of_herd() {
                // Any node speaks for all.
                break;
            }
        }
    }
    if answers.is_empty() {
        let remedy =
            "start one with: herd serve NAME, or all with: herd up; another user's nodes answer root";
        return Err(Failure::CouldNotRun(format!("status: no node answers on this machine ({remedy})")));
    }
    Ok(answers)
}

fn ask(name: &str, request: Request) -> Result<String, Failure> {
    let (mut denied, mut last) = (false, None);
    for path in sockets(name) {
        match UnixStream::connect(&path).and_then(|stream| exchange(stream, request)) {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                denied |= error.kind() == ErrorKind::PermissionDenied;
                last = Some((path, error));
            }
        }
    }
    let names = control::names();
    let near = did_you_mean(name, names.iter().map(String::as_str));
    let remedy = match () {
        () if denied => "its control socket is for its user and root: try sudo".to_owned(),
        () if !near.is_empty() => near,
        () => "start it with: herd serve NAME; without a NAME all nodes of this machine are asked".to_owned(),
    };
    let why = last.map(|(path, error)| format!(": {}: {error}", path.display())).unwrap_or_default();
    Err(Failure::CouldNotRun(format!("status: {} does not answer{why} ({remedy})", quoted(name))))
}

fn running(name: &str) -> Option<UnixStream> {
    control::paths(name).into_iter().find_map(|path| UnixStream::connect(path).ok())
}

/// Where to ask: a name may be a path to a socket, too.
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
