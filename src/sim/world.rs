//! The world: boards, connections, and a queue of events.
//!
//! After every input to a node, [`World::settle`] performs the actions that the node requests, as the head of
//! `proto/node/mod.rs` requires, and schedules the node's next tick.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;

use super::event::Event;
use super::host::{Host, TIGHT_QUOTA, keys};
use super::net::Conn;
use super::pairs::{Pairs, SECRET_SEEDS};
use super::plan::{CLIENTS_MAX, Fault, Plan, SLOTS, Ways};
use super::trace::Trace;
use super::{Failure, Options, Summary};
use crate::proto::counters::Counters;
use crate::proto::facts::Version;
use crate::proto::limits::NONCE_BYTES;
use crate::proto::names::NodeId;
use crate::proto::node::links::LinkEvent;
use crate::proto::node::{Node, Seed, Setup};
use crate::proto::time::Mono;
use crate::proto::update::Sighting;

/// Ticks of one node within one millisecond. More mean that a due timer causes no action.
const SPINS_MAX: u32 = 20;
/// The herd's key at the start. A rotation replaces it by [`SECOND_KEY`].
pub(super) const FIRST_KEY: u8 = 1;
pub(super) const SECOND_KEY: u8 = 2;
pub(super) const WRONG_KEY: u8 = 9;

pub(super) struct World {
    pub(super) seed: u64,
    /// The key pairs of a herd with secret links.
    pub(super) pairs: Option<Pairs>,
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    queued: u64,
    pub(super) hosts: Vec<Host>,
    pub(super) names: Vec<String>,
    pub(super) conns: Vec<Conn>,
    /// By edge: the quality of a new connection, and the end of a partition.
    pub(super) ways: Vec<Ways>,
    pub(super) partitioned_until: Vec<u64>,
    /// By client: every update that a node answered, and its time.
    pub(super) issued: Vec<Vec<(Sighting, u64)>>,
    /// By client: the newest update that any table has held since the healing.
    pub(super) union: [Option<Sighting>; CLIENTS_MAX],
    pub(super) heal_at: u64,
    pub(super) healed: bool,
    /// How far the calendar is ahead of the world's time, in seconds.
    pub(super) later_s: i64,
    /// The largest lead of a wall clock over the world's time, in nanoseconds.
    pub(super) farthest_ns: i64,
    /// Comparisons since the healing in which digests differed.
    pub(super) differs: u64,
    pub(super) lines: u64,
    pub(super) updates: u64,
    pub(super) update_bytes: u64,
    pub(super) census_lines: u64,
    pub(super) converged_ms: u64,
    pub(super) counters: Vec<(&'static str, u64)>,
    /// Lines that the man in the middle has recorded.
    pub(super) recorded: Vec<Vec<u8>>,
    pub(super) failure: Option<Box<Failure>>,
    pub(super) trace: Trace,
    pub(super) prints: bool,
}

impl World {
    pub(super) fn new(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut plan = Plan::of(&mut rng, options);
        plan.secret = plan.keyed && seed.is_multiple_of(SECRET_SEEDS);
        World::of(seed, plan, rng, options)
    }

    pub(super) fn of(seed: u64, plan: Plan, rng: Rng, options: &Options) -> Self {
        let mut world = World {
            seed,
            pairs: Pairs::of(&plan),
            now: 1_000,
            queue: BinaryHeap::new(),
            queued: 0,
            hosts: (0..plan.nodes).map(|_| Host::new()).collect(),
            names: (0..plan.nodes).map(|n| format!("n{n:04}")).collect(),
            conns: vec![],
            ways: plan.ways.clone(),
            partitioned_until: vec![0; plan.edges.len()],
            issued: vec![vec![]; CLIENTS_MAX],
            union: [None; CLIENTS_MAX],
            heal_at: 3_000 + plan.faulty_ms,
            healed: false,
            later_s: 0,
            farthest_ns: 0,
            differs: 0,
            lines: 0,
            updates: 0,
            update_bytes: 0,
            census_lines: 0,
            converged_ms: 0,
            counters: Counters::new().each().collect(),
            recorded: vec![],
            failure: None,
            trace: Trace::new(seed),
            prints: options.trace,
            plan,
            rng,
        };
        world.set_out();
        world
    }

