//! A node's control socket: serves its status to the board's users. The client port does not.
//!
//! Per-node status is served on a Unix socket that only the node's user and root can open. Its folder exists until the next
//! boot: systemd's RuntimeDirectory, `$XDG_RUNTIME_DIR/herd/NAME`, `/run/user/UID/herd/NAME`, or root's `/run/herd/NAME`. No
//! folder is used that another user can prepare, such as one in /tmp: a socket of his would get the requests and answer them.
//! A node that cannot create the socket logs a warning and runs without.
//!
//! A caller sends one line and reads to the end. The node answers a few callers at a time, each in bounded time, so they
//! can use little of its memory and time. Independent of the runtime.

mod serve;

pub(crate) use serve::serve;

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use log::warn;

use super::herd_status::INQUIRY_MS_MAX;
use super::http::HTTP_MS_MAX;

/// The longest request, in bytes, with its line end. A longer one is not valid.
pub const REQUEST_BYTES_MAX: usize = 32;
/// Callers that are answered at the same time. Further ones wait in the kernel's queue.
pub const CONTROLS_MAX: usize = 4;
/// The time limit for sending the request, in milliseconds, and again for reading the answer.
pub const CONTROL_MS_MAX: u64 = 2_000;

const SOCKET: &str = "control";

/// The folder of the nodes that systemd or root runs. Only root can prepare it.
const SYSTEM_BASE: &str = "/run/herd";

/// The requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The node's status as text: links, sizes, and what was refused or failed.
    Text,
    /// The same with all counters and zeros.
    Verbose,
    /// The node's status as JSON.
    Json,
    /// Whether the herd is in sync, as text: the first words answer.
    HerdText,
    /// The same as JSON: the first member answers.
    HerdJson,
    /// All nodes of the herd with their facts, as JSON.
    Nodes,
    /// All clients as JSON, as HTTP's `/clients`.
    Clients,
    /// The event stream: [`events`](super::events).
    Watch,
}

impl Request {
    /// All of them in their order, and the line that asks for each.
    const ALL: [(Request, &'static str); 8] = [
        (Request::Text, "status text"),
        (Request::Verbose, "status verbose"),
        (Request::Json, "status json"),
        (Request::HerdText, "herd text"),
        (Request::HerdJson, "herd json"),
        (Request::Nodes, "nodes"),
        (Request::Clients, "clients"),
        (Request::Watch, "watch"),
    ];

    /// Whether it is about the herd, which takes longer.
    #[must_use]
    pub fn is_of_herd(self) -> bool {
        matches!(self, Request::HerdText | Request::HerdJson | Request::Nodes)
    }

    /// The time limit of this request, in milliseconds.
    #[must_use]
    pub fn ms_max(self) -> u64 {
        match self {
            _ if self.is_of_herd() => CONTROL_MS_MAX + INQUIRY_MS_MAX,
            // Its turn may come late.
            Request::Clients => CONTROL_MS_MAX + HTTP_MS_MAX,
            _ => CONTROL_MS_MAX,
        }
    }

    /// Whether an answer to a request about the herd says that it is in sync.
    #[must_use]
    pub fn says_in_sync(answer: &str) -> bool {
        answer.starts_with("in sync") || answer.starts_with("{\"in_sync\":true")
    }

    /// The line that asks for it, without its end.
    #[must_use]
    pub fn word(self) -> &'static str {
        Request::ALL[self as usize].1
    }

    /// Reads a request, with its line end. `None` for anything else.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n")?;
        Request::ALL.iter().find(|(_, word)| word.as_bytes() == line).map(|(request, _)| *request)
    }
}

/// The answer to [`Request::Clients`] while another list is read slowly.
pub const BUSY: &str = "busy\n";

/// The socket of a node, removed when this goes.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
}

