//! The client connections: which one is served next, and which one is closed.
//!
//! A connection is not a task. It waits only for its own socket, so it is an entry of a table, and the loop serves it when
//! the kernel reports it ready. [`connection`](super::connection) implements the turn of an entry.
//!
//! [`turns`](super::turns) decides the order. A client is sparse if its last turn brought few bytes, in whole lines, all
//! answered at once; other clients are busy. Busy clients get a few turns after each round of the sparse ones.
//!
//! A client that leaves its answers unread costs memory, in the kernel and here. It is disconnected after
//! [`UNREAD_MS_MAX`], or when the memory for unread answers is used up: then the node first closes the client that has
//! read no bytes for the longest time.

use std::collections::BTreeSet;
use std::mem;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use log::debug;
use rustix::event::epoll::EventFlags;
use slab::Slab;

use super::Epoll;
use super::connection::{After, Letter, Mailbox, Slot, Waits};
use super::reactor::{Bell, Crowd};
use super::readiness::Readiness;
use super::turns::{Class, KEYS_MAX, Turns};
use crate::proto::node::PlacesQuery;
use crate::proto::time::Mono;
use crate::server::client::{Client, Unwritten};
use crate::server::limits::{
    CLIENTS_MAX, LINGER_BYTES_MAX, LINGER_MS_MAX, LITTLE_BYTES, TURN_BUSY_BYTES, TURN_BUSY_CLIENTS,
    TURN_CLIENTS, TURN_CLOSES, UNREAD_LOOK_MS, UNREAD_MS_MAX,
};
use crate::server::shared::Server;
use crate::server::status::RuntimeStats;

const _: () = assert!(CLIENTS_MAX <= KEYS_MAX);
/// A key that belongs to no client.
const NO_KEY: usize = usize::MAX;

/// The connections there are.
pub struct Clients {
    slots: Slab<Slot>,
    turns: Turns,
    /// Clients with an unread answer, by the time when their socket last took some of it.
    unread_since: BTreeSet<(Mono, usize)>,
    max: usize,
    pushed_out: u64,
    /// Disconnected because they did not read.
    unread: u64,
    /// Rises with each connection: keys are used again, these are not.
    came: u32,
    mailbox: Arc<Mailbox>,
    /// Whether [`look_after`] runs.
    is_looked_after: bool,
}

impl Clients {
    pub(super) fn new(max: usize, bell: Arc<Bell>) -> Self {
        let mailbox = Arc::new(Mailbox { letters: Mutex::default(), bell });
        Clients {
            slots: Slab::new(),
            turns: Turns::new(),
            unread_since: BTreeSet::new(),
            max,
            pushed_out: 0,
            unread: 0,
            came: 0,
            mailbox,
            is_looked_after: false,
        }
    }

    pub(super) fn stats(&self) -> RuntimeStats {
        let Clients { slots, max, pushed_out, unread, .. } = self;
        RuntimeStats {
            clients: slots.len(),
            clients_max: *max,
            clients_evicted: *pushed_out,
            unread_refused: *unread,
            ..RuntimeStats::default()
        }
    }

    /// Makes room for one more by closing a connection: that of the client that has left an answer unread for longest, or
    /// else that has longest had none.
    fn make_room(&mut self) {
        if self.slots.len() < self.max {
            return;
        }
        let idle = || self.slots.iter().min_by_key(|(_, slot)| slot.active_at).map(|(key, _)| key);
        if let Some(key) = self.longest_unread(NO_KEY).or_else(idle) {
            self.close(key);
            self.pushed_out += 1;
            debug!("evicted the client that was idle longest, for a new one ({} so far)", self.pushed_out);
        }
    }

    /// The client, other than this one, whose socket has taken nothing for longest.
    fn longest_unread(&self, but: usize) -> Option<usize> {
        self.unread_since.iter().map(|(_, key)| *key).find(|key| *key != but)
    }

    fn close(&mut self, key: usize) {
        self.turns.remove(key);
        if let Some(since) = self.slots.remove(key).unread_since() {
            self.unread_since.remove(&(since, key));
        }
        if self.slots.is_empty() {
            // Frees the memory of a crowd.
            self.slots.shrink_to_fit();
            self.turns.shrink();
        }
    }

