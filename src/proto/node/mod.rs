//! The node makes every decision of the herd and performs no action.
//!
//! The server passes in events (a line, a connection, the time) and takes out actions:
//!
//! 1. After any call, the server calls [`Node::take_cut`] until it returns `None`, and closes the
//!    connections.
//! 2. Then it calls [`Node::take_dial`] until that returns `None`, and dials the neighbours.
//! 3. It wakes the writers of [`Node::take_wakes`]. A writer calls [`Node::pull`] for a line whenever its
//!    socket accepts more, until `pull` returns `false`.
//! 4. It calls [`Node::tick`] at [`Node::wake_at`] or earlier.
//!
//! The server may call early and often: a spurious call changes nothing. One rule must always hold: a line that
//! [`Node::pull`] returned reaches the socket whole and in order, or the connection ends.
//!
//! The node uses no sockets, files, clocks or randomness, and does not allocate. The same state and input give
//! the same output. `links` holds how links start and end, `pull` what they send, `secret` their encryption, `dials` the
//! dialling, `digests` the comparison of tables, `reload` a changed configuration, and `restore` the entries that
//! survive a restart.

pub mod census;
mod dials;
mod digests;
pub mod events;
mod link;
pub mod links;
pub mod pull;
pub mod reload;
pub mod restore;
pub mod secret;

use core::net::IpAddr;

use crate::auth::Keys;
use crate::census::Censuses;
use crate::client::{Command, is_http, is_long_http};
use crate::counters::Counters;
use crate::fields::{ClientId, ItemLimit, Position, Radius};
use crate::limits::{
    AGE_S_MAX, AHEAD_NS_MAX, AT_LINE_BYTES_MAX, CLIENTS_PER_ADDRESS, NEIGHBOURS_MAX, SESSIONS_MAX,
    SWEEP_EVERY_MS,
};
use crate::names::{Names, NamesError, NodeId};
use crate::node::link::Link;
use crate::node::secret::{Mode, Secrecy};
use crate::noise::key_pair::KeyPair;
use crate::out::Out;
use crate::quota::QuotaKey;
use crate::random::Jitter;
use crate::receive_time::ReceiveClock;
use crate::session::{Ended, Session};
use crate::table::{Admission, Source, Table};
use crate::time::{Mono, Now, Timestamp};
use crate::update::{Sighting, Update, UpdateRef};

/// The settings of a node, passed once, before any other call.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The names of all nodes of the configuration, sorted.
    pub names: &'a [&'a str],
    /// This node's place in `names`.
    pub me: usize,
    /// The neighbours' places in `names`, rising.
    pub neighbours: &'a [usize],
    /// The herd's keys. `None` only if every address is loopback.
    pub keys: Option<Keys>,
    /// What the node needs for secret links. `None` for signed ones. Needs `keys`.
    pub secrecy: Option<Secrecy<'a>>,
    /// Entries that the table may hold. The node reduces it to what this build can hold.
    pub capacity: usize,
    /// An entry's life in seconds, at most [`AGE_S_MAX`].
    pub age_s_max: u32,
    /// Fresh random numbers.
    pub seed: Seed,
}

/// Random numbers that a node needs at its start, from the system.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// The secret of the table's hash.
    pub hash_key: (u64, u64),
    /// Start of the generator for jitter.
    pub jitter: u64,
    /// The boot number: it differs between two starts of the node.
    pub boot: u64,
}

/// Why a node does not start. A checked configuration does not cause these errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The list of names is invalid.
    Names(NamesError),
    /// `me` or a neighbour is not in the list, a neighbour is the node itself or stands twice, or
    /// there are more than [`NEIGHBOURS_MAX`].
    Neighbours,
}

/// What a client line asks of the server.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the core has no heap to put the query on")]
pub enum Answer {
    /// The whole answer was written.
    Done,
    /// The whole answer was written. The server closes the connection after sending it: the line is HTTP.
    Close,
    /// Nothing was written. The server passes this query to places.
    Places(PlacesQuery),
}

/// A valid WHATSAT about a known client.
#[derive(Debug)]
pub struct PlacesQuery {
    /// The first line of the answer, without its newline.
    pub at_line: heapless::Vec<u8, AT_LINE_BYTES_MAX>,
    /// Position of the client.
    pub position: Position,
    /// Radius around the client.
    pub radius: Radius,
    /// The largest number of places.
    pub items: ItemLimit,
}

