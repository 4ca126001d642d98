//! The runtime-neutral half of the server: bytes in, bytes out, the same on any runtime.
//!
//! One thread owns the driver. A method borrows the node only until it returns, so no borrow lasts
//! over a wait. All connections share the buffers: a task takes them when its socket is ready and
//! frees them in the same turn, so an idle connection holds none. A runtime adds the waiting: see
//! [`crate::server::runtime`].

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::net::IpAddr;

use log::{debug, info};

use super::addresses::Addresses;
use super::boards::{Boards, name};
use super::client::Client;
use super::clock::Clock;
use super::control::Request;
use super::counters::{Refusals, Refused};
use super::limits::{EXPECTED_OF_ADDRESS_MAX, INPUT_BYTES, OUTPUT_BYTES};
use super::logging::{Printable, lines_lost};
use super::random::{fill_random, random_words};
use super::snapshot::record::Snapshots;
use super::status::{RuntimeStats, Status};
use super::token::EVERY_NAME;
use super::warn_limit::{KINDS, Kind, WarnLimit};
use super::{NodeConfig, RunError, SecretPlan};
use crate::places::file::towns::{Rectangle, Town};
use crate::places::{self, Json, Places};
use crate::proto::default_node::BoardNode;
use crate::proto::limits::ANSWER_BYTES_MAX;
use crate::proto::names::NodeId;
use crate::proto::node::links::LinkState;
use crate::proto::node::pull::PULL_BYTES_MAX;
use crate::proto::node::reload::{Reload, Reloaded};
use crate::proto::node::secret::Message;
use crate::proto::node::{PlacesQuery, Seed, SessionId, Setup};
use crate::proto::noise::connection::Fresh;
use crate::proto::out::Out;
use crate::proto::quota::QuotaKey;
use crate::proto::time::Mono;

/// The buffers that all connections share.
///
/// They lie in a static beside the node, so that only the pages a read or an answer has ever reached
/// are resident: on a quiet board that is one of each.
#[derive(Debug)]
pub struct Buffers {
    /// What a connection had left, and what it has just read.
    pub input: [u8; INPUT_BYTES],
    /// What it is about to write.
    pub output: [u8; OUTPUT_BYTES],
}

/// All memory that a node takes once and for all. All zero: fit for a static.
#[derive(Debug)]
pub struct Memory {
    node: BoardNode,
    buffers: Buffers,
}

impl Memory {
    /// Memory for a node that has not been started. To be a static's value, never a local's.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default would be built on a stack, which has no room for it"
    )]
    pub const fn new() -> Self {
        Memory {
            node: BoardNode::new(),
            buffers: Buffers { input: [0; INPUT_BYTES], output: [0; OUTPUT_BYTES] },
        }
    }
}

/// The state of one node that has nothing to do with how it waits.
pub struct Driver {
    pub(super) node: RefCell<&'static mut BoardNode>,
    buffers: RefCell<&'static mut Buffers>,
    pub(super) clock: Clock,
    pub(super) snapshots: RefCell<Snapshots>,
    places: RefCell<Places>,
    pub(super) warnings: WarnLimit<KINDS>,
    refusals: Refusals,
    /// Why neighbours could not be reached, the last time: one each at most.
    pub(super) dial_errors: RefCell<Vec<(NodeId, String)>>,
    pub(super) addresses: RefCell<Addresses>,
    pub(super) boards: Boards,
    /// The configuration file.
    pub(super) file: String,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// What is to be done about links now: see [`Driver::take_work`].
#[derive(Debug)]
pub enum Work {
    /// Close this connection; it has been logged.
    Cut(SessionId),
    /// Dial this neighbour.
    Dial(NodeId),
    /// Wake the writers of these sessions: bit i stands for the session of index i.
    Wake(u32),
}

impl Driver {
    /// Starts a node in `memory` by `plan`.
    ///
    /// # Errors
    /// [`RunError::Start`] for a plan that does not come from a checked configuration; [`RunError::System`] without random bytes.
    pub fn start(memory: &'static mut Memory, plan: &mut NodeConfig) -> Result<Self, RunError> {
        let secret = plan.secret.take();
        let Memory { node, buffers } = memory;
        let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
        let [a, b, jitter, boot] = random_words()?;
        let setup = Setup {
            names: &names,
            me: plan.me,
            neighbours: &plan.neighbours,
            keys: plan.keys.clone(),
            secrecy: secret.as_ref().map(SecretPlan::secrecy),
            capacity: plan.settings.clients_max as usize,
            age_s_max: plan.settings.lifetime_s,
            seed: Seed { hash_key: (a, b), jitter, boot },
        };
        node.start(&setup).map_err(RunError::Start)?;
        node.set_clients_per_address(plan.settings.clients_per_address);
        let clock = Clock::start(plan.settings.clock);
        Ok(Driver {
            node: RefCell::new(node),
            buffers: RefCell::new(buffers),
            clock,
            snapshots: RefCell::default(),
            places: RefCell::new(Places::start(plan.settings.places.clone())),
            warnings: WarnLimit::default(),
            refusals: Refusals::default(),
            dial_errors: RefCell::default(),
            addresses: RefCell::new(Addresses::of(plan)),
            boards: Boards::default(),
            file: plan.settings.file.clone(),
        })
    }

