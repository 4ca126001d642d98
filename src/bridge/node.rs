//! The two connections to the node: its event stream, and its client port, which takes updates.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use async_io::{Async, Timer};
use async_net::TcpStream;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use log::{debug, info};

use super::backoff::Backoff;
use super::counters::Count;
use super::in_time;
use super::limits::{ANSWER_BYTES_MAX, CONNECT_MS_MAX, ENTRIES_A_READ_MAX, SILENCE_MS_MAX, TICK_MS};
use super::owntracks::Entry;
use super::pending::Put;
use super::shared::Bridge;
use super::stream::{Item, Stream};
use super::warnings::Kind;
use herd::proto::time::Mono;
use herd::server::control::Request;
use herd::server::limits::READ_BYTES;
use herd::server::logging::Printable;

/// Reads the node's event stream, and connects again when it ends.
pub(super) async fn keep_watching(bridge: &Bridge) -> String {
    let mut backoff = Backoff::default();
    loop {
        let mut up_at = None;
        let why = match watch(bridge, &mut up_at).await {
            Ok(why) => why.to_owned(),
            Err(error) => error.to_string(),
        };
        bridge.counters.one(Count::NodeDown);
        let lasted_ms = up_at.map_or(0, |since| bridge.now().since_ms(since));
        let what = format!("node down: {}: {why}", bridge.settings.node);
        bridge.wait_after(&mut backoff, lasted_ms, Kind::Watched, &what).await;
    }
}

/// Reads the event stream until it ends.
async fn watch(bridge: &Bridge, up_at: &mut Option<Mono>) -> io::Result<&'static str> {
    let mut socket = connect(bridge).await?;
    let request = format!("{}\n", Request::Watch.word());
    in_time(CONNECT_MS_MAX, socket.write_all(request.as_bytes())).await?;
    let (mut stream, mut bytes) = (Stream::default(), vec![0; READ_BYTES]);
    loop {
        wait_for_room(bridge).await;
        match in_time(SILENCE_MS_MAX, socket.read(&mut bytes)).await {
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                return Ok("the node sent nothing for too long");
            }
            Ok(0) if up_at.is_none() => {
                return Ok("the node has too many viewers, or its release has no event stream");
            }
            Ok(0) => return Ok("the node ended the stream"),
            read => stream.take(&bytes[..read?], |item| take(bridge, item, up_at)),
        }
        bridge.to_broker.wake();
        future::yield_now().await;
    }
}

async fn connect(bridge: &Bridge) -> io::Result<Async<UnixStream>> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for path in &bridge.settings.control {
        match in_time(CONNECT_MS_MAX, Async::<UnixStream>::connect(path)).await {
            Ok(socket) => return Ok(socket),
            // A node listens at one of these paths.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // This path exists, and its error has a remedy.
            Err(error) if last.kind() != ErrorKind::PermissionDenied => last = error,
            Err(_) => {}
        }
    }
    Err(match last.kind() {
        ErrorKind::NotFound => io::Error::other("no node of this name runs on this machine"),
        ErrorKind::PermissionDenied => io::Error::other(
            "only the node's user and root can open its control socket (run the bridge as one of them)",
        ),
        _ => last,
    })
}

/// Waits until the queue has room for all positions of one read.
async fn wait_for_room(bridge: &Bridge) {
    let has_room = || bridge.pending.borrow().room() >= ENTRIES_A_READ_MAX;
    if !has_room() {
        bridge.counters.one(Count::NodeWaits);
    }
    while !has_room() {
        bridge.entry_room.wait().await;
    }
}