/// A node of the herd. `SLOTS` is twice the largest number of clients that it can store.
///
/// A `const fn` makes it, and all its bytes are zero. So a static node costs no byte of the program file, and
/// no memory until it is touched. Never build or move a node on a stack: it is too large.
#[derive(Debug)]
pub struct Node<const SLOTS: usize> {
    pub(crate) table: Table<SLOTS>,
    pub(crate) names: Names,
    pub(crate) me: Option<NodeId>,
    pub(crate) keys: Option<Keys>,
    pub(crate) mode: Mode,
    pub(crate) pair: Option<KeyPair>,
    pub(crate) boot: u64,
    pub(crate) jitter: Jitter,
    pub(crate) links: heapless::Vec<Link, NEIGHBOURS_MAX>,
    pub(crate) sessions: [Session; SESSIONS_MAX],
    pub(crate) wakes: u32,
    pub(crate) cuts: heapless::Vec<(SessionId, Ended), SESSIONS_MAX>,
    pub(crate) counters: Counters,
    pub(crate) censuses: Censuses,
    pub(crate) receive_clock: ReceiveClock,
    age_s_max: u32,
    swept_at: Mono,
    clock_was_trusted: bool,
}

/// Identifies one link connection. The index is reused; the generation is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionId {
    /// Below [`SESSIONS_MAX`].
    pub index: u8,
    pub(crate) generation: u32,
}

impl<const SLOTS: usize> Node<SLOTS> {
    /// A node before [`Node::start`]. All bytes are zero, so it fits a static.
    #[must_use]
    pub const fn new() -> Self {
        Node {
            table: Table::new(),
            names: Names::new(),
            me: None,
            keys: None,
            mode: Mode::Signed,
            pair: None,
            boot: 0,
            jitter: Jitter::UNSEEDED,
            links: heapless::Vec::new(),
            sessions: [const { Session::FREE }; SESSIONS_MAX],
            wakes: 0,
            cuts: heapless::Vec::new(),
            counters: Counters::new(),
            censuses: Censuses::new(),
            receive_clock: ReceiveClock::new(),
            age_s_max: 0,
            swept_at: Mono(0),
            clock_was_trusted: false,
        }
    }

    /// Starts the node. The caller does this once, before any other call.
    ///
    /// # Errors
    /// [`StartError`]. The node is then not usable.
    pub fn start(&mut self, setup: &Setup) -> Result<(), StartError> {
        debug_assert!(self.me.is_none(), "a node is started once");
        self.names.fill(setup.names.iter().copied()).map_err(StartError::Names)?;
        let me = self.names.id(setup.me).ok_or(StartError::Neighbours)?;
        for (i, &index) in setup.neighbours.iter().enumerate() {
            let node = self.names.id(index).filter(|&node| node != me).ok_or(StartError::Neighbours)?;
            let rises = i == 0 || setup.neighbours[i - 1] < index;
            self.links.push(Link::new(me, node)).ok().filter(|()| rises).ok_or(StartError::Neighbours)?;
        }
        self.age_s_max = setup.age_s_max.min(AGE_S_MAX);
        self.table.start(setup.capacity, self.age_s_max, setup.seed.hash_key, self.links.len());
        self.me = Some(me);
        self.keys.clone_from(&setup.keys);
        self.set_secrecy(setup.secrecy.as_ref());
        self.boot = setup.seed.boot;
        self.jitter = Jitter::seeded(setup.seed.jitter);
        self.table.set_clients_per_address(CLIENTS_PER_ADDRESS);
        Ok(())
    }

    /// Sets the number of clients that an address may hold in the table. The start value is
    /// [`CLIENTS_PER_ADDRESS`].
    pub fn set_clients_per_address(&mut self, max: u32) {
        self.table.set_clients_per_address(max);
    }

    /// The quota for the updates of a client at this address.
    #[must_use]
    pub fn quota_key(&self, address: IpAddr) -> QuotaKey {
        QuotaKey::of(address, self.table.hash_key())
    }

    /// The quota for the updates of clients that report with this name's token, wherever they are.
    #[must_use]
    pub fn quota_key_of_name(&self, name: &[u8]) -> QuotaKey {
        QuotaKey::of_name(name, self.table.hash_key())
    }

