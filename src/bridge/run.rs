//! The connection to the broker, and what the tasks of the bridge share. One thread waits for everything.
//!
//! The bridge reads the node's event stream only while the broker is up. Each stream begins with all positions, and the bridge
//! publishes all of them on each connection, so it stores nothing for a broker that is away.
//!
//! Invariant: no borrow is held over an `.await`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_io::Timer;
use async_signal::{Signal, Signals};
use futures_lite::{AsyncRead, AsyncWrite, StreamExt, future};
use log::{debug, error, info};

use super::backoff::Backoff;
use super::broker::Stream;
use super::codec::{Hello, Message, Version};
use super::counters::{ALL, Count, Counters};
use super::devices::Devices;
use super::in_time;
use super::limits::{CONNECT_MS_MAX, FAREWELL_MS_MAX, SILENCE_MS_MAX, STATUS_EVERY_MS, TICK_MS, UPDATES_MAX};
use super::node::{self, Updates};
use super::owntracks::{self, Entry};
use super::pending::Pending;
use super::session::{Event, Session};
use super::settings::Settings;
use super::topics;
use super::warnings::{KINDS, Kind};
use herd::proto::time::Mono;
use herd::server::json::Json;
use herd::server::limits::READ_BYTES;
use herd::server::logging::Printable;
use herd::server::notify::Notify;
use herd::server::warn_limit::WarnLimit;

/// What the bridge's tasks share.
pub(super) struct Bridge {
    pub(super) settings: Settings,
    pub(super) counters: Counters,
    pub(super) pending: RefCell<Pending>,
    pub(super) updates: RefCell<Updates>,
    devices: RefCell<Devices>,
    session: RefCell<Option<Session>>,
    /// The connection of the session.
    stream: RefCell<Option<Box<dyn Stream>>>,
    /// The number of the connection to the broker. Packet identifiers are valid for one connection.
    connection: Cell<u64>,
    /// The version to try: 5, or 3.1.1 after a broker has not accepted 5.
    version: Cell<Version>,
    /// The broker has accepted the bridge. Some brokers then close the connection at once.
    is_accepted: Cell<bool>,
    /// When the broker came up: the time of its first packet after it accepted the bridge.
    up_at: Cell<Option<Mono>>,
    up: Notify,
    status_is_due: Cell<bool>,
    /// Whether the bridge reads from the broker. If not, it cannot judge the broker's silence.
    is_read: Cell<bool>,
    /// Data for the broker is waiting.
    pub(super) to_broker: Notify,
    /// Data for the node is waiting.
    pub(super) to_node: Notify,
    /// The node has answered an update.
    pub(super) update_room: Notify,
    /// The bridge has published a position.
    pub(super) entry_room: Notify,
    /// Bytes have left the output.
    output_room: Notify,
    started: Instant,
    started_s: i64,
    pub(super) warnings: WarnLimit<KINDS>,
}

/// Runs the bridge until SIGTERM or SIGINT. At SIGUSR1 it logs its counters.
///
/// # Errors
/// The system refuses a resource: a description.
pub fn run(settings: Settings) -> Result<(), String> {
    let signals =
        Signals::new([Signal::Term, Signal::Int, Signal::Usr1]).map_err(|error| error.to_string())?;
    let bridge = Bridge {
        devices: RefCell::new(Devices::new(settings.user_devices_max)),
        settings,
        counters: Counters::default(),
        pending: RefCell::default(),
        updates: RefCell::default(),
        session: RefCell::default(),
        stream: RefCell::default(),
        connection: Cell::default(),
        version: Cell::new(Version::V5),
        is_accepted: Cell::default(),
        up_at: Cell::default(),
        up: Notify::default(),
        status_is_due: Cell::default(),
        is_read: Cell::new(true),
        to_broker: Notify::default(),
        to_node: Notify::default(),
        update_room: Notify::default(),
        entry_room: Notify::default(),
        output_room: Notify::default(),
        started: Instant::now(),
        started_s: unix_s(),
        warnings: WarnLimit::default(),
    };
    async_io::block_on(async {
        info!("the bridge connects {} to {}", bridge.settings.node, bridge.settings.broker);
        let work = future::or(keep_broker(&bridge), node::keep_updating(&bridge));
        let why = future::or(stopped(signals, &bridge), future::or(work, keep_warnings(&bridge))).await;
        farewell(&bridge).await;
        info!("the bridge of {} stops: {why}; {}", bridge.settings.node, bridge.counters);
        Ok(())
    })
}

