//! What the service manager is told: sd_notify(3), of which a node without a service manager notices nothing.
//!
//! It knows nothing of how a node waits: a runtime calls [`Service::tick`] once in [`Service::every`], from
//! the very loop that serves clients, so a loop that turns no more is found out by the watchdog.

use std::cell::RefCell;
use std::time::Duration;

use log::warn;
use sd_notify::NotifyState;

use super::limits::STATUS_EVERY_MS;

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Service {
    is_there: bool,
    watchdog: Option<Duration>,
    /// What it was told last: the same again is not worth a message.
    status: RefCell<String>,
}

impl Service {
    /// The service manager of this process, by its environment.
    #[must_use]
    pub fn of_this_process() -> Self {
        Service {
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

    /// All listeners are bound, and the map is read.
    pub fn ready(&self, status: String) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        *self.status.borrow_mut() = status;
    }

    /// The map is being read anew; [`Service::ready`] comes after.
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
        if self.is_there
            && let Err(error) = sd_notify::notify(state)
        {
            warn!("the service manager does not listen: {error}");
        }
    }
}