    /// Serves the next client of a class, if there is one; gives how many bytes it brought.
    fn serve(&mut self, server: &'static Server<Epoll>, class: Class) -> Option<usize> {
        let key = self.turns.take(class)?;
        let mut brought = 0;
        let before = self.slots[key].unread_since();
        let after = self.slots[key].turn(server, &self.mailbox, key, &mut brought);
        self.took_some(key, before);
        let is_much = brought > LITTLE_BYTES || self.slots[key].client.is_in_line();
        self.turns.set_class(key, if is_much { Class::Busy } else { Class::Sparse });
        self.go_on(server, key, after);
        Some(brought)
    }

    fn go_on(&mut self, server: &'static Server<Epoll>, key: usize, after: After) {
        match after {
            After::Wait => {}
            After::Again => {
                self.turns.set_class(key, Class::Busy);
                self.turns.put(key);
            }
            After::Blocked(unwritten, query) => self.block(server, key, unwritten, query),
            After::Linger => self.linger(server, key),
            After::Close => self.close(key),
        }
    }

    /// Updates `unread_since` after a turn of this client; `before` is its time before the turn.
    fn took_some(&mut self, key: usize, before: Option<Mono>) {
        let since = self.slots[key].unread_since();
        if since != before {
            before.map(|before| self.unread_since.remove(&(before, key)));
            since.map(|since| self.unread_since.insert((since, key)));
        }
    }

    /// A socket has not taken the whole of an answer: the rest waits, in memory that all such clients share.
    fn block(
        &mut self,
        server: &'static Server<Epoll>,
        key: usize,
        mut unwritten: Unwritten,
        query: Option<Box<PlacesQuery>>,
    ) {
        let rest = loop {
            match unwritten.hold(&server.unread) {
                Ok(rest) => break rest,
                Err(back) => unwritten = back,
            }
            self.unread += 1;
            debug!(
                "disconnected a client that does not read: the memory for unread answers is full ({} so far)",
                self.unread
            );
            match self.longest_unread(key) {
                Some(other) => self.close(other),
                None => return self.close(key),
            }
        };
        let slot = &mut self.slots[key];
        slot.readiness.can_write = false;
        if !mem::replace(&mut slot.is_room_watched, true) {
            let watched = u32::try_from(key).map(|key| server.runtime.reactor.watch_room(&slot.stream, key));
            if !matches!(watched, Ok(Ok(()))) {
                return self.close(key);
            }
        }
        let since = server.driver.clock().steady();
        slot.waits = Some(Box::new(Waits::Room { rest, since, query }));
        self.unread_since.insert((since, key));
        self.look_after(server);
    }

    /// Nothing more is taken of what a client sends, but its answers are to arrive: a connection that is closed with input
    /// unread is reset, and what is on its way is lost (RFC 2525, section 2.17).
    fn linger(&mut self, server: &'static Server<Epoll>, key: usize) {
        let slot = &mut self.slots[key];
        let _ = slot.stream.shutdown(Shutdown::Write);
        let until = server.driver.clock().steady().after_ms(LINGER_MS_MAX);
        slot.waits = Some(Box::new(Waits::End { until, bytes_left: LINGER_BYTES_MAX }));
        // What has come meanwhile is thrown away in a turn like any other.
        self.turns.set_class(key, Class::Busy);
        self.turns.put(key);
        self.look_after(server);
    }

    /// Starts the task that closes overdue clients, which runs while any client waits for room or for an end.
    fn look_after(&mut self, server: &'static Server<Epoll>) {
        if !mem::replace(&mut self.is_looked_after, true) {
            server.start(look_after(server));
        }
    }

