//! The second phase: the faults have ended, and the herd must recover within bounds.
//!
//! The bounds follow from the limits of the core. A node detects a dead connection after 30 s, the pause before
//! the next dial is at most 30 s, and a handshake takes less than 10 s. So all links are up 70 s after the
//! healing, and they compare their tables at once. On a link that stayed up, the next digest detects a
//! difference, at most 66 s after the last one. After a comparison that differs, the next one follows within 60
//! s.

use super::clients::ClientLine;
use super::event::Event;
use super::host::{Host, client_name};
use super::net::State;
use super::plan::{CLIENTS_MAX, Fault};
use super::world::{FIRST_KEY, SECOND_KEY, World};
use crate::proto::census::{LinkTrouble, Sum, Trouble};
use crate::proto::fields::{ClientId, Position};
use crate::proto::limits::{CENSUS_MS_MAX, CENSUSES_MAX, SWEEP_EVERY_MS, TIME_BYTES_MAX};
use crate::proto::names::NodeId;
use crate::proto::update::{Sighting, Update, UpdateRef};

/// Clients send updates for this long after the healing.
const LATE_REPORTS_MS: u64 = 15_000;
/// All tables agree within this time.
const TABLES_WITHIN_MS: u64 = 75_000;
/// All tables agree within this time if a trusted clock was wrong: that node refused updates that its
/// neighbours accepted, on links that stayed up.
const REFUSED_WITHIN_MS: u64 = 150_000;
/// All links are in sync within this time.
const STEP_WITHIN_MS: u64 = 280_000;
/// An update reaches all nodes of a healed herd within this time plus [`HOP_MS`] for each node.
const FLOOD_MS: u64 = 4_000;
const HOP_MS: u64 = 25;
/// The longest interval between two digests.
const ROUND_MS: u64 = 70_000;

/// The calendar moves on by this much at the healing if clocks were wrong by up to an hour.
const LATER_S: i64 = 7_200;
/// The largest delay of an untrusted clock: three years.
const BEHIND_NS_MAX: i64 = 3 * 365 * 86_400 * 1_000_000_000;

type Entries = Vec<Update>;

impl World {
    pub(super) fn prove(&mut self) {
        let lasting = !self.plan.has(Fault::ShortAges);
        let steps: &[fn(&mut Self)] = if lasting {
            &[
                Self::await_tables,
                Self::await_links,
                Self::prove_tables,
                Self::prove_silence,
                Self::prove_census,
                Self::prove_censuses_at_once,
                Self::prove_true_time,
                Self::prove_one_update,
                Self::prove_repair,
            ]
        } else {
            &[Self::await_links, Self::prove_oblivion, Self::prove_silence, Self::prove_one_update]
        };
        for step in [Self::heal, Self::update_late].iter().chain(steps) {
            if self.failure.is_none() {
                step(self);
            }
        }
    }

    fn heal(&mut self) {
        self.healed = true;
        self.say(|_| "the faults end".to_string());
        // A trusted clock that was an hour ahead has ranked updates by its time. These updates hold their ids
        // until then.
        self.later_s = if self.plan.has(Fault::WallSkew) { LATER_S } else { 0 };
        let later_ns = self.later_s * 1_000_000_000;
        self.mend_ways();
        let key = if self.plan.has(Fault::KeyRotation) { SECOND_KEY } else { FIRST_KEY };
        for host in 0..self.plan.nodes {
            let board = &mut self.hosts[host];
            board.paused_until = 0;
            board.wall_is_trusted = !self.plan.has(Fault::NoTrustedClocks);
            board.wall_off_ns = later_ns;
            if !board.wall_is_trusted {
                // A board without a clock chip is behind the true time, at times by years.
                board.wall_off_ns -= self.rng.i64(0..=BEHIND_NS_MAX);
            }
            if self.plan.keyed {
                self.give_keys(host, vec![key]);
            }
            self.start(host);
        }
        for conn in 0..self.conns.len() {
            let is_link = self.conns[conn].edge.is_some() && !self.conns[conn].is_over();
            let is_insider = self.conns[conn].ends[0].state == State::Insider;
            if is_link && self.plan.fresh_start || is_insider {
                self.cut_off(conn, true);
            }
            for end in 0..2 {
                self.at(self.now, Event::Pump { conn, end });
            }
        }
        // A corrected clock removes entries that are too far ahead before the checks begin.
        (0..self.plan.nodes).for_each(|host| self.tick_now(host));
        for (client, union) in self.union.iter_mut().enumerate() {
            let held = self.hosts.iter().filter_map(|board| board.held[client].map(|held| held.sighting));
            *union = held.max_by(Sighting::compare);
        }
    }

