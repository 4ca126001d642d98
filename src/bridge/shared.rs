//! What the tasks of the bridge share, and what the bridge does with each event of the broker.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_io::Timer;
use log::{debug, error, info};

use super::backoff::{Backoff, dice};
use super::broker::Stream;
use super::codec::{Message, Version};
use super::counters::{ALL, Count, Counters};
use super::devices::Devices;
use super::limits::UPDATES_MAX;
use super::owntracks::{self, Entry};
use super::pending::Pending;
use super::session::{Event, Session};
use super::settings::Settings;
use super::topics;
use super::updates::Updates;
use super::warnings::{KINDS, Kind};
use herd::proto::time::Mono;
use herd::server::json::Json;
use herd::server::logging::Printable;
use herd::server::notify::Notify;
use herd::server::warn_limit::WarnLimit;

/// What the bridge's tasks share.
pub(super) struct Bridge {
    pub(super) settings: Settings,
    pub(super) counters: Counters,
    pub(super) pending: RefCell<Pending>,
    pub(super) updates: RefCell<Updates>,
    pub(super) devices: RefCell<Devices>,
    pub(super) session: RefCell<Option<Session>>,
    /// The connection of the session.
    pub(super) stream: RefCell<Option<Box<dyn Stream>>>,
    /// The number of the connection to the broker. Packet identifiers are valid for one connection.
    pub(super) connection: Cell<u64>,
    /// The version to try: 5, or 3.1.1 after a broker has not accepted 5.
    pub(super) version: Cell<Version>,
    /// The broker has accepted the bridge. Some brokers then close the connection at once.
    pub(super) is_accepted: Cell<bool>,
    /// When the broker came up: the time of its first packet after it accepted the bridge.
    pub(super) up_at: Cell<Option<Mono>>,
    pub(super) up: Notify,
    pub(super) status_is_due: Cell<bool>,
    /// Whether the bridge reads from the broker. If not, it cannot judge the broker's silence.
    pub(super) is_read: Cell<bool>,
    /// Data for the broker is waiting.
    pub(super) to_broker: Notify,
    /// Data for the node is waiting.
    pub(super) to_node: Notify,
    /// The node has answered an update.
    pub(super) update_room: Notify,
    /// The bridge has published a position.
    pub(super) entry_room: Notify,
    /// Bytes have left the output.
    pub(super) output_room: Notify,
    pub(super) started: Instant,
    pub(super) started_s: i64,
    pub(super) warnings: WarnLimit<KINDS>,
}