impl Control {
    /// Creates the socket of the node of this name; logs a warning on failure.
    #[must_use]
    pub fn listen(name: &str) -> Option<(Self, UnixListener)> {
        let folder = own_folder(name)?;
        match bind(&folder) {
            Ok((path, listener)) => Some((Control { path }, listener)),
            Err(error) => {
                warn!(
                    "no control socket, so herd status cannot reach this node: {}: {error}",
                    folder.join(SOCKET).display()
                );
                None
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Where a node of this name makes its socket.
fn own_folder(name: &str) -> Option<PathBuf> {
    // systemd gives a folder to each unit, and a unit is a node.
    let given = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute());
    given.or_else(|| own_bases().into_iter().next().map(|base| base.join(name)))
}

/// The folders of this user, the one that a node uses first.
fn own_bases() -> Vec<PathBuf> {
    let user = rustix::process::getuid();
    // Empty or relative counts as unset (XDG Base Directory Specification).
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|base| base.is_absolute());
    let of_user = PathBuf::from(format!("/run/user/{}", user.as_raw()));
    let is_own = fs::symlink_metadata(&of_user).is_ok_and(|folder| folder.uid() == user.as_raw());
    let users = [given, (is_own && !user.is_root()).then_some(of_user)];
    let mut bases: Vec<PathBuf> = users.into_iter().flatten().map(|base| base.join("herd")).collect();
    if user.is_root() {
        bases.push(PathBuf::from(SYSTEM_BASE));
    }
    bases.dedup();
    bases
}

/// The folders that hold a folder for each node. Root finds the nodes of all users.
fn bases() -> Vec<PathBuf> {
    let mut bases = own_bases();
    bases.push(PathBuf::from(SYSTEM_BASE));
    if rustix::process::getuid().is_root() {
        let users = fs::read_dir("/run/user").into_iter().flatten().flatten();
        bases.extend(users.map(|user| user.path().join("herd")));
    }
    let mut seen = std::collections::BTreeSet::new();
    bases.retain(|base| seen.insert(base.clone()));
    bases
}

/// Connects to a control socket. It refuses the socket of another user, with four exceptions: this user, root, the owner of a
/// folder in `SYSTEM_BASE`, which only root can make, and for root the user whose folder it is.
///
/// # Errors
/// All errors of the connection; `PermissionDenied` for another user's socket.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    let (peer, me) = (peer_uid(&stream)?, rustix::process::geteuid().as_raw());
    let owner = || fs::symlink_metadata(path.parent().unwrap_or(path)).map(|folder| folder.uid());
    let is_known = peer == me || peer == 0 || path.starts_with(SYSTEM_BASE) || (me == 0 && owner()? == peer);
    if is_known {
        Ok(stream)
    } else {
        let message = format!("user {peer} listens there");
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    }
}

/// The user at the other end of a socket.
#[cfg(target_os = "linux")]
fn peer_uid(stream: &impl std::os::fd::AsFd) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// Elsewhere the rights of the folder alone decide.
#[cfg(not(target_os = "linux"))]
fn peer_uid(_: &impl std::os::fd::AsFd) -> io::Result<u32> {
    Ok(rustix::process::geteuid().as_raw())
}

/// Whether the node answers the caller at the other end: its own user, and root.
pub(crate) fn is_allowed(stream: &impl std::os::fd::AsFd) -> bool {
    peer_uid(stream).is_ok_and(|peer| peer == 0 || peer == rustix::process::geteuid().as_raw())
}

/// Where the node of this name may be found, if it runs.
#[must_use]
pub fn paths(name: &str) -> Vec<PathBuf> {
    bases().into_iter().map(|base| base.join(name).join(SOCKET)).collect()
}

/// The nodes on this machine that could be asked, by name.
#[must_use]
pub fn names() -> Vec<String> {
    let folders = bases().into_iter().filter_map(|base| fs::read_dir(base).ok()).flatten().flatten();
    let with_socket = folders.filter(|folder| folder.path().join(SOCKET).exists());
    let mut names: Vec<String> =
        with_socket.filter_map(|folder| folder.file_name().into_string().ok()).collect();
    names.sort();
    names.dedup();
    names
}

fn bind(folder: &Path) -> io::Result<(PathBuf, UnixListener)> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Another user could have created a folder in /tmp, to get the requests.
    let owner = fs::symlink_metadata(folder)?.uid();
    if owner != rustix::process::getuid().as_raw() && std::env::var_os("RUNTIME_DIRECTORY").is_none() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder belongs to another user"));
    }
    let path = folder.join(SOCKET);
    if UnixStream::connect(&path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another node of this name listens there"));
    }
    // A killed node leaves its socket behind.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok((path, listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_requests_are_parsed() {
        for (request, word) in Request::ALL {
            assert_eq!(request.word(), word);
            let line = format!("{word}\n");
            assert!(line.len() <= REQUEST_BYTES_MAX);
            assert_eq!(Request::parse(line.as_bytes()), Some(request));
        }
        for wrong in ["", "\n", "status", "status text", "status text \n", "GET / HTTP/1.1\r\n"] {
            assert_eq!(Request::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_socket_that_was_left_is_taken_over_and_one_in_use_is_not() {
        let folder = std::env::temp_dir().join(format!("herd-control-{}", std::process::id()));
        let (path, listener) = bind(&folder).expect("the socket is free");
        assert_eq!(bind(&folder).map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse));
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        drop(listener);
        assert!(path.exists(), "a node that was killed removes nothing");
        let (path, _listener) = bind(&folder).expect("the old socket is replaced");
        drop(Control { path: path.clone() });
        assert!(!path.exists());
        fs::remove_dir(&folder).expect("it is empty");
    }
}