    /// Boards start within two seconds of each other, so that their seconds do not start at the same time.
    fn set_out(&mut self) {
        for host in 0..self.plan.nodes {
            let (at, wrong) = (self.now + self.rng.u64(0..2_000), self.rng.u8(0..3) == 0);
            let board = &mut self.hosts[host];
            board.keys = match () {
                () if !self.plan.keyed => vec![],
                () if wrong && self.plan.has(Fault::WrongKeys) => vec![WRONG_KEY],
                () => vec![FIRST_KEY],
            };
            board.wall_is_trusted = !(self.plan.has(Fault::NoTrustedClocks)
                || self.plan.has(Fault::UntrustedClocks) && self.rng.bool());
            if self.plan.has(Fault::WallSkew) {
                board.wall_off_ns = self.rng.i64(-3_600_000_000_000..=3_600_000_000_000);
            }
            self.at(at, Event::Start { host });
        }
        for _ in 0..self.plan.updates {
            let (at, host) = (self.rng.u64(3_000..self.heal_at), self.rng.usize(0..self.plan.nodes));
            self.at(at, Event::Client { host });
        }
        self.plan_mishaps();
    }

    pub(super) fn run(mut self) -> Result<Summary, Box<Failure>> {
        self.say(|world| format!("{}", world.plan));
        self.run_until(self.heal_at);
        self.prove();
        (0..self.plan.nodes).for_each(|host| self.count(host));
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        Ok(Summary {
            plan: self.plan.to_string(),
            hash: self.trace.hash(),
            simulated_ms: self.now,
            lines: self.lines,
            updates: self.updates,
            connections: self.conns.len() as u64,
            converged_ms: self.converged_ms,
            counters: self.counters,
        })
    }

    /// Adds a node's counters to the world's, at the end of its life.
    pub(super) fn count(&mut self, host: usize) {
        let Some(node) = &self.hosts[host].node else { return };
        for ((_, sum), (_, value)) in self.counters.iter_mut().zip(node.counters().each()) {
            *sum += value;
        }
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((at.max(self.now), self.queued, event)));
    }