    fn flood_ms(&self) -> u64 {
        FLOOD_MS + HOP_MS * self.plan.nodes as u64
    }

    fn update_late(&mut self) {
        for _ in 0..self.rng.usize(0..6) {
            let (at, host) = (self.rng.u64(0..LATE_REPORTS_MS), self.rng.usize(0..self.plan.nodes));
            self.at(self.now + at, Event::Client { host });
        }
        self.run_until(self.heal_at + LATE_REPORTS_MS);
    }

    /// The entries of a node, the largest first.
    fn entries(&self, host: usize) -> Entries {
        let held = self.hosts[host].held.iter().map(|held| held.as_ref().map(|held| held.sighting));
        sorted(held.collect())
    }

    fn union_entries(&self) -> Entries {
        sorted(self.union.to_vec())
    }

    fn await_tables(&mut self) {
        let refused = self.plan.has(Fault::WallSteps);
        let within_ms = if refused { REFUSED_WITHIN_MS } else { TABLES_WITHIN_MS } + self.flood_ms();
        while self.tables_differ().is_some() && self.now < self.heal_at + within_ms {
            self.run_until(self.now + 1_000);
        }
        self.converged_ms = self.now - self.heal_at;
        self.prove_tables();
    }

    fn prove_tables(&mut self) {
        if let Some((check, detail)) = self.tables_differ() {
            self.fail(check, detail);
        }
    }

    /// Checks that every table holds the newest of all updates since the healing, as far as its capacity
    /// allows.
    fn tables_differ(&self) -> Option<(&'static str, String)> {
        let union = self.union_entries();
        let smallest = *self.plan.capacities.iter().min().expect("a herd has nodes");
        for host in 0..self.plan.nodes {
            let (held, expected) = (self.entries(host), &union[..smallest.min(union.len())]);
            if held.len() < expected.len() || held[..expected.len()] != *expected {
                let detail = format!("{} holds {}, not {}", self.names[host], words(&held), words(expected));
                return Some(("all tables hold the newest of all", detail));
            }
        }
        for &(a, b) in &self.plan.edges {
            if !self.agree(a, b) {
                let (one, other) = (words(&self.entries(a)), words(&self.entries(b)));
                let detail = format!("{} {one}, {} {other}", self.names[a], self.names[b]);
                return Some(("neighbours agree up to the smaller capacity", detail));
            }
        }
        None
    }

    /// Whether two tables are equal up to the smaller capacity.
    fn agree(&self, a: usize, b: usize) -> bool {
        let both = self.plan.capacities[a].min(self.plan.capacities[b]);
        self.entries(a).iter().take(both).eq(self.entries(b).iter().take(both))
    }

    /// Whether the node reports that it is in sync with that neighbour.
    fn is_in_sync(&self, host: usize, with: NodeId) -> bool {
        let node = self.hosts[host].node.as_ref().expect("all are up");
        node.links().any(|link| link.node == with && link.is_in_sync())
    }

    fn await_links(&mut self) {
        self.run_until(self.heal_at + STEP_WITHIN_MS + self.flood_ms());
        self.prove_links();
    }