    /// Closes connections whose time is over, at most [`TURN_CLOSES`]. `None` if there may be more of them, else whether
    /// others are left that have a time.
    fn close_overdue(&mut self, now: Mono) -> Option<bool> {
        let overdue: heapless::Vec<usize, TURN_CLOSES> = {
            let slots = self.slots.iter().filter(|(_, slot)| slot.closes_at().is_some_and(|at| at <= now));
            slots.map(|(key, _)| key).take(TURN_CLOSES).collect()
        };
        let is_full = overdue.is_full();
        for key in overdue {
            if self.slots[key].unread_since().is_some() {
                self.unread += 1;
                debug!("disconnected a client that does not read: no bytes taken for {UNREAD_MS_MAX} ms");
            }
            self.close(key);
        }
        if is_full {
            return None;
        }
        self.is_looked_after = self.slots.iter().any(|(_, slot)| slot.closes_at().is_some());
        Some(self.is_looked_after)
    }
}

async fn look_after(server: &'static Server<Epoll>) {
    loop {
        server.sleep_ms(UNREAD_LOOK_MS).await;
        let now = server.driver.clock().steady();
        let is_needed = loop {
            let left = server.clients.borrow_mut().close_overdue(now);
            if let Some(is_needed) = left {
                break is_needed;
            }
            server.runtime.reactor.next_turn().await;
        };
        if !is_needed {
            return;
        }
    }
}

/// Gives a client its slot.
pub(super) fn begin(server: &'static Server<Epoll>, stream: TcpStream, peer: IpAddr) {
    // Answers leave in one write each, so nothing is gained by holding them back.
    let _ = stream.set_nodelay(true);
    let clients = &mut *server.clients.borrow_mut();
    clients.make_room();
    clients.came = clients.came.wrapping_add(1);
    let entry = clients.slots.vacant_entry();
    let key = entry.key();
    let number = u32::try_from(key).expect("there are few clients");
    // If the kernel cannot watch a connection, it is closed. If its first line is there already, the kernel reports it at once.
    if let Err(error) = server.runtime.reactor.watch_client(&stream, number) {
        debug!("cannot watch a client: {error}");
        return;
    }
    clients.turns.come(key, server.driver.lane(peer));
    entry.insert(Slot {
        stream,
        came: clients.came,
        active_at: server.driver.clock().steady(),
        waits: None,
        client: Client::of(server.driver.quota_key(peer), server.driver.lane(peer)),
        readiness: Readiness::default(),
        is_room_watched: false,
    });
}

impl Crowd for &'static Server<Epoll> {
    fn ready(&self, key: u32, flags: EventFlags) {
        let clients = &mut *self.clients.borrow_mut();
        let key = key as usize;
        let Some(slot) = clients.slots.get_mut(key) else { return };
        slot.readiness.add(flags);
        if slot.readiness.is_unsure {
            // It ends, as a rule. To close a connection takes the kernel longer than an answer, and can wait.
            clients.turns.set_class(key, Class::Busy);
        }
        let is_due = match slot.waits.as_deref() {
            None | Some(Waits::End { .. }) => slot.readiness.can_read,
            Some(Waits::Room { .. }) => slot.readiness.can_write,
            Some(Waits::Places(_)) => false,
        };
        if is_due {
            clients.turns.put(key);
        }
    }

    fn rung(&self) {
        let letters = {
            let clients = self.clients.borrow();
            mem::take(&mut *clients.mailbox.letters.lock().unwrap_or_else(PoisonError::into_inner))
        };
        for Letter { key, came, json } in letters {
            let clients = &mut *self.clients.borrow_mut();
            // A client that has disconnected needs no answer.
            let slot = clients.slots.get_mut(key).filter(|slot| slot.came == came);
            let Some(slot) = slot else { continue };
            let after = slot.answer_places(self, &clients.mailbox, key, json);
            clients.go_on(self, key, after);
        }
    }

    fn serve(&self) -> bool {
        let clients = &mut *self.clients.borrow_mut();
        for _ in 0..TURN_CLIENTS {
            if clients.serve(self, Class::Sparse).is_none() {
                break;
            }
        }
        let (mut bytes, closed) = (0, clients.unread);
        for _ in 0..TURN_BUSY_CLIENTS {
            match clients.serve(self, Class::Busy) {
                // To close a connection takes long, so it ends the turn.
                Some(brought) if bytes + brought < TURN_BUSY_BYTES && clients.unread == closed => {
                    bytes += brought;
                }
                _ => break,
            }
        }
        !clients.turns.is_empty()
    }
}
