//! Messages to the service manager, by sd_notify(3). Without a service manager they have no effect.
//!
//! The service manager also stores the listeners between two starts of the node (FDSTORE, sd_pid_notify_with_fds(3)). A
//! client that connects in between waits in the queue of the listener and is not refused.
//!
//! The module does not wait. A runtime calls [`Service::tick`] once in [`Service::every`], from the loop that serves
//! clients, so the watchdog detects a loop that hangs.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use listenfd::ListenFd;
use log::warn;
use sd_notify::NotifyState;

use super::limits::STATUS_EVERY_MS;

/// The name of the client listener, in the configuration and for the service manager.
pub const CLIENTS: &str = "clients";
/// See [`CLIENTS`].
pub const LINKS: &str = "links";

/// Has the service manager close the listeners that it stores.
pub fn let_go() {
    Service::of_this_process().keep_none(&[CLIENTS, LINKS]);
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
            watchdog: sd_notify::watchdog_enabled(),
            status: RefCell::default(),
        }
    }

    /// How often [`Service::tick`] is to be called: at least twice in the watchdog's time. `None` without a
    /// service manager.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        let status = Duration::from_millis(STATUS_EVERY_MS);
        self.is_there.then(|| self.watchdog.map_or(status, |watchdog| status.min(watchdog / 2)))
    }

    /// Takes the listener for this address, if the service manager has stored one.
    pub fn take_stored(&self, address: SocketAddr) -> Option<TcpListener> {
        let mut stored = self.stored.borrow_mut();
        let index = stored.iter().position(|listener| listener.local_addr().is_ok_and(|at| at == address))?;
        Some(stored.swap_remove(index))
    }

    /// Gives the service manager a listener to store, instead of the old one of this name.
    pub fn keep(&self, name: &str, listener: &impl AsFd) {
        self.drop_kept(name);
        let state = [NotifyState::FdStore, NotifyState::FdName(name)];
        self.tell_with(&state, |state| sd_notify::notify_with_fds(state, &[listener.as_fd()]));
    }

    /// Drops the listeners of these names: if a node cannot start, its clients must be refused and not wait.
    fn keep_none(&self, names: &[&str]) {
        self.stored.borrow_mut().clear();
        for name in names {
            self.drop_kept(name);
        }
    }

    fn drop_kept(&self, name: &str) {
        self.tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    }

    /// All listeners are bound, and the configuration is read.
    pub fn ready(&self, status: String) {
        // An unused listener belongs to another configuration. Without it, a client that connects there is refused at once.
        self.stored.borrow_mut().clear();
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        *self.status.borrow_mut() = status;
    }

    /// The configuration is being reloaded; [`Service::ready`] comes after.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!("cannot report the reload to the service manager: {error}"),
        }
    }

    /// The node is about to end.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Sends the watchdog message and the status.
    pub fn tick(&self, status: String) {
        let is_news = *self.status.borrow() != status;
        match (self.watchdog.is_some(), is_news) {
            (true, true) => self.tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]),
            (true, false) => self.tell(&[NotifyState::Watchdog]),
            (false, true) => self.tell(&[NotifyState::Status(&status)]),
            (false, false) => {}
        }
        *self.status.borrow_mut() = status;
    }

    fn tell(&self, state: &[NotifyState]) {
        self.tell_with(state, sd_notify::notify);
    }

    fn tell_with(&self, state: &[NotifyState], how: impl Fn(&[NotifyState]) -> io::Result<()>) {
        if self.is_there
            && let Err(error) = how(state)
        {
            warn!("cannot reach the service manager: {error}");
        }
    }
}
