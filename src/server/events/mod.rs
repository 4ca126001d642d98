//! The event stream to a node's subscribers, as server-sent events (WHATWG HTML, 9.2): all entries, then changes.
//!
//! ```text
//! event: hello                     once: the node and its herd, a JSON object
//! data: AT Hill +0.26… kiwi +34.068930-118.445127 1621464827.95… 12
//!                                  an entry: an AT line (PROTOCOL), and its age in seconds; the id as in `client_id`
//! event: all                       once: all entries have been sent; an empty JSON object
//! event: status                    every two seconds: the node's status, as in `herd status --json`
//! event: herd                      every ten seconds: whether the herd is in sync, as in `herd status --all --json`
//! ```
//!
//! The node writes each event once, into a ring. Each subscriber reads it from its own position, so a subscriber costs a
//! position and a task. A client that moves ten times within one interval is sent once. A subscriber that falls a whole ring
//! behind is disconnected; a browser then reconnects by itself and gets everything again. Without subscribers the
//! ring is freed, and the core notes no changes.
//!
//! Independent of the runtime. The stream contains positions of people; the caller checks the access rights.

mod serve;

pub(crate) use serve::watch;

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::task::Waker;

use super::client_id;
use super::driver::Driver;
use super::json::Json;
use super::limits::{LOCAL_SUBSCRIBERS_MAX, LOOK_BYTES_MAX, RING_BYTES, SUBSCRIBERS_MAX};
use super::{Address, NodeConfig};
use crate::config::Endpoint;
use crate::proto::limits::{CLIENT_ID_BYTES_MAX, NODE_NAME_BYTES_MAX, NODES_MAX};
use crate::proto::node::events::WATCH_LINE_BYTES_MAX;
use crate::proto::out::Out;

/// Before each entry.
const DATA: &[u8] = b"data: ";
/// Where the id stands in an entry's line.
const ID_FIELD: usize = 3;
/// Behind each event.
const END: &[u8] = b"\n\n";
/// The longest line of an entry in the stream, in bytes: each byte of its id may be encoded.
pub const ENTRY_BYTES_MAX: usize = WATCH_LINE_BYTES_MAX + 2 * CLIENT_ID_BYTES_MAX;
/// Bytes of entries in one piece for a new subscriber.
const PIECE_BYTES: usize = 2048;
const _: () = assert!(PIECE_BYTES > 4 * (ENTRY_BYTES_MAX + 16));
// The longest `herd` event: the names of all nodes of the largest configuration.
const _: () = assert!(LOOK_BYTES_MAX + 4096 + NODES_MAX * (NODE_NAME_BYTES_MAX + 3) <= RING_BYTES);

/// The last events. Positions only grow.
#[derive(Debug, Default)]
struct Ring {
    bytes: Vec<u8>,
    /// The position behind the last byte.
    end: u64,
}

impl Ring {
    /// The index of `position` in a full ring.
    #[expect(clippy::cast_possible_truncation, reason = "less than the ring's length")]
    fn index(position: u64) -> usize {
        (position % RING_BYTES as u64) as usize
    }

    fn put(&mut self, mut bytes: &[u8]) {
        if self.bytes.is_empty() {
            // Its pages are taken as they are reached.
            self.bytes = vec![0; RING_BYTES];
        }
        while !bytes.is_empty() {
            let at = Ring::index(self.end);
            let n = bytes.len().min(RING_BYTES - at);
            self.bytes[at..at + n].copy_from_slice(&bytes[..n]);
            self.end += n as u64;
            bytes = &bytes[n..];
        }
    }

    /// The next bytes at `position`, in one piece; empty at the end, and none if they are overwritten.
    fn since(&self, position: u64) -> Option<&[u8]> {
        let behind = self.end.checked_sub(position)?;
        if behind == 0 {
            return Some(&[]);
        }
        if behind > self.bytes.len() as u64 {
            return None;
        }
        let at = Ring::index(position);
        let end = Ring::index(self.end);
        Some(if at < end { &self.bytes[at..end] } else { &self.bytes[at..] })
    }
}

/// How a subscriber is connected.
#[derive(Clone, Copy, Debug)]
pub enum Subscriber {
    /// Over HTTP.
    Http,
    /// At the control socket.
    Local,
}