fn take(bridge: &Bridge, item: Item, up_at: &mut Option<Mono>) {
    let line = match item {
        Item::Entry(line) => line,
        Item::Other(b"hello") => {
            *up_at = Some(bridge.now());
            bridge.counters.one(Count::NodeUp);
            return info!("node up: {}", bridge.settings.node);
        }
        Item::Other(_) => return,
    };
    let Some(entry) = Entry::parse(line) else { return bridge.counters.one(Count::Unreadable) };
    let counted = match bridge.pending.borrow_mut().put(&entry.id, entry.content) {
        Put::Waits => return,
        Put::Replaced => Count::Replaced,
        Put::Unchanged => Count::Unchanged,
        // There was room for a whole read.
        Put::Full => Count::Unreadable,
    };
    bridge.counters.one(counted);
}

/// Sends updates to the node until the node has answered them. Connects only while updates wait.
pub(super) async fn keep_updating(bridge: &Bridge) -> &'static str {
    let mut backoff = Backoff::default();
    loop {
        while bridge.updates.borrow().len() == 0 {
            bridge.to_node.wait().await;
        }
        let begun = bridge.now();
        if let Err(error) = exchange(bridge).await {
            let what = format!("updates wait: {}: {error}", bridge.settings.clients);
            let lasted_ms = bridge.now().since_ms(begun);
            bridge.wait_after(&mut backoff, lasted_ms, Kind::Updates, &what).await;
        }
    }
}

/// One connection to the client port. It ends well if the node ends it while no answer is pending.
async fn exchange(bridge: &Bridge) -> io::Result<()> {
    let stream = in_time(CONNECT_MS_MAX, TcpStream::connect(bridge.settings.clients)).await?;
    stream.set_nodelay(true)?;
    bridge.updates.borrow_mut().sent = 0;
    future::or(send(bridge, stream.clone()), future::or(receive(bridge, stream), watch_time(bridge))).await
}

async fn send(bridge: &Bridge, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let lines = bridge.updates.borrow_mut().send(bridge.now());
        if lines.is_empty() {
            bridge.to_node.wait().await;
        } else {
            in_time(SILENCE_MS_MAX, stream.write_all(lines.as_bytes())).await?;
        }
    }
}

async fn receive(bridge: &Bridge, mut stream: TcpStream) -> io::Result<()> {
    let (mut bytes, mut line) = (vec![0; READ_BYTES], Vec::new());
    loop {
        let read = match stream.read(&mut bytes).await? {
            0 if bridge.updates.borrow().sent == 0 => return Ok(()),
            0 => return Err(io::Error::other("the node ended the connection")),
            read => read,
        };
        for piece in bytes[..read].split_inclusive(|&byte| byte == b'\n') {
            line.extend_from_slice(piece);
            if line.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::other("the program at this address is not a node"));
            }
            if line.ends_with(b"\n") {
                answered(bridge, &line)?;
                line.clear();
            }
        }
    }
}

async fn watch_time(bridge: &Bridge) -> io::Result<()> {
    loop {
        Timer::after(Duration::from_millis(TICK_MS)).await;
        if bridge.updates.borrow().is_late(bridge.now()) {
            return Err(io::Error::other(format!("no answer for {} s", SILENCE_MS_MAX / 1000)));
        }
    }
}

/// The node has answered the first update: it accepted or refused it. Either way the broker must not send it again.
fn answered(bridge: &Bridge, answer: &[u8]) -> io::Result<()> {
    let update = bridge.updates.borrow_mut().answered(bridge.now());
    let update = update.ok_or_else(|| io::Error::other("the program at this address is not a node"))?;
    if answer.starts_with(b"AT ") {
        bridge.counters.one(Count::TakenIn);
        debug!("taken in: {}", Printable(update.line.as_bytes()));
    } else {
        bridge.counters.one(Count::Refused);
        // Without the position, which is personal.
        let mut fields = update.line.split(' ').skip(1);
        let (id, time) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        let id = Printable(id.as_bytes());
        bridge.warn(
            Kind::Refused,
            format_args!(
                "the node refuses {id} at {time} (compare the clocks of the node and of the client)"
            ),
        );
    }
    bridge.acknowledge(update.number);
    bridge.update_room.wake();
    Ok(())
}