impl Bridge {
    pub(super) fn now(&self) -> Mono {
        Mono(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn warn(&self, kind: Kind, what: fmt::Arguments) {
        self.warnings.warn(kind, self.now(), &what);
    }

    /// Warns of a connection that has ended or failed, and waits before the next attempt.
    pub(super) async fn wait_after(&self, backoff: &mut Backoff, lasted_ms: u64, kind: Kind, what: &str) {
        let wait = backoff.next_ms(lasted_ms, dice());
        self.warn(kind, format_args!("{what}; next attempt in {} s", wait.div_ceil(1000)));
        Timer::after(Duration::from_millis(wait)).await;
    }

    pub(super) fn with_session<T>(&self, act: impl FnOnce(&mut Session, Mono) -> T) -> Option<T> {
        self.session.borrow_mut().as_mut().map(|session| act(session, self.now()))
    }

    /// A likely reason why the broker ended the connection.
    pub(super) fn ended(&self) -> String {
        let words = match (self.is_accepted.get(), self.up_at.get()) {
            (false, _) => {
                "the broker ended the connection before it accepted the bridge (is it a broker of MQTT 3.1.1 or 5?)"
            }
            (true, None) => {
                "the broker accepted the bridge and ended the connection at once (see the broker's log)"
            }
            (true, Some(_)) => {
                "the broker ended the connection (does another client have the same client id?)"
            }
        };
        words.to_owned()
    }

    /// The reason why a connection failed. A broker may close it with a reset, or without the last record of TLS.
    pub(super) fn broken(&self, error: &io::Error) -> String {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => self.ended(),
            _ => error.to_string(),
        }
    }

    /// The broker has sent something after it accepted the bridge.
    fn broker_is_up(&self) {
        if self.up_at.get().is_none() {
            self.up_at.set(Some(self.now()));
            self.counters.one(Count::BrokerUp);
            let version = if self.version.get() == Version::V5 { "5" } else { "3.1.1" };
            info!("broker up: {} (MQTT {version})", self.settings.broker);
            self.up.wake();
        }
    }

    pub(super) async fn event(&self, event: Event) {
        if event != Event::Accepted {
            self.broker_is_up();
        }
        match event {
            Event::Accepted => {
                self.is_accepted.set(true);
                self.status_is_due.set(true);
                if let Some(filter) = &self.settings.take_in {
                    self.with_session(|session, _| session.subscribe(filter));
                }
            }
            Event::Subscribed(true) => debug!("the broker grants the subscription"),
            Event::Subscribed(false) => {
                let filter = self.settings.take_in.as_deref().unwrap_or_default();
                error!(
                    "the broker refuses the subscription to {filter}: the bridge takes in no messages (see the broker's access list)"
                );
            }
            Event::Acknowledged(true) => self.counters.one(Count::Acknowledged),
            Event::Acknowledged(false) => {
                self.counters.one(Count::Denied);
                let why = "the broker refuses what the bridge publishes (see the broker's access list)";
                self.warn(Kind::Denied, format_args!("{why}"));
            }
            Event::Message(message) => self.message(message).await,
            Event::TooLarge(number) => self.leave(Count::TooLarge, number),
        }
        self.to_broker.wake();
        self.wait_for(&self.output_room, Count::BrokerWaits, || {
            self.with_session(|session, _| session.has_room()).unwrap_or(true)
        })
        .await;
    }

    /// Takes a message in, or ignores it.
    async fn message(&self, Message { topic, payload, number }: Message) {
        let is_asked = self.settings.take_in.as_ref().is_some_and(|filter| topics::covers(filter, &topic));
        let update = match () {
            () if topics::is_below(&topic, &self.settings.topics.prefix) => Err(Count::OwnPrefix),
            () if !is_asked => Err(Count::NotAsked),
            () => owntracks::update(&topic, &payload),
        };
        // Only a valid update counts as a device.
        let update = update.and_then(|line| match self.devices.borrow_mut().admit(&topic, self.now()) {
            true => Ok(line),
            false => Err(Count::TooManyDevices),
        });
        if update == Err(Count::TooManyDevices) {
            self.warn(
                Kind::Devices,
                format_args!(
                    "an MQTT user has more than {} devices: the bridge ignores {} (see --user-devices)",
                    self.settings.user_devices_max,
                    Printable(topic.as_bytes())
                ),
            );
        }
        match update {
            Ok(line) => {
                self.wait_for(&self.update_room, Count::BrokerWaits, || {
                    self.updates.borrow().len() < UPDATES_MAX
                })
                .await;
                let number = number.map(|number| (self.connection.get(), number));
                self.updates.borrow_mut().push(line, number);
                self.to_node.wake();
            }
            Err(why) => {
                if why != Count::OwnPrefix {
                    debug!("ignored: {} as {why:?}", Printable(topic.as_bytes()));
                }
                self.leave(why, number);
            }
        }
    }

    /// Counts a message that the bridge ignores, and acknowledges it: the broker must not send it again.
    fn leave(&self, why: Count, number: Option<u16>) {
        self.counters.one(why);
        self.acknowledge(number.map(|number| (self.connection.get(), number)));
    }

    /// Acknowledges a message, unless its connection has ended.
    pub(super) fn acknowledge(&self, number: Option<(u64, u16)>) {
        if let Some((connection, number)) = number
            && connection == self.connection.get()
        {
            self.with_session(|session, _| session.acknowledge(number));
            self.to_broker.wake();
        }
    }

    /// Waits until there is room, and counts the wait.
    async fn wait_for(&self, bell: &Notify, what: Count, has_room: impl Fn() -> bool) {
        if has_room() {
            return;
        }
        self.counters.one(what);
        self.is_read.set(false);
        while !has_room() {
            bell.wait().await;
        }
        self.is_read.set(true);
    }

    /// Publishes as much as may be in flight.
    pub(super) fn fill(&self) {
        let Settings { topics, node, .. } = &self.settings;
        while self.with_session(|session, _| session.can_publish()) == Some(true) {
            if self.status_is_due.replace(false) {
                let (topic, status) = (topics.of_bridge(node), self.status(true));
                self.with_session(|session, now| session.publish(now, (&topic, &status), false));
                continue;
            }
            let Some((line, forgotten)) = self.pending.borrow_mut().take() else { break };
            self.counters.add(Count::Forgotten, forgotten as u64);
            let Some(entry) = Entry::parse(&line) else { continue };
            let (topic, message) = (topics.of_client(&entry.id), entry.message(unix_s()));
            self.with_session(|session, now| session.publish(now, (&topic, &message), true));
            self.counters.one(Count::Published);
        }
        self.entry_room.wake();
    }

    /// The bridge's status message.
    pub(super) fn status(&self, is_online: bool) -> String {
        let mut json = Json::default();
        json.flag("online", is_online);
        json.text("node", &self.settings.node);
        json.text("version", env!("CARGO_PKG_VERSION"));
        if is_online {
            json.number("since", Some(self.started_s));
            for (what, name) in ALL {
                json.number(name, Some(self.counters.get(*what)));
            }
        }
        json.finish().trim_end().to_owned()
    }
}

/// The wall clock in seconds.
pub(super) fn unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