    pub(super) fn run_until(&mut self, end: u64) {
        while let Some(Reverse((at, _, event))) = self.queue.peek().copied() {
            if at > end || self.failure.is_some() {
                break;
            }
            self.queue.pop();
            self.now = at;
            self.happen(event);
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, event: Event) {
        // A paused board handles all events later, in order.
        let host = match event {
            Event::Tick { host } | Event::DialFailed { host, .. } | Event::Client { host } => Some(host),
            Event::Pump { conn, end } | Event::Arrive { conn, end } => self.conns[conn].ends[end].host,
            Event::Accept { conn } => self.conns[conn].ends[1].host,
            Event::Dialled { conn } => self.conns[conn].ends[0].host,
            Event::Start { .. } | Event::Connect { .. } | Event::Insider { .. } | Event::Mishap(_) => None,
        };
        let paused_until = host.map_or(0, |host| self.hosts[host].paused_until);
        if paused_until > self.now {
            return self.at(paused_until, event);
        }
        match event {
            Event::Start { host } => self.start(host),
            Event::Tick { host } => self.tick(host),
            Event::Pump { conn, end } => self.pump(conn, end),
            Event::Arrive { conn, end } => self.arrive(conn, end),
            Event::Connect { conn } => self.connect(conn),
            Event::Accept { conn } => self.accept(conn),
            Event::Dialled { conn } => self.dialled(conn),
            Event::DialFailed { host, epoch, to } => self.dial_failed(host, epoch, to),
            Event::Client { host } => self.client(host),
            Event::Insider { conn } => self.insider_speaks(conn),
            Event::Mishap(mishap) => self.mishap(mishap),
        }
    }

    pub(super) fn start(&mut self, host: usize) {
        if self.hosts[host].is_up() {
            return;
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let mut node = Box::new(Node::<SLOTS>::new());
        let board = &mut self.hosts[host];
        board.life += 1;
        let setup = Setup {
            names: &names,
            me: host,
            neighbours: &self.plan.neighbours(host),
            keys: keys(&board.keys),
            secrecy: self.pairs.as_ref().map(|pairs| pairs.secrecy(host)),
            capacity: self.plan.capacities[host],
            age_s_max: self.plan.age_s_max,
            seed: Seed {
                hash_key: (self.rng.u64(..), self.rng.u64(..)),
                jitter: self.rng.u64(..),
                boot: self.rng.u64(..),
            },
        };
        node.start(&setup).expect("the plan respects the limits");
        if self.plan.has(Fault::TightQuotas) {
            node.set_clients_per_address(TIGHT_QUOTA);
        }
        board.node = Some(node);
        board.started_at = self.now;
        board.tick_at = u64::MAX;
        self.say(|world| format!("{} starts", world.names[host]));
        self.read_disk(host);
        self.settle(host);
    }

    fn tick(&mut self, host: usize) {
        if self.hosts[host].tick_at <= self.now {
            self.hosts[host].tick_at = u64::MAX;
            self.tick_now(host);
        }
    }

    pub(super) fn tick_now(&mut self, host: usize) {
        let board = &mut self.hosts[host];
        let now = board.now(self.now);
        let Some(node) = &mut board.node else { return };
        node.tick(&now);
        board.spins = if board.ticked_at == self.now { board.spins + 1 } else { 0 };
        board.ticked_at = self.now;
        if board.spins > SPINS_MAX {
            let detail = format!("{} ticks again and again", self.names[host]);
            return self.fail("a timer that is due causes an action", detail);
        }
        self.check(host, None);
        self.settle(host);
    }

    /// Performs the actions that the node requests.
    pub(super) fn settle(&mut self, host: usize) {
        self.close_cut(host);
        let mono = self.hosts[host].now(self.now).mono;
        while let Some(to) = self.node(host).and_then(|node| node.take_dial(mono)) {
            self.dial(host, to);
        }
        let wakes = self.node(host).map_or(0, Node::take_wakes);
        for index in (0..u32::BITS).filter(|index| wakes & 1 << index != 0) {
            if let Some((conn, end)) = self.hosts[host].sessions[index as usize] {
                self.pump(conn, end);
            }
        }
        self.set_tick(host);
    }

    pub(super) fn set_tick(&mut self, host: usize) {
        let board = &mut self.hosts[host];
        let Some(node) = &board.node else { return };
        let wake = node.wake_at();
        if wake == Mono::NEVER {
            return;
        }
        let at = board.started_at.saturating_add(wake.0).max(self.now);
        if at < board.tick_at {
            board.tick_at = at;
            self.at(at, Event::Tick { host });
        }
    }

    pub(super) fn node(&mut self, host: usize) -> Option<&mut Node<SLOTS>> {
        self.hosts[host].node.as_deref_mut()
    }

    pub(super) fn id(&self, host: usize, of: usize) -> NodeId {
        let node = self.hosts[host].node.as_ref().expect("the caller checks that the node is up");
        node.names().id(of).expect("all nodes of a world have one configuration")
    }

    pub(super) fn nonce(&mut self) -> [u8; NONCE_BYTES] {
        self.rng.u128(..).to_be_bytes()
    }

    /// Gives a node the facts that a server knows: here its name is its version.
    pub(super) fn tell_facts(&mut self, host: usize) {
        let (mono, version) = (self.hosts[host].now(self.now).mono, Version::of(&self.names[host]));
        if let Some(node) = self.node(host) {
            node.set_facts(mono, version, 0);
        }
    }

    /// The result of a comparison must show in the link's state at once.
    pub(super) fn note(&mut self, host: usize, event: LinkEvent) {
        if event == LinkEvent::FactsAsked {
            self.tell_facts(host);
        }
        let LinkEvent::Differs { node, .. } = event else { return };
        self.differs += u64::from(self.healed);
        let link = self.node(host).and_then(|up| up.links().find(|link| link.node == node));
        if link.is_some_and(|link| link.is_in_sync()) {
            let detail =
                format!("{} reports to be in sync with {}", self.names[host], self.names[node.index()]);
            self.fail("out of sync once digests differ", detail);
        }
    }

    pub(super) fn fail(&mut self, check: &'static str, detail: String) {
        if self.failure.is_none() {
            let (seed, plan, at_ms) = (self.seed, self.plan.to_string(), self.now);
            self.failure = Some(Box::new(Failure { seed, plan, check, detail, at_ms }));
        }
    }

    pub(super) fn say(&self, what: impl FnOnce(&Self) -> String) {
        if self.prints {
            println!("{:>9} {}", self.now, what(self));
        }
    }
}