    fn prove_links(&mut self) {
        for (a, b) in self.plan.edges.clone() {
            for (host, with) in [(a, b), (b, a)] {
                if self.failure.is_none() && !self.is_in_sync(host, self.id(host, with)) {
                    let detail = format!("{} is out of sync with {}", self.names[host], self.names[with]);
                    self.fail("all links are in sync", detail);
                }
            }
        }
    }

    /// No node reports that it is in sync with a neighbour while their tables differ.
    fn prove_honesty(&mut self) {
        for (a, b) in self.plan.edges.clone() {
            let is_claimed = |a, b| self.is_in_sync(a, self.id(a, b));
            if self.failure.is_none() && !self.agree(a, b) && (is_claimed(a, b) || is_claimed(b, a)) {
                let detail = format!("{} and {}", self.names[a], self.names[b]);
                self.fail("in sync only when tables are equal", detail);
            }
        }
    }

    /// Expired entries are removed at all nodes and do not come back.
    fn prove_oblivion(&mut self) {
        let life_ms = u64::from(self.plan.age_s_max) * 1_000;
        // The slowest path of an update, and the time until a sweep.
        let gone_at = self.heal_at + LATE_REPORTS_MS + 2 * life_ms + SWEEP_EVERY_MS + ROUND_MS;
        self.run_until(gone_at.max(self.now));
        for host in 0..self.plan.nodes {
            let left = self.hosts[host].node.as_ref().map_or(0, |node| node.table().len());
            if left > 0 {
                let detail = format!("{} still holds {}", self.names[host], words(&self.entries(host)));
                self.fail("expired entries are removed", detail);
            }
        }
    }

    fn prove_silence(&mut self) {
        let (before, differs) = (self.updates + self.census_lines, self.differs);
        self.run_until(self.now + ROUND_MS);
        let crossed = self.updates + self.census_lines - before;
        if crossed > 0 || self.differs > differs {
            self.fail("a quiet herd is silent", format!("{crossed} updates and lines of censuses crossed"));
        }
        self.prove_honesty();
    }

    /// After a claim far ahead, the client's next update to any node replaces the claim.
    fn prove_true_time(&mut self) {
        for is_ahead in [true, false] {
            let (time, time_ns) = match is_ahead {
                true if self.plan.has(Fault::NoTrustedClocks) => ("9".repeat(TIME_BYTES_MAX - 1), i64::MAX),
                true => self.time(86_000),
                false => self.time(0),
            };
            let host = self.rng.usize(0..self.plan.nodes);
            self.say_all(host, &[ClientLine::iamat(0, "+12.5-7", &time, time_ns)]);
            self.run_until(self.now + self.flood_ms());
            self.prove_newest("a time ahead holds an id until the next update");
        }
    }

    /// All nodes hold the newest update of the first client.
    fn prove_newest(&mut self, check: &'static str) {
        let newest = self.issued[0].last().map(|(sighting, _)| *sighting);
        let held = |board: &Host| board.held[0].map(|held| held.sighting);
        if let Some(host) = self.hosts.iter().position(|board| held(board) != newest) {
            let held = held(&self.hosts[host]);
            self.fail(check, format!("{} holds {held:?}, not {newest:?}", self.names[host]));
        }
    }

    /// One more update reaches all nodes and costs at most two lines for each edge. On the edge by which a node
    /// first gets it, it costs one line, because it is not sent back. A digest that crosses the update differs,
    /// and its bucket is sent again.
    fn prove_one_update(&mut self) {
        let (before, differs) = (self.updates, self.differs);
        let host = self.rng.usize(0..self.plan.nodes);
        // The time is later than any time that a client has claimed.
        let (time, time_ns) = self.time(3_600);
        self.say_all(host, &[ClientLine::iamat(0, "+12.5-7", &time, time_ns)]);
        self.run_until(self.now + self.flood_ms());
        let most = (2 * self.plan.edges.len() + 1 - self.plan.nodes) as u64;
        let lines = self.updates - before;
        if lines > most && self.differs == differs {
            self.fail("an update costs at most two lines per edge", format!("{lines} lines, at most {most}"));
        }
        self.prove_newest("an update reaches every node");
        self.prove_links();
        self.prove_honesty();
    }