    /// Applies a changed configuration; unaffected state stays. Always restarts places, since their file may have
    /// changed: a query that waits for them gets the error form.
    ///
    /// # Errors
    /// [`RunError::Start`] for a plan that does not come from a checked configuration of this node; nothing changes then.
    pub fn reload(&self, plan: &mut NodeConfig) -> Result<(), RunError> {
        let secret = plan.secret.take();
        let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
        let reload = Reload {
            names: &names,
            neighbours: &plan.neighbours,
            keys: plan.keys.clone(),
            secrecy: secret.as_ref().map(SecretPlan::secrecy),
        };
        self.clock.set_trust(plan.settings.clock);
        let now = self.clock.now();
        let reloaded = self.node.borrow_mut().reload(&now, &reload).map_err(RunError::Start)?;
        self.node.borrow_mut().set_limits(plan.settings.clients_max as usize, plan.settings.lifetime_s);
        self.node.borrow_mut().set_clients_per_address(plan.settings.clients_per_address);
        *self.addresses.borrow_mut() = Addresses::of(plan);
        self.boards.forget();
        self.dial_errors.borrow_mut().clear();
        drop(self.places.replace(Places::start(plan.settings.places.clone())));
        let Reloaded { retained, added, removed, entries_dropped } = reloaded;
        info!("configuration reloaded: {retained} neighbours retained, {added} added, {removed} removed");
        if entries_dropped > 0 {
            info!(
                "{entries_dropped} updates dropped: the configuration no longer lists the nodes that received them"
            );
        }
        Ok(())
    }

    /// The node's status in one line.
    #[must_use]
    pub fn status(&self) -> String {
        let node = self.node.borrow();
        let links = node.links().count();
        let up = node.links().filter(|link| link.up_since.is_some()).count();
        let in_sync = node.links().filter(LinkState::is_in_sync).count();
        let (known, capacity) = (node.table().len(), node.table().capacity());
        format!("{up} of {links} links up, {in_sync} in sync; {known} of {capacity} clients known")
    }

    /// The answer to a status request at the control socket.
    #[must_use]
    pub fn answer(&self, request: Request, stats: RuntimeStats) -> String {
        let status = self.status_now(stats);
        match request {
            Request::Json => status.json(),
            _ => status.text(request == Request::Verbose),
        }
    }

    /// The node's current status.
    #[must_use]
    pub fn status_now(&self, stats: RuntimeStats) -> Status {
        let (node, now) = (self.node.borrow(), self.clock.now());
        let stats = RuntimeStats { log_lines_lost: lines_lost(), ..stats };
        let errors = self.dial_errors.borrow();
        let error_of = |link: &LinkState| {
            let error = errors.iter().find(|(node, _)| *node == link.node && link.up_since.is_none());
            error.map(|(_, words)| words.clone())
        };
        let snapshot = self.snapshots.borrow().health(now.mono);
        let mut status = Status::of(
            &node,
            &now,
            (self.places.borrow().health(), snapshot),
            (stats, &self.boards, &self.file),
            error_of,
        );
        status.counters.extend(self.refusals.each());
        status
    }

    /// The node's clocks.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The shared buffers. The caller must not hold them over a wait.
    pub fn buffers(&self) -> RefMut<'_, Buffers> {
        RefMut::map(self.buffers.borrow_mut(), |buffers| &mut **buffers)
    }

    /// Counts what the runtime's half refuses.
    pub fn count(&self, refused: Refused) {
        self.refusals.count(refused);
    }

    /// Looks at the node.
    pub fn with_node<T>(&self, look: impl FnOnce(&BoardNode) -> T) -> T {
        look(&self.node.borrow())
    }