/// Waits for a signal to stop, and returns its log message.
async fn stopped(mut signals: Signals, bridge: &Bridge) -> &'static str {
    loop {
        match signals.next().await {
            Some(Ok(Signal::Usr1)) => info!("counters since the start: {}", bridge.counters),
            Some(Ok(Signal::Int)) => return "received SIGINT",
            _ => return "received SIGTERM",
        }
    }
}

/// Logs the summaries of repeated warnings.
async fn keep_warnings(bridge: &Bridge) -> &'static str {
    loop {
        Timer::after(Duration::from_millis(TICK_MS)).await;
        bridge.warnings.tick(bridge.now());
    }
}

/// Publishes that the bridge is offline, and disconnects.
async fn farewell(bridge: &Bridge) {
    let Settings { topics, node, .. } = &bridge.settings;
    bridge.with_session(|session, _| session.close((&topics.of_bridge(node), &bridge.status(false))));
    let goes = async {
        while send_some(bridge).await? > 0 {}
        with_stream(bridge, AsyncWrite::poll_close).await
    };
    if let Err(error) = in_time(FAREWELL_MS_MAX, goes).await {
        debug!("the bridge did not disconnect cleanly: {error}");
    }
}

/// Connects to the broker, and again after each failure.
async fn keep_broker(bridge: &Bridge) -> &'static str {
    let mut backoff = Backoff::default();
    loop {
        bridge.is_accepted.set(false);
        bridge.up_at.set(None);
        let why = match bridge.settings.broker.connect().await {
            Ok(stream) => {
                let why = serve(bridge, stream).await;
                bridge.version.set(match (bridge.is_accepted.get(), bridge.version.get()) {
                    (false, Version::V5) => Version::V3,
                    _ => Version::V5,
                });
                why
            }
            Err(error) => error.to_string(),
        };
        bridge.session.take();
        bridge.stream.take();
        bridge.counters.one(Count::BrokerDown);
        let lasted_ms = bridge.up_at.get().map_or(0, |since| bridge.now().since_ms(since));
        let wait = backoff.next_ms(lasted_ms, dice());
        let broker = &bridge.settings.broker;
        let seconds = wait.div_ceil(1000);
        bridge.warnings.warn(
            Kind::Broker,
            bridge.now(),
            &format_args!("broker down: {broker}: {why}; next attempt in {seconds} s"),
        );
        Timer::after(Duration::from_millis(wait)).await;
    }
}

/// Serves one connection until it ends, and returns why it ended.
async fn serve(bridge: &Bridge, stream: Box<dyn Stream>) -> String {
    let Settings { topics, node, broker, take_in, .. } = &bridge.settings;
    let hello = Hello {
        version: bridge.version.get(),
        client_id: &format!("herd-{}-{node}", topics.prefix.replace('/', "-")),
        login: broker.login.as_ref(),
        will: (&topics.of_bridge(node), &bridge.status(false)),
        is_stored: take_in.is_some(),
    };
    *bridge.session.borrow_mut() = Some(Session::open(bridge.now(), &hello));
    *bridge.stream.borrow_mut() = Some(stream);
    bridge.connection.set(bridge.connection.get() + 1);
    bridge.pending.borrow_mut().clear();
    let watched = async {
        bridge.up.wait().await;
        node::keep_watching(bridge).await
    };
    let spoken = future::or(read(bridge), write(bridge));
    future::or(future::or(spoken, tick(bridge)), watched).await
}

async fn read(bridge: &Bridge) -> String {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = match with_stream(bridge, |stream, context| stream.poll_read(context, &mut bytes)).await {
            Ok(0) => return bridge.ended(),
            Ok(read) => read,
            Err(error) => return bridge.broken(&error),
        };
        // A broker that always has more must not block the other tasks.
        future::yield_now().await;
        bridge.with_session(|session, now| session.take(now, &bytes[..read]));
        loop {
            match bridge.with_session(|session, _| session.next_event()) {
                Some(Ok(Some(event))) => bridge.event(event).await,
                Some(Ok(None)) | None => break,
                Some(Err(why)) => return why,
            }
        }
    }
}

