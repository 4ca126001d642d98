//! The faults of the first phase: what happens, and when.

use super::attacker::Manner;
use super::event::{Event, Mishap};
use super::host::keys;
use super::net::State;
use super::plan::{Fault, pick};
use super::world::{FIRST_KEY, SECOND_KEY, World};
use crate::proto::node::reload::Reload;

/// Largest step of a wall clock: ten years.
const WALL_STEP_NS_MAX: i64 = 10 * 365 * 86_400 * 1_000_000_000;
/// Faults that occur repeatedly.
const STRIKES: [Fault; 13] = [
    Fault::Cuts,
    Fault::Stalls,
    Fault::Partitions,
    Fault::Crashes,
    Fault::PowerCuts,
    Fault::Pauses,
    Fault::WallSteps,
    Fault::UntrustedClocks,
    Fault::Strangers,
    Fault::Insiders,
    Fault::DigestStorms,
    Fault::Clones,
    Fault::Snapshots,
];

impl World {
    pub(super) fn plan_mishaps(&mut self) {
        if STRIKES.iter().any(|fault| self.plan.has(*fault)) {
            self.at(self.now + 2_000, Event::Mishap(Mishap::Strike));
        }
        if self.plan.has(Fault::Flapping) {
            let edge = self.rng.usize(0..self.plan.edges.len());
            self.at(self.now + 2_000, Event::Mishap(Mishap::Flap { edge }));
        }
        if self.plan.has(Fault::KeyRotation) {
            let steps = 2 * self.plan.nodes;
            for step in 0..steps {
                let at = 5_000 + (self.heal_at - 10_000) * step as u64 / steps as u64;
                self.at(at, Event::Mishap(Mishap::Rotate { step }));
            }
        }
    }

    pub(super) fn mishap(&mut self, mishap: Mishap) {
        if self.healed {
            return;
        }
        match mishap {
            Mishap::Strike => {
                let on: Vec<Fault> = STRIKES.into_iter().filter(|fault| self.plan.has(*fault)).collect();
                let fault = *pick(&mut self.rng, &on);
                self.strike(fault);
                let at = self.now + self.rng.u64(500..6_000);
                self.at(at, Event::Mishap(Mishap::Strike));
            }
            Mishap::Flap { edge } => {
                self.partitioned_until[edge] = self.now + self.rng.u64(100..8_000);
                let at = self.partitioned_until[edge] + self.rng.u64(100..8_000);
                self.at(at, Event::Mishap(mishap));
            }
            Mishap::Rotate { step } => {
                let (host, nodes) = (step % self.plan.nodes, self.plan.nodes);
                let keys = if step < nodes { vec![SECOND_KEY, FIRST_KEY] } else { vec![SECOND_KEY] };
                self.give_keys(host, keys);
            }
        }
    }

    /// The random end of a fault, before the healing.
    fn ends_at(&mut self, ms_max: u64) -> u64 {
        (self.now + self.rng.u64(200..ms_max)).min(self.heal_at)
    }

    fn strike(&mut self, fault: Fault) {
        let host = self.rng.usize(0..self.plan.nodes);
        self.say(|world| format!("{fault:?} {host} of {}", world.plan.nodes));
        match fault {
            Fault::Cuts => self.cut_one(),
            Fault::Stalls => {
                let (at, end) = (self.ends_at(45_000), self.rng.usize(0..2));
                if let Some(conn) = self.any_connection() {
                    self.conns[conn].ways[end].stalled_until = at;
                }
            }
            Fault::Partitions => {
                let edge = self.rng.usize(0..self.plan.edges.len());
                self.partitioned_until[edge] = self.ends_at(60_000);
            }
            Fault::Crashes => self.crash(host, true),
            Fault::PowerCuts => self.crash(host, false),
            Fault::Pauses => self.hosts[host].paused_until = self.ends_at(40_000),
            Fault::WallSteps => {
                let off_ns = self.rng.i64(-WALL_STEP_NS_MAX..=WALL_STEP_NS_MAX);
                self.hosts[host].wall_off_ns = if self.rng.bool() { off_ns } else { 0 };
            }
            Fault::UntrustedClocks => self.hosts[host].wall_is_trusted ^= true,
            Fault::Strangers => {
                let count = if self.rng.u8(0..6) == 0 { self.rng.usize(30..50) } else { 1 };
                for _ in 0..count {
                    self.stranger(host);
                }
            }
            Fault::Insiders => self.insider(host, Manner::Talks),
            Fault::DigestStorms => self.insider(host, Manner::ComparesAllTheTime),
            Fault::Clones => self.insider(host, Manner::IsAClone),
            Fault::Snapshots => self.write_disk(host),
            _ => {}
        }
    }