    /// A census through one node, repeated until it compares from the highest floor of all nodes.
    fn census(&mut self, host: usize) -> Option<Sum> {
        let mut floor = None;
        loop {
            let (number, mono) = (self.rng.u64(..), self.hosts[host].now(self.now).mono);
            let before = self.census_lines;
            self.tell_facts(host);
            self.node(host)?.ask_herd(mono, (number, number), CENSUS_MS_MAX, true, floor.clone());
            self.settle(host);
            self.run_until(self.now + self.flood_ms());
            let sum = self.node(host)?.take_sum(number)?;
            if self.census_lines - before > 2 * self.plan.edges.len() as u64 {
                let lines = self.census_lines - before;
                self.fail("a census costs two lines per edge", format!("{lines} lines"));
            }
            if sum.floor == floor {
                return Some(sum);
            }
            floor = sum.floor;
        }
    }

    /// A census of a healed herd reports that it is in sync, at any node.
    fn prove_census(&mut self) {
        let host = self.rng.usize(0..self.plan.nodes);
        let sum = self.census(host);
        let callers = [Fault::Insiders, Fault::DigestStorms, Fault::Clones];
        let may_be_two = callers.into_iter().any(|fault| self.plan.has(fault));
        let is_well = |sum: &Sum| {
            let all = sum.answered.len() == self.plan.nodes && sum.strangers == 0;
            // A node remembers for ten minutes that a second board used a neighbour's name.
            let is_two = |link: &LinkTrouble| link.trouble == Trouble::NameInUse;
            let has_links = sum.links.iter().all(|link| may_be_two && is_two(link));
            all && has_links && sum.links_left_out == 0 && sum.differs == 0 && sum.pending == 0
        };
        if !sum.as_ref().is_some_and(is_well) {
            self.fail(
                "a census of a healed herd reports in sync",
                format!("{} hears {sum:?}", self.names[host]),
            );
        }
        for of in 0..self.plan.nodes {
            let (id, up_s) = (self.id(host, of), self.hosts[of].now(self.now).mono.0 / 1_000);
            let Some(facts) = self.node(host).map(|node| *node.facts(id)) else { return };
            let age_s = up_s.saturating_sub(u64::from(facts.up_s));
            if facts.version.text() != self.names[of] || age_s > self.flood_ms() / 1_000 + 1 {
                let detail = format!("{} hears of {}: {facts:?}", self.names[host], self.names[of]);
                self.fail("a census brings the facts of all nodes", detail);
            }
        }
    }

    /// Censuses that several nodes start at the same time cross on the links, and all of them end by
    /// themselves.
    fn prove_censuses_at_once(&mut self) {
        let asked: Vec<(usize, u64)> =
            (0..CENSUSES_MAX).map(|_| (self.rng.usize(0..self.plan.nodes), self.rng.u64(..))).collect();
        for &(host, number) in &asked {
            let mono = self.hosts[host].now(self.now).mono;
            if let Some(node) = self.node(host) {
                node.ask_herd(mono, (number, number), CENSUS_MS_MAX, number % 2 == 0, None);
            }
        }
        (0..self.plan.nodes).for_each(|host| self.settle(host));
        self.run_until(self.now + self.flood_ms());
        for (host, number) in asked {
            let sum = self.node(host).and_then(|node| node.take_sum(number));
            let answered = sum.map_or(0, |sum| sum.answered.len());
            if answered != self.plan.nodes {
                let detail = format!("{} hears of {answered} nodes", self.names[host]);
                self.fail("crossing censuses end by themselves", detail);
            }
        }
    }

