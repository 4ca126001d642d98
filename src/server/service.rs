//! Messages to the service manager, by sd_notify(3). Without a service manager they have no effect.
//!
//! The service manager also stores the listeners between two starts of the node (FDSTORE, sd_pid_notify_with_fds(3)). A
//! client that connects in between waits in the queue of the listener and is not refused.
//!
//! The module does not wait. A runtime calls [`Service::tick`] once in [`Service::every`], from the loop that serves
//! clients, so the watchdog detects a loop that hangs.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use listenfd::ListenFd;
use log::warn;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, sendmsg_addr, socket_with,
};
use rustix::time::{ClockId, clock_gettime};

use super::limits::STATUS_EVERY_MS;

/// The name of the client listener, in the configuration and for the service manager.
pub const CLIENTS: &str = "clients";
/// See [`CLIENTS`].
pub const LINKS: &str = "links";
/// See [`CLIENTS`].
pub const PHONES: &str = "phones";

/// The shortest time between two messages of the watchdog. A service manager that wants them more often is in error, and would
/// take the node's time from its clients.
const WATCHDOG_FLOOR: Duration = Duration::from_millis(100);

/// Has the service manager close the listeners that it stores.
pub fn let_go() {
    Service::of_this_process().keep_none(&[CLIENTS, LINKS, PHONES]);
}

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Service {
    is_there: bool,
    watchdog: Option<Duration>,
    /// The last status sent; an equal one is not sent again.
    status: RefCell<String>,
    /// Listeners of the previous start, until [`Service::take_stored`] returns them.
    stored: RefCell<Vec<TcpListener>>,
    /// Name and port of each listener that this process gave to the service manager.
    given: RefCell<Vec<(&'static str, u16)>>,
}

impl Service {
    /// The service manager of this process, by its environment. Only the first call gets the stored
    /// listeners.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut passed = ListenFd::from_env();
        let stored =
            (0..passed.len()).filter_map(|index| passed.take_tcp_listener(index).ok().flatten()).collect();
        Service {
            stored: RefCell::new(stored),
            is_there: std::env::var_os("NOTIFY_SOCKET").is_some(),
            watchdog: watchdog(|name| std::env::var(name).ok()),
            status: RefCell::default(),
            given: RefCell::default(),
        }
    }

    /// How often [`Service::tick`] is to be called: at least twice in the watchdog's time. `None` without a
    /// service manager.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        let status = Duration::from_millis(STATUS_EVERY_MS);
        self.is_there
            .then(|| self.watchdog.map_or(status, |watchdog| status.min((watchdog / 2).max(WATCHDOG_FLOOR))))
    }

    /// Takes the listener for this address, if the service manager has stored one.
    pub fn take_stored(&self, address: SocketAddr) -> Option<TcpListener> {
        let mut stored = self.stored.borrow_mut();
        let index = stored.iter().position(|listener| listener.local_addr().is_ok_and(|at| at == address))?;
        Some(stored.swap_remove(index))
    }

    /// Closes the stored listeners of a port, which another address is to have, and has the service manager close its own of this
    /// name. Returns whether there was one: of the previous start, or of this one before a reload.
    pub fn let_go(&self, name: &'static str, port: u16) -> bool {
        let mut stored = self.stored.borrow_mut();
        let before = stored.len();
        stored.retain(|listener| listener.local_addr().is_ok_and(|at| at.port() != port));
        let was_there = stored.len() < before || self.given.borrow().contains(&(name, port));
        if was_there {
            self.drop_stored(name);
        }
        was_there
    }

    /// Gives the service manager a listener to store, instead of the old one of this name.
    pub fn keep(&self, name: &'static str, listener: &TcpListener) {
        self.drop_stored(name);
        if let Ok(address) = listener.local_addr() {
            self.given.borrow_mut().push((name, address.port()));
        }
        self.tell_with(&format!("FDSTORE=1\nFDNAME={name}"), Some(listener.as_fd()));
    }

    /// Drops the listeners of these names: if a node cannot start, its clients must be refused and not wait.
    fn keep_none(&self, names: &[&'static str]) {
        self.stored.borrow_mut().clear();
        for name in names {
            self.drop_stored(name);
        }
    }

    /// Has the service manager close the listener that it stores under this name.
    pub(super) fn drop_stored(&self, name: &'static str) {
        self.given.borrow_mut().retain(|(given, _)| *given != name);
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    }

    /// All listeners are bound, and the configuration is read.
    pub fn ready(&self, status: String) {
        // An unused listener belongs to another configuration. Without it, a client that connects there is refused at once.
        self.stored.borrow_mut().clear();
        self.tell(&format!("READY=1\nSTATUS={status}"));
        *self.status.borrow_mut() = status;
    }

    /// The configuration is being reloaded; [`Service::ready`] comes after.
    pub fn reloading(&self) {
        // systemd compares it with the time of its own request.
        let now = clock_gettime(ClockId::Monotonic);
        let us = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// The node is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Sends the watchdog message and the status.
    pub fn tick(&self, status: String) {
        let is_news = *self.status.borrow() != status;
        match (self.watchdog.is_some(), is_news) {
            (true, true) => self.tell(&format!("WATCHDOG=1\nSTATUS={status}")),
            (true, false) => self.tell("WATCHDOG=1"),
            (false, true) => self.tell(&format!("STATUS={status}")),
            (false, false) => {}
        }
        *self.status.borrow_mut() = status;
    }

    fn tell(&self, state: &str) {
        self.tell_with(state, None);
    }

    fn tell_with(&self, state: &str, descriptor: Option<BorrowedFd<'_>>) {
        if self.is_there
            && let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
            && let Err(error) = send(&socket, state, descriptor)
        {
            warn!("cannot reach the service manager: {error}");
        }
    }
}

/// The watchdog's time by the environment (sd_watchdog_enabled(3)). 0 turns the watchdog off.
fn watchdog(variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    let us = variable("WATCHDOG_USEC")?.parse().ok().filter(|us| *us > 0)?;
    let is_ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
    is_ours.then(|| Duration::from_micros(us))
}

/// Sends a message, and a descriptor with it. A socket whose name begins with `@` is abstract: it has no file.
fn send(socket: &OsStr, state: &str, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let address = match socket.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
        _ => SocketAddrUnix::new(socket)?,
    };
    let sender = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let bytes = [io::IoSlice::new(state.as_bytes())];
    sendmsg_addr(&sender, &address, &bytes, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_off_at_zero_and_for_another_process() {
        let pid = std::process::id().to_string();
        for (us, of, expected) in [
            (None, None, None),
            (Some("0"), None, None),
            (Some("x"), None, None),
            (Some("-1"), None, None),
            (Some("2000000"), None, Some(Duration::from_secs(2))),
            (Some("2000000"), Some(pid.as_str()), Some(Duration::from_secs(2))),
            (Some("2000000"), Some("1"), None),
        ] {
            let found = watchdog(|name| if name == "WATCHDOG_USEC" { us } else { of }.map(str::to_owned));
            assert_eq!(found, expected, "{us:?} {of:?}");
        }
    }

    #[test]
    fn a_tiny_watchdog_does_not_take_the_nodes_time() {
        let service = Service {
            is_there: true,
            watchdog: Some(Duration::from_micros(1)),
            status: RefCell::default(),
            stored: RefCell::default(),
            given: RefCell::default(),
        };
        assert_eq!(service.every(), Some(WATCHDOG_FLOOR));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_socket_is_reached() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let name = format!("herd-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let manager = UnixDatagram::bind_addr(&address).expect("the name is free");
        send(OsStr::new(&format!("@{name}")), "READY=1", None).expect("it listens");
        let mut bytes = [0; 32];
        let count = manager.recv(&mut bytes).expect("it was sent");
        assert_eq!(&bytes[..count], b"READY=1");
    }
}