/// What all subscribers of a node share.
#[derive(Debug, Default)]
pub struct EventRing {
    ring: RefCell<Ring>,
    waiting: RefCell<Vec<Waker>>,
    /// The numbers of subscribers over HTTP, and at the control socket.
    subscribers: [Cell<usize>; 2],
    lost: Cell<u64>,
    refused: Cell<u64>,
    /// A new subscriber has not got the status yet.
    is_status_due: Cell<bool>,
    /// The last `herd` event, for new subscribers.
    herd: RefCell<String>,
}

impl EventRing {
    /// The number of subscribers.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.subscribers.iter().map(Cell::get).sum()
    }

    /// Subscribers that fell a whole ring behind, and subscribers refused at the maximum, since the start.
    #[must_use]
    pub fn lost_and_refused(&self) -> (u64, u64) {
        (self.lost.get(), self.refused.get())
    }

    /// Adds a subscriber, until the result is dropped; none at the maximum.
    pub fn join(&self, kind: Subscriber) -> Option<RingReader<'_>> {
        let (taken, most) = match kind {
            Subscriber::Http => (&self.subscribers[0], SUBSCRIBERS_MAX),
            Subscriber::Local => (&self.subscribers[1], LOCAL_SUBSCRIBERS_MAX),
        };
        if taken.get() == most {
            self.refused.set(self.refused.get() + 1);
            return None;
        }
        taken.set(taken.get() + 1);
        self.is_status_due.set(true);
        Some(RingReader {
            events: self,
            taken,
            position: self.ring.borrow().end,
            next_below: Some(usize::MAX),
        })
    }

    /// Disconnects all subscribers: after a reload, the events that they got are not valid.
    pub fn renew(&self) {
        let mut ring = self.ring.borrow_mut();
        ring.end += 2 * RING_BYTES as u64;
        drop(ring);
        // It may name nodes that the configuration no longer lists.
        self.herd.take();
        self.wake();
    }

    /// Whether a subscriber was added since the last call.
    pub fn take_status_due(&self) -> bool {
        self.is_status_due.take()
    }

    /// Frees the ring's memory, after the last subscriber.
    pub fn forget(&self) {
        self.ring.borrow_mut().bytes = Vec::new();
        self.herd.take();
    }

    /// Sends all subscribers a JSON object, with or without a line feed at its end.
    pub fn tell(&self, event: &str, json: &str) {
        let json = json.trim_end();
        if event == "herd" {
            json.clone_into(&mut self.herd.borrow_mut());
        }
        self.ring.borrow_mut().put(event_text(event, json).as_bytes());
        self.wake();
    }

    /// Sends all subscribers the changes in the table, up to the limit of one interval.
    pub fn look(&self, driver: &Driver) {
        let mut ring = self.ring.borrow_mut();
        let until = ring.end + LOOK_BYTES_MAX as u64;
        let mut line = [0; WATCH_LINE_BYTES_MAX];
        let now_s = driver.clock().steady().seconds();
        let before = ring.end;
        while ring.end < until {
            let mut out = Out::new(&mut line);
            if !driver.with_node_mut(|node| node.put_changed(now_s, &mut out)) {
                break;
            }
            put_entry(out.written(), |bytes| ring.put(bytes));
        }
        if ring.end > before {
            drop(ring);
            self.wake();
        }
    }

    fn wake(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}

/// The text of an event.
#[must_use]
pub fn event_text(event: &str, json: &str) -> String {
    format!("event: {event}\ndata: {}\n\n", json.trim_end())
}

/// The address of a node's page as a browser can open it. `None` if there is none: loopback is another board's, and a wildcard
/// is the address for links, if that is one.
fn page_of(node: &Address, me: &Address) -> Option<Endpoint> {
    let mut http = node.http?;
    http.set_ip(http.ip().to_canonical());
    let page = node.links.reach(http);
    let host = |links: &Endpoint| {
        (links.address().map(|at| at.ip().to_canonical()), links.host().map(str::to_owned))
    };
    let is_here = host(&node.links) == host(&me.links);
    (!page.is_wildcard() && (is_here || !page.is_loopback())).then_some(page)
}

