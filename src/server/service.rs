//! What the service manager is told: sd_notify(3), of which a node without a service manager notices nothing.
//!
//! The service manager also keeps the listeners from one start of the node to the next (FDSTORE, sd_pid_notify_with_fds(3)):
//! a client that comes in between waits in the queue of the listener, where it was refused before.
//!
//! It knows nothing of how a node waits: a runtime calls [`Service::tick`] once in [`Service::every`], from
//! the very loop that serves clients, so a loop that turns no more is found out by the watchdog.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use listenfd::ListenFd;
use log::warn;
use sd_notify::NotifyState;

use super::limits::STATUS_EVERY_MS;

/// The listeners by the names that the configuration has for them, and the service manager.
pub const CLIENTS: &str = "clients";
/// See [`CLIENTS`].
pub const LINKS: &str = "links";

/// Has the service manager close what it keeps listening between two starts of the node.
pub fn let_go() {
    Service::of_this_process().keep_none(&[CLIENTS, LINKS]);
}

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Service {
    is_there: bool,
    watchdog: Option<Duration>,
    /// What it was told last: the same again is not worth a message.
    status: RefCell<String>,
    /// Listeners of the start before, until [`Service::kept`] has them.
    kept: RefCell<Vec<TcpListener>>,
}

impl Service {
    /// The service manager of this process, by its environment. The listeners that it kept are given out once: to the
    /// first that calls this.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut kept = ListenFd::from_env();
        let kept = (0..kept.len()).filter_map(|index| kept.take_tcp_listener(index).ok().flatten()).collect();
        Service {
            kept: RefCell::new(kept),
            is_there: std::env::var_os("NOTIFY_SOCKET").is_some(),
            watchdog: sd_notify::watchdog_enabled(),
            status: RefCell::default(),
        }
    }

    /// How often [`Service::tick`] is to be called: twice in the time of the watchdog at least. `None` where
    /// nobody listens.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        let status = Duration::from_millis(STATUS_EVERY_MS);
        self.is_there.then(|| self.watchdog.map_or(status, |watchdog| status.min(watchdog / 2)))
    }

    /// The listener for this address, if the service manager has kept one.
    pub fn kept(&self, address: SocketAddr) -> Option<TcpListener> {
        let mut kept = self.kept.borrow_mut();
        let index = kept.iter().position(|listener| listener.local_addr().is_ok_and(|at| at == address))?;
        Some(kept.swap_remove(index))
    }

    /// Gives the service manager a listener to keep, in place of the one that it had by this name.
    pub fn keep(&self, name: &str, listener: &impl AsFd) {
        self.drop_kept(name);
        let state = [NotifyState::FdStore, NotifyState::FdName(name)];
        self.tell_with(&state, |state| sd_notify::notify_with_fds(state, &[listener.as_fd()]));
    }

    /// Lets go of the listeners by these names: a node that cannot start must not leave its clients waiting.
    fn keep_none(&self, names: &[&str]) {
        self.kept.borrow_mut().clear();
        for name in names {
            self.drop_kept(name);
        }
    }

    fn drop_kept(&self, name: &str) {
        self.tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    }

    /// All listeners are bound, and the configuration is read.
    pub fn ready(&self, status: String) {
        // What nobody has asked for is of another configuration: whoever connects there is refused, not left waiting.
        self.kept.borrow_mut().clear();
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        *self.status.borrow_mut() = status;
    }

    /// The configuration is being read anew; [`Service::ready`] comes after.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!("the service manager was not told of the reload: {error}"),
        }
    }

    /// The node is about to end.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// The node is alive, and this is how it is.
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
            warn!("the service manager does not listen: {error}");
        }
    }
}
