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
use std::time::{Duration, Instant};

use async_io::Timer;
use async_signal::{Signal, Signals};
use futures_lite::{AsyncRead, AsyncWrite, StreamExt, future};
use log::{debug, info};

use super::backoff::Backoff;
use super::broker::Stream;
use super::codec::{Hello, Version};
use super::counters::{Count, Counters};
use super::devices::Devices;
use super::in_time;
use super::limits::{CONNECT_MS_MAX, FAREWELL_MS_MAX, SILENCE_MS_MAX, STATUS_EVERY_MS, TICK_MS};
use super::node;
use super::session::Session;
use super::settings::Settings;
use super::shared::{Bridge, unix_s};
use super::warnings::Kind;
use herd::server::limits::READ_BYTES;
use herd::server::notify::Notify;
use herd::server::warn_limit::WarnLimit;

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
                // The connection before may have ended while it was not read.
                bridge.is_read.set(true);
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
        let what = format!("broker down: {}: {why}", bridge.settings.broker);
        bridge.wait_after(&mut backoff, lasted_ms, Kind::Broker, &what).await;
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