async fn write(bridge: &Bridge) -> String {
    loop {
        bridge.fill();
        match send_some(bridge).await {
            Ok(0) => bridge.to_broker.wait().await,
            Ok(_) => bridge.output_room.wake(),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                return format!("the broker read nothing for {} s", SILENCE_MS_MAX / 1000);
            }
            Err(error) => return bridge.broken(&error),
        }
    }
}

/// Sends what the broker accepts at once, and returns the number of bytes: 0 if the output is empty.
async fn send_some(bridge: &Bridge) -> io::Result<usize> {
    let sending = with_stream(bridge, |stream, context| {
        let session = bridge.session.borrow();
        match session.as_ref().map(Session::output) {
            None | Some([]) => Poll::Ready(Ok(None)),
            Some(output) => stream.poll_write(context, output).map_ok(Some),
        }
    });
    match in_time(SILENCE_MS_MAX, sending).await? {
        None => Ok(0),
        Some(0) => Err(ErrorKind::WriteZero.into()),
        Some(sent) => {
            bridge.with_session(|session, now| session.sent(now, sent));
            // TLS may buffer the bytes.
            in_time(SILENCE_MS_MAX, with_stream(bridge, AsyncWrite::poll_flush)).await?;
            Ok(sent)
        }
    }
}

/// Runs an operation on the connection. Fails if the bridge is not connected.
async fn with_stream<T>(
    bridge: &Bridge,
    mut act: impl FnMut(Pin<&mut Box<dyn Stream>>, &mut Context) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    poll_fn(|context| match &mut *bridge.stream.borrow_mut() {
        Some(stream) => act(Pin::new(stream), context),
        None => Poll::Ready(Err(ErrorKind::NotConnected.into())),
    })
    .await
}

/// Checks the deadlines.
async fn tick(bridge: &Bridge) -> String {
    let begun = bridge.now();
    let mut status_at = begun.after_ms(STATUS_EVERY_MS);
    loop {
        Timer::after(Duration::from_millis(TICK_MS)).await;
        let now = bridge.now();
        if !bridge.is_accepted.get() && now.since_ms(begun) >= CONNECT_MS_MAX {
            return format!("the broker sent nothing for {} s", CONNECT_MS_MAX / 1000);
        }
        if let Some(Err(why)) = bridge.with_session(|session, now| session.tick(now, bridge.is_read.get())) {
            return why;
        }
        if now >= status_at {
            status_at = now.after_ms(STATUS_EVERY_MS);
            bridge.status_is_due.set(true);
        }
        bridge.to_broker.wake();
    }
}

impl Bridge {
    pub(super) fn now(&self) -> Mono {
        Mono(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn with_session<T>(&self, act: impl FnOnce(&mut Session, Mono) -> T) -> Option<T> {
        self.session.borrow_mut().as_mut().map(|session| act(session, self.now()))
    }

    /// A likely reason why the broker ended the connection.
    fn ended(&self) -> String {
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
    fn broken(&self, error: &io::Error) -> String {
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

    async fn event(&self, event: Event) {
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
                self.warnings.warn(
                    Kind::Denied,
                    self.now(),
                    &format_args!(
                        "the broker refuses what the bridge publishes (see the broker's access list)"
                    ),
                );
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
            self.warnings.warn(
                Kind::Devices,
                self.now(),
                &format_args!(
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
    fn fill(&self) {
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
            let (topic, message) = (topics.of_client(entry.id), entry.message(unix_s()));
            self.with_session(|session, now| session.publish(now, (&topic, &message), true));
            self.counters.one(Count::Published);
        }
        self.entry_room.wake();
    }

    /// The bridge's status message.
    fn status(&self, is_online: bool) -> String {
        let mut json = Json::default();
        json.flag("online", is_online);
        json.text("node", &self.settings.node);
        json.text("version", env!("CARGO_PKG_VERSION"));
        if is_online {
            json.number("since", Some(self.started_s));
            for (what, name) in ALL {
                json.number(name, Some(self.counters.get(what)));
            }
        }
        json.finish().trim_end().to_owned()
    }
}

/// A random number. It spreads the attempts of bridges that lost the broker at the same time.
pub(super) fn dice() -> u64 {
    let mut bytes = [0; 8];
    // If the system has no random numbers, each wait is the longest.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}

fn unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