/// The first events for a subscriber: the node and its herd, and the last `herd` event.
#[must_use]
pub fn hello(plan: &NodeConfig, events: &EventRing, driver: &Driver) -> String {
    let mut json = Json::default();
    json.text("node", &plan.nodes[plan.me].name);
    json.text("version", env!("CARGO_PKG_VERSION"));
    let names: Vec<String> = plan.nodes.iter().map(|node| node.name.clone()).collect();
    json.texts("nodes", &names);
    json.open("pages", '[');
    let scheme = if plan.settings.tls.is_some() { "https" } else { "http" };
    for node in &plan.nodes {
        let page = page_of(node, &plan.nodes[plan.me]).map(|at| format!("{scheme}://{at}/"));
        json.optional_text("", page.as_deref());
    }
    json.close(']');
    let mut edges = String::from("[");
    for (index, (a, b)) in plan.edges.iter().enumerate() {
        let _ = write!(edges, "{}[{a},{b}]", if index == 0 { "" } else { "," });
    }
    json.number("edges", Some(edges + "]"));
    json.number("capacity", Some(driver.with_node(|node| node.table().capacity())));
    json.number("life_s", Some(plan.settings.lifetime_s));
    let mut text = event_text("hello", &json.finish());
    let herd = events.herd.borrow();
    if !herd.is_empty() {
        text += &event_text("herd", &herd);
    }
    text
}

/// A subscriber: gets all entries first, then changes.
#[derive(Debug)]
pub struct RingReader<'a> {
    events: &'a EventRing,
    /// The number of subscribers of the same kind.
    taken: &'a Cell<usize>,
    position: u64,
    /// Where the walk over all entries continues; none when it is complete.
    next_below: Option<usize>,
}

/// What is next for a [`RingReader`].
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// The result of `send` for the next bytes of the ring.
    Sent(T),
    /// All events have been sent.
    Nothing,
    /// The next events are overwritten.
    Lost,
}

impl RingReader<'_> {
    /// Passes the next bytes of the ring to `send`. Call [`RingReader::sent`] with the number of bytes sent.
    pub fn next<T>(&self, send: impl FnOnce(&[u8]) -> T) -> Next<T> {
        match self.events.ring.borrow().since(self.position) {
            None => {
                self.events.lost.set(self.events.lost.get() + 1);
                Next::Lost
            }
            Some([]) => Next::Nothing,
            Some(bytes) => Next::Sent(send(bytes)),
        }
    }

    /// Records the number of bytes sent.
    pub fn sent(&mut self, bytes: usize) {
        self.position += bytes as u64;
    }

    /// The next entries for a new subscriber; none when all have been sent.
    ///
    /// Call this only when the ring has no more bytes for this subscriber: the ring may contain older states.
    pub fn piece(&mut self, driver: &Driver) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(PIECE_BYTES);
        let mut line = [0; WATCH_LINE_BYTES_MAX];
        let now_s = driver.clock().steady().seconds();
        while bytes.len() + DATA.len() + ENTRY_BYTES_MAX + END.len() <= PIECE_BYTES {
            let end = self.next_below?;
            let mut out = Out::new(&mut line);
            self.next_below = driver.with_node(|node| node.put_below(end, now_s, &mut out));
            if self.next_below.is_none() {
                bytes.extend_from_slice(event_text("all", "{}").as_bytes());
                return Some(bytes);
            }
            put_entry(out.written(), |part| bytes.extend_from_slice(part));
        }
        Some(bytes)
    }

    /// Wakes this task when there is more.
    pub fn wait(&self, waker: &Waker) {
        let mut waiting = self.events.waiting.borrow_mut();
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }
}

impl Drop for RingReader<'_> {
    fn drop(&mut self) {
        self.taken.set(self.taken.get() - 1);
    }
}

/// Puts the event of an entry's line, in parts.
fn put_entry(line: &[u8], mut put: impl FnMut(&[u8])) {
    put(DATA);
    for (index, field) in line.split(|&byte| byte == b' ').enumerate() {
        if index > 0 {
            put(b" ");
        }
        match index {
            ID_FIELD => put(client_id::encoded(field).as_bytes()),
            _ => put(field),
        }
    }
    put(END);
}

#[cfg(test)]
mod tests;