    /// The node's table.
    #[must_use]
    pub fn table(&self) -> &Table<SLOTS> {
        &self.table
    }

    /// The nodes of the configuration.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The counters since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// This node's own number.
    ///
    /// # Panics
    /// If the node has not been started.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me.expect("the server starts a node before it uses it")
    }

    /// Handles a client's line, without its LF, and writes the answer with its newline. `quota_key` is from
    /// [`Node::quota_key`].
    ///
    /// `out` must have room for [`ANSWER_BYTES_MAX`](crate::limits::ANSWER_BYTES_MAX) bytes, and for the line
    /// plus three bytes.
    pub fn client_line(&mut self, now: &Now, quota_key: QuotaKey, line: &[u8], out: &mut Out) -> Answer {
        match Command::parse(line) {
            Some(Command::Iamat { client, position, time }) if !self.is_ahead(now, time.timestamp()) => {
                self.counters.iamat += 1;
                let (origin, received) = (self.me(), self.receive_time(now));
                let sighting = match now.wall_is_trusted {
                    true => Sighting::trusted(time, origin, position, now.wall),
                    false => Sighting::untrusted(time, origin, position, now.wall, received),
                };
                let update = Update { client, sighting };
                // The answer holds the data of the command, whether or not the table takes it (PROTOCOL,
                // IAMAT).
                update.borrowed().put_at_line(&self.names, out);
                out.put_byte(b'\n');
                let now_s = now.mono.seconds();
                let counter = match self.admit(&update, now_s, now.mono, Source::Client { quota_key }) {
                    Admission::News | Admission::Newcomer | Admission::Duplicate => return Answer::Done,
                    Admission::Stale | Admission::TooOld => &mut self.counters.iamat_stale,
                    Admission::BelowFloor => &mut self.counters.iamat_table_full,
                    Admission::OverQuota => &mut self.counters.iamat_over_quota,
                };
                *counter += 1;
                Answer::Done
            }
            Some(Command::Whatsat { client, radius, items }) => {
                match self.places_query(now, &client, radius, items) {
                    Some(query) => {
                        self.counters.whatsat += 1;
                        Answer::Places(query)
                    }
                    None => self.invalid(line, out),
                }
            }
            Some(Command::Iamat { .. }) => {
                self.counters.iamat_ahead += 1;
                self.invalid(line, out)
            }
            None => self.invalid(line, out),
        }
    }

    /// Counts a line that the server answers itself, because it is longer than any buffer. Returns whether the
    /// server must close the connection after the answer: `true` if the line begins as HTTP.
    pub fn count_long_line(&mut self, start: &[u8]) -> bool {
        self.counters.invalid += 1;
        let is_http = is_long_http(start);
        self.counters.http_clients_refused += u64::from(is_http);
        is_http
    }

    fn invalid(&mut self, line: &[u8], out: &mut Out) -> Answer {
        self.counters.invalid += 1;
        out.put(b"? ");
        out.put(line);
        out.put_byte(b'\n');
        if !is_http(line) {
            return Answer::Done;
        }
        self.counters.http_clients_refused += 1;
        Answer::Close
    }

    /// The query for the places near a client. `None` if the table does not hold the client.
    #[must_use]
    pub fn places_query(
        &self,
        now: &Now,
        client: &ClientId,
        radius: Radius,
        items: ItemLimit,
    ) -> Option<PlacesQuery> {
        let sighting = self.table.get(client, now.mono.seconds())?;
        let mut bytes = [0; AT_LINE_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        UpdateRef { client, sighting }.put_at_line(&self.names, &mut out);
        let at_line = heapless::Vec::from_slice(out.written()).expect("both hold the longest AT line");
        Some(PlacesQuery { at_line, position: sighting.position, radius, items })
    }

    /// The receive time of an update that a client sends now. It bounds the update's rank.
    #[must_use]
    pub fn receive_time(&self, now: &Now) -> Timestamp {
        self.receive_clock.now(now)
    }

    /// Whether a client's time or a rank is too far ahead of a trusted clock.
    pub(crate) fn is_ahead(&mut self, now: &Now, time: Timestamp) -> bool {
        // The next sweep checks the entries of the untrusted time again, even if no tick came during that time.
        self.clock_was_trusted &= now.wall_is_trusted;
        now.wall_is_trusted && time.0 > now.wall.0.saturating_add(AHEAD_NS_MAX)
    }

    pub(crate) fn admit(&mut self, update: &Update, heard_s: i32, mono: Mono, from: Source) -> Admission {
        let now_s = mono.seconds();
        let admission = self.table.admit(update, heard_s, now_s, from);
        if matches!(admission, Admission::News | Admission::Newcomer) {
            self.receive_clock.learn(mono, &update.sighting, now_s.saturating_sub(heard_s));
        }
        let counter = match admission {
            Admission::News | Admission::Newcomer => &mut self.counters.updates_new,
            Admission::Duplicate => &mut self.counters.updates_duplicate,
            Admission::Stale => &mut self.counters.updates_stale,
            Admission::BelowFloor => &mut self.counters.updates_below_floor,
            Admission::TooOld => &mut self.counters.updates_expired,
            // Only clients have quotas. `client_line` counts this case.
            Admission::OverQuota => return admission,
        };
        *counter += 1;
        if matches!(admission, Admission::News | Admission::Newcomer) {
            self.wake_pending();
        }
        admission
    }

    /// Wakes the writers of all links that are up and have pending updates.
    pub(crate) fn wake_pending(&mut self) {
        for (neighbour, link) in self.links.iter().enumerate() {
            if let Some(session) = link.session
                && self.table.pending().count(neighbour) > 0
            {
                self.wakes |= 1 << session;
            }
        }
    }

    /// Does the work that is due at `now`: timeouts, pings, digests, sweeps.
    pub fn tick(&mut self, now: &Now) {
        self.tick_sessions(now.mono);
        self.tick_censuses(now.mono);
        let clock_came_right = now.wall_is_trusted && !self.clock_was_trusted;
        self.clock_was_trusted = now.wall_is_trusted;
        if now.mono >= self.sweep_at() || (clock_came_right && !self.table.is_empty()) {
            self.sweep(now);
        }
    }

    /// Removes expired entries. Once the clock is trusted, it also removes entries that are too far ahead. They
    /// arrived while it was not trusted, and a correct update could not replace them.
    pub(crate) fn sweep(&mut self, now: &Now) {
        self.swept_at = now.mono;
        let ahead = now.wall.0.saturating_add(AHEAD_NS_MAX);
        let unwanted = |sighting: &Sighting| now.wall_is_trusted && sighting.rank.0 > ahead;
        let swept = self.table.sweep(now.mono.seconds(), unwanted);
        self.counters.entries_swept += swept as u64;
        self.receive_clock.forget_beyond(self.table.ranks());
    }

    /// When the next sweep is due. Most entries expire a whole lifetime after they arrive, and the node never
    /// answers or sends an expired entry. A sweep only frees memory, so a tenth of a lifetime is often enough.
    fn sweep_at(&self) -> Mono {
        if self.table.is_empty() {
            return Mono::NEVER;
        }
        let every_ms = (u64::from(self.age_s_max) * 1_000 / 10).max(SWEEP_EVERY_MS);
        self.swept_at.after_ms(every_ms)
    }

    /// When [`Node::tick`] is next due. Any other call may change this time.
    #[must_use]
    pub fn wake_at(&self) -> Mono {
        let sessions = self.sessions.iter().map(|session| {
            let has_pending =
                session.neighbour.is_some_and(|n| self.table.pending().count(usize::from(n)) > 0);
            session.wake_at(has_pending)
        });
        let dials = self.links.iter().map(Link::dial_due_at);
        sessions.chain(dials).fold(self.sweep_at().min(self.census_wake_at()), Mono::min)
    }

    /// The sessions whose writers can pull a line: bit i stands for the session of index i. Clears the set.
    pub fn take_wakes(&mut self) -> u32 {
        core::mem::take(&mut self.wakes)
    }

    /// Takes a connection that the server must close, with the reason. Its session has already ended.
    pub fn take_cut(&mut self) -> Option<(SessionId, Ended)> {
        self.cuts.pop()
    }
}

impl<const SLOTS: usize> Default for Node<SLOTS> {
    fn default() -> Self {
        Self::new()
    }
}