    fn any_connection(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.conns.len())
            .filter(|&conn| self.conns[conn].edge.is_some() && !self.conns[conn].is_over())
            .collect();
        (!open.is_empty()).then(|| *pick(&mut self.rng, &open))
    }

    /// A connection breaks at any byte of each direction.
    fn cut_one(&mut self) {
        if let Some(conn) = self.any_connection() {
            self.cut_off(conn, false);
        }
    }

    pub(super) fn cut_off(&mut self, conn: usize, at_once: bool) {
        for end in 0..2 {
            let way = &mut self.conns[conn].ways[end];
            let keep = if at_once { 0 } else { self.rng.usize(0..=way.bytes_in_flight()) };
            way.cut_after(keep);
            let at = way.finish(self.now);
            self.at(at, Event::Arrive { conn, end });
        }
    }

    /// The board loses all its state. If `is_graceful`, its connections close and its neighbours notice at
    /// once.
    fn crash(&mut self, host: usize, is_graceful: bool) {
        if !self.hosts[host].is_up() {
            return;
        }
        // A graceful stop may write a snapshot.
        if is_graceful && self.plan.has(Fault::Snapshots) && self.rng.bool() {
            self.write_disk(host);
        }
        self.count(host);
        self.hosts[host].forget();
        for conn in 0..self.conns.len() {
            for end in 0..2 {
                let here = &mut self.conns[conn].ends[end];
                if here.host != Some(host) || here.state == State::Gone {
                    continue;
                }
                if is_graceful {
                    self.leave(conn, end);
                } else {
                    here.state = State::Gone;
                }
            }
        }
        let at = self.ends_at(50_000);
        self.at(at, Event::Start { host });
    }

    pub(super) fn give_keys(&mut self, host: usize, numbers: Vec<u8>) {
        if self.hosts[host].keys == numbers {
            return;
        }
        self.say(|world| format!("{} has the keys {numbers:?}", world.names[host]));
        let withdrawn = self.hosts[host].keys.iter().any(|key| !numbers.contains(key));
        self.hosts[host].keys = numbers;
        if !self.hosts[host].is_up() {
            return;
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let keys = keys(&self.hosts[host].keys);
        let secrecy = self.pairs.as_ref().map(|pairs| pairs.secrecy(host));
        let reload = Reload { names: &names, neighbours: &self.plan.neighbours(host), keys, secrecy };
        let now = self.hosts[host].now(self.now);
        let node = self.hosts[host].node.as_mut().expect("it is up");
        let reloaded = node.reload(&now, &reload);
        // The dials that are under way become invalid.
        self.hosts[host].epoch += 1;
        if !matches!(reloaded, Ok(ref all) if all.entries_dropped == 0 && all.added + all.removed == 0) {
            return self.fail("new keys change only links", format!("{reloaded:?}"));
        }
        if withdrawn && self.node(host).is_some_and(|node| node.links().any(|link| link.up_since.is_some())) {
            return self.fail("no link outlives its key", self.names[host].clone());
        }
        self.check(host, None);
        self.settle(host);
    }
}