    /// Gives access to the node, to read the changes that it notes for subscribers.
    pub(super) fn with_node_mut<T>(&self, look: impl FnOnce(&mut BoardNode) -> T) -> T {
        look(&mut self.node.borrow_mut())
    }

    /// Starts or stops noting which entries change, for subscribers.
    pub fn watch(&self, is_watched: bool) {
        self.node.borrow_mut().watch(is_watched);
    }

    /// The quota that applies to updates from this address.
    #[must_use]
    pub fn quota_key(&self, address: IpAddr) -> QuotaKey {
        match self.addresses.borrow().is_exempt(address) {
            true => QuotaKey::EXEMPT,
            false => self.node.borrow().quota_key(address),
        }
    }

    /// What tells addresses apart where clients have turns: a byte of the same hash.
    #[must_use]
    pub fn lane(&self, address: IpAddr) -> u8 {
        self.node.borrow().quota_key(address).first_byte()
    }

    /// Works off a client's input, as much as `output` has room for the answers of.
    ///
    /// Gives the bytes of `input` that are done with and, when a WHATSAT has to wait for places, the
    /// query: the lines behind it wait too. [`Client::backlog`] says whether there is more to do without reading.
    pub fn client_input(
        &self,
        client: &mut Client,
        input: &[u8],
        output: &mut Out,
    ) -> (usize, Option<Box<PlacesQuery>>) {
        let mut node = self.node.borrow_mut();
        let now = self.clock.now();
        let refused = node.counters().iamat_over_quota;
        let done = client.work_off(&mut node, &now, input, output);
        if node.counters().iamat_over_quota != refused {
            self.warn_of_quota(now.mono, "an address", "list the address in gateways");
        }
        done
    }

    /// Takes an update of a phone: a line that came with the token of this name, from this address. Gives whether the node
    /// answered it with an AT line.
    pub fn phone_line(&self, name: Option<&str>, peer: IpAddr, line: &[u8]) -> bool {
        let mut node = self.node.borrow_mut();
        let is_exempt = self.addresses.borrow().is_exempt(peer);
        let quota_key = match name {
            // A proxy may be a gateway, and the names behind it still have their quotas.
            None | Some(EVERY_NAME) if is_exempt => QuotaKey::EXEMPT,
            Some(name) => node.quota_key_of_name(name.as_bytes()),
            None => node.quota_key(peer),
        };
        debug!("phone: {}", Printable(line));
        let (now, refused) = (self.clock.now(), node.counters().iamat_over_quota);
        let mut answer = [0; ANSWER_BYTES_MAX];
        let mut out = Out::new(&mut answer);
        let _ = node.client_line(&now, quota_key, line, &mut out);
        debug!("answer to phone: {}", Printable(out.written()));
        if node.counters().iamat_over_quota != refused {
            self.warn_of_quota(now.mono, "a name with a phone token", "give each phone a name of its own");
        }
        out.written().starts_with(b"AT ")
    }

    fn warn_of_quota(&self, now: Mono, holder: &str, remedy: &str) {
        let why = format!(
            "{holder} has reached its quota of clients: the node answers updates of more clients but does not store them (raise \
             clients_per_address, or {remedy})"
        );
        self.warnings.warn(Kind::Quota, now, &why);
    }

    /// Asks for the places of a WHATSAT of a client in this [`lane`](Self::lane). `done` gets the JSON, from another thread or
    /// at once.
    pub fn ask_places(&self, query: &PlacesQuery, lane: u8, done: impl FnOnce(Json) + Send + 'static) {
        let (latitude_deg, longitude_deg) = query.position.degrees();
        let (radius_m, items) = (query.radius.metres(), query.items.get());
        self.places.borrow().ask(places::Query { latitude_deg, longitude_deg, radius_m, items }, lane, done);
    }

    /// Finds the towns of a rectangle: see [`Places::towns`].
    pub fn ask_towns(&self, area: Rectangle, done: impl FnOnce(Option<Vec<Town>>) + Send + 'static) -> bool {
        self.places.borrow().towns(area, done)
    }

    /// When the next connection to the link port may be accepted.
    #[must_use]
    pub fn accept_at(&self) -> Mono {
        self.node.borrow().accept_at()
    }