    /// Changes one field to another value.
    fn spoil(&mut self, sighting: &mut Sighting) {
        let larger = self.rng.bool();
        match self.rng.u8(0..4) {
            // A change that only the order shows: the same rank, but the origin's clock was not trusted.
            3 if sighting.clock_was_trusted() => {
                let Sighting { time, origin, position, heard, rank, .. } = *sighting;
                *sighting = Sighting::untrusted(time, origin, position, heard, rank);
                return;
            }
            0 | 3 => sighting.heard.0 += if larger { 1 } else { -1 },
            1 => {
                let position = if larger { "+12.5-8" } else { "+12.5-6" };
                sighting.position = Position::parse(position.as_bytes()).expect("a position");
            }
            _ => {
                let other = (sighting.origin.index() + 1) % self.plan.nodes;
                sighting.origin = self.id(other, other);
            }
        }
        let Sighting { time, origin, position, heard, .. } = *sighting;
        if sighting.clock_was_trusted() {
            *sighting = Sighting::trusted(time, origin, position, heard);
        }
    }

    /// An entry changes without the core's knowledge. The herd must detect, report and repair it.
    fn prove_repair(&mut self) {
        let (host, differs) = (self.rng.usize(0..self.plan.nodes), self.differs);
        let client = ClientId::parse(client_name(0).as_bytes()).expect("a token");
        let mut held = self.hosts[host].held[0].expect("the entry was checked before");
        self.spoil(&mut held.sighting);
        let spoilt = held.sighting;
        if !self.node(host).is_some_and(|node| node.sim_spoil(&client, |sighting| *sighting = spoilt)) {
            return self.fail("an entry that is held can be spoilt", String::new());
        }
        self.say(|world| format!("{} holds the spoilt entry {spoilt:?}", world.names[host]));
        // The checks accept the change: a larger entry counts as an honest update, and a smaller one is
        // repaired.
        self.hosts[host].held[0] = Some(held);
        let at = self.issued[0].last().map_or(0, |(_, at)| *at);
        self.issued[0].push((held.sighting, at));
        let union = self.union[0].expect("the client has just sent an update");
        self.union[0] = Some(if held.sighting.compare(&union).is_gt() { held.sighting } else { union });
        let asked = self.rng.usize(0..self.plan.nodes);
        if self.differs == differs
            && !self.census(asked).is_some_and(|sum| sum.differs != 0 || self.differs > differs)
        {
            self.fail(
                "a census notices a spoilt entry",
                format!("at {}, asked at {}", self.names[host], self.names[asked]),
            );
        }
        self.run_until(self.now + ROUND_MS);
        if self.differs == differs {
            self.fail("a spoilt entry is noticed", format!("at {}", self.names[host]));
        }
        self.run_until(self.now + self.flood_ms());
        self.prove_tables();
        self.prove_links();
        self.prove_honesty();
    }
}

fn sorted(held: Vec<Option<Sighting>>) -> Entries {
    debug_assert_eq!(held.len(), CLIENTS_MAX);
    let updates = held.into_iter().enumerate().filter_map(|(client, sighting)| {
        let client = ClientId::parse(client_name(client).as_bytes()).expect("a token");
        sighting.map(|sighting| Update { client, sighting })
    });
    let mut entries: Entries = updates.collect();
    entries.sort_by(|a, b| b.borrowed().compare(&a.borrowed()));
    entries
}

fn words(entries: &[Update]) -> String {
    let word = |update: &Update| {
        let UpdateRef { client, sighting } = update.borrowed();
        let client = String::from_utf8_lossy(client.as_bytes()).into_owned();
        let rank = sighting.rank.0;
        format!("{client}@{rank} of {}", sighting.origin.index())
    };
    format!("[{}]", entries.iter().map(word).collect::<Vec<_>>().join(", "))
}