    /// A connection to a neighbour is there, dialled or accepted, and `peer` is at its other end. `None` if it is needed no
    /// more.
    ///
    /// # Errors
    /// [`RunError::System`] when the system has no random bytes.
    pub fn open_link(
        &self,
        dialled: Option<NodeId>,
        peer: Option<IpAddr>,
    ) -> Result<Option<SessionId>, RunError> {
        let fresh = Fresh::draw(fill_random)?;
        let mut node = self.node.borrow_mut();
        let id = node.open(self.clock.steady(), dialled, fresh);
        if let Some(id) = id {
            // The neighbour was reached, so the last error is over.
            self.dial_errors.borrow_mut().retain(|(other, _)| Some(*other) != dialled);
            self.boards.open(id, peer);
            let is_expected = |peer| {
                self.addresses.borrow().is_neighbours(peer)
                    && self.boards.count(peer, |index| node.is_expected(index)) < EXPECTED_OF_ADDRESS_MAX
            };
            if dialled.is_none() && peer.is_some_and(is_expected) {
                node.expect(id);
            }
        }
        Ok(id)
    }

    /// Works off a link's input, which is decrypted in place. Gives the bytes that are done with; the rest is part of a
    /// message.
    pub fn link_input(&self, id: SessionId, input: &mut [u8]) -> usize {
        let now = self.clock.now();
        let mut done = 0;
        loop {
            let mut node = self.node.borrow_mut();
            let event = match node.take_message(now.mono, id, &mut input[done..]) {
                Message::Part | Message::Ended => return done,
                Message::Step(bytes) => {
                    done += bytes;
                    continue;
                }
                Message::Line(bytes, line) => {
                    done += bytes;
                    debug!("link in: {}", Printable(line));
                    node.link_line(&now, id, line)
                }
            };
            drop(node);
            self.log_event(now.mono, id, event);
        }
    }

    /// When a link may be read next: see [`Node::read_at`](crate::proto::node::Node::read_at).
    pub(super) fn read_at(&self, id: SessionId) -> Mono {
        self.node.borrow().read_at(id)
    }

    /// The last line of a connection that the node refuses.
    pub(super) fn refusal(&self, id: SessionId) -> Option<&'static [u8]> {
        self.node.borrow().refusal(id)
    }

    /// Whether the node still knows this connection; if not it has to be closed.
    #[must_use]
    pub fn is_open(&self, id: SessionId) -> bool {
        self.node.borrow().is_open(id)
    }

    /// Writes lines of a link into `output` until there is none or no room for one.
    pub fn pull_link(&self, id: SessionId, output: &mut Out) {
        let now = self.clock.steady();
        let mut node = self.node.borrow_mut();
        let mut log = |line: &[u8]| debug!("link out: {}", Printable(line));
        while output.room() >= PULL_BYTES_MAX && node.pull(now, id, output, &mut log) {}
    }

    /// A connection could not be accepted. The warning has a rate limit: the error repeats until its cause is removed.
    pub fn accept_failed(&self, member: &str, error: &std::io::Error) {
        self.refusals.count(Refused::Accept);
        let now = self.clock.steady();
        self.warnings.warn(Kind::Accept, now, &format_args!("{member}: cannot accept a connection: {error}"));
    }

    /// Does what is due by the clock.
    pub fn tick(&self) {
        let now = self.clock.now();
        self.node.borrow_mut().tick(&now);
        self.warnings.tick(now.mono);
    }

    /// When [`Driver::tick`] is next due.
    #[must_use]
    pub fn wake_at(&self) -> Mono {
        self.node.borrow().wake_at().min(self.warnings.due_at())
    }

    /// When the summary of suppressed warnings is due: a part of [`Driver::wake_at`], for the path of a client's update,
    /// which may warn but moves no other timer.
    #[must_use]
    pub fn warns_at(&self) -> Mono {
        self.warnings.due_at()
    }

    /// What is to be done about links now. To be asked after every call that touches links or admits a
    /// update, until there is none.
    pub fn take_work(&self) -> Option<Work> {
        let mut node = self.node.borrow_mut();
        let now = self.clock.steady();
        if let Some((id, ended)) = node.take_cut() {
            self.log_cut(&node, now, &ended);
            return Some(Work::Cut(id));
        }
        if let Some(neighbour) = node.take_dial(now) {
            return Some(Work::Dial(neighbour));
        }
        match node.take_wakes() {
            0 => None,
            wakes => Some(Work::Wake(wakes)),
        }
    }

    /// The sessions whose writers have something to pull; for the path of a client's update, which can
    /// neither cut nor dial.
    pub fn take_wakes(&self) -> u32 {
        self.node.borrow_mut().take_wakes()
    }

    pub(super) fn name(&self, node: NodeId) -> String {
        name(&self.node.borrow(), node)
    }
}
