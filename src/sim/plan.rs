//! The plan: what a seed decides before the run, namely the herd's shape and the faults.

use std::fmt;

use fastrand::Rng;

use super::Options;
use crate::proto::limits::{AGE_S_MAX, NEIGHBOURS_MAX};

/// Slots of each node's table. The small size makes full tables common and runs fast.
pub(super) const SLOTS: usize = 64;
/// Largest number of entries in a table of this size.
const CAPACITY_MAX: usize = SLOTS / 2;
/// Largest number of clients: more than a table holds.
pub(super) const CLIENTS_MAX: usize = 2 * CAPACITY_MAX;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident,)*) => {
        /// A fault. A seed enables any number of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Fault {
            $($(#[$doc])* $fault,)*
        }

        pub(super) const FAULTS: &[Fault] = &[$(Fault::$fault),*];
    };
}

faults! {
    /// Latency of up to 3 s in each direction.
    SlowLinks,
    /// Bandwidth down to one line per second.
    ThinLinks,
    /// Lines arrive in pieces.
    Splits,
    /// Connections are cut between any two bytes.
    Cuts,
    /// One direction of a connection stalls.
    Stalls,
    /// Two neighbours cannot reach each other.
    Partitions,
    /// One edge goes up and down during all of the first phase.
    Flapping,
    /// A process ends: its connections are reset and its table is lost.
    Crashes,
    /// A board loses power: its peers get no signal.
    PowerCuts,
    /// A process is stopped for a while.
    Pauses,
    /// Wall clocks jump by up to ten years, either way.
    WallSteps,
    /// Wall clocks are up to an hour off.
    WallSkew,
    /// Some nodes do not trust their wall clock.
    UntrustedClocks,
    /// No clock is ever trusted. After the healing, all are behind the true time by up to three years.
    NoTrustedClocks,
    /// Clients claim times days and years ahead.
    FutureTimes,
    /// Clients claim few different times, written in several ways.
    EqualTimes,
    /// Some nodes start with a key that is not the herd's.
    WrongKeys,
    /// The operator rotates the herd's key, node by node.
    KeyRotation,
    /// Strangers connect to link ports and send arbitrary bytes.
    Strangers,
    /// An attacker with the key connects under a neighbour's name and sends invalid lines.
    Insiders,
    /// An attacker with the key sends digests without pause.
    DigestStorms,
    /// A second board has a neighbour's name and key.
    Clones,
    /// An address may hold few clients.
    TightQuotas,
    /// A man in the middle changes, repeats, drops and replays lines.
    Middleman,
    /// More clients than a table holds.
    FullTables,
    /// Boards of unlike capacity.
    UnlikeCapacities,
    /// Entries live for seconds, so that many are about to expire.
    ShortAges,
    /// Boards write snapshots and restore them, some of them old.
    Snapshots,
}

/// The topology of the herd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Line,
    Ring,
    Grid,
    Random,
    /// One node with up to 16 neighbours.
    Star,
}

/// The quality of a connection: the range of its latency and the pause between lines, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    pub(super) latency_ms: (u64, u64),
    pub(super) line_every_ms: u64,
}

/// The links of a healed herd: a local network.
pub(super) const GOOD_WAYS: Ways = Ways { latency_ms: (1, 20), line_every_ms: 1 };

/// The plan of one seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    faults: u32,
    pub(super) shape: Shape,
    pub(super) nodes: usize,
    /// The edges, each with the smaller node first.
    pub(super) edges: Vec<(usize, usize)>,
    pub(super) ways: Vec<Ways>,
    pub(super) capacities: Vec<usize>,
    pub(super) age_s_max: u32,
    /// Whether the herd has a key.
    pub(super) keyed: bool,
    /// Whether its links are secret.
    pub(super) secret: bool,
    pub(super) clients: usize,
    pub(super) updates: usize,
    /// Duration of the first phase, in milliseconds.
    pub(super) faulty_ms: u64,
    /// Whether the healing drops all connections. It does in half of the seeds.
    pub(super) fresh_start: bool,
}

impl Plan {
    pub(super) fn of(rng: &mut Rng, options: &Options) -> Self {
        let faults = draw_faults(rng);
        let has = |fault: Fault| faults & 1 << fault as u32 != 0;
        let shape = *pick(rng, &[Shape::Line, Shape::Ring, Shape::Grid, Shape::Random, Shape::Star]);
        let usual = match shape {
            Shape::Star if rng.u8(0..8) == 0 => 1 + NEIGHBOURS_MAX,
            _ => rng.usize(3..=7),
        };
        let nodes = options.nodes.unwrap_or(usual);
        let edges = draw_edges(rng, shape, nodes);
        let ways =
            edges.iter().map(|_| draw_ways(rng, has(Fault::SlowLinks), has(Fault::ThinLinks))).collect();
        let clients = if has(Fault::FullTables) { rng.usize(12..=CLIENTS_MAX) } else { rng.usize(1..=8) };
        let common = if has(Fault::FullTables) { rng.usize(2..=10) } else { CAPACITY_MAX };
        let capacities = (0..nodes).map(|_| match () {
            () if has(Fault::UnlikeCapacities) && has(Fault::FullTables) => rng.usize(2..=CAPACITY_MAX),
            () if has(Fault::UnlikeCapacities) => rng.usize(9..=CAPACITY_MAX),
            () => common,
        });
        Plan {
            faults,
            shape,
            nodes,
            capacities: capacities.collect(),
            age_s_max: if has(Fault::ShortAges) { rng.u32(20..=90) } else { AGE_S_MAX },
            // Without a key, links are not authenticated. The configuration allows this only on loopback,
            // without attackers.
            keyed: has(Fault::WrongKeys)
                || has(Fault::KeyRotation)
                || has(Fault::Strangers)
                || has(Fault::Insiders)
                || has(Fault::DigestStorms)
                || has(Fault::Clones)
                || has(Fault::Middleman)
                || rng.u8(0..4) != 0,
            secret: false,
            clients,
            updates: options.updates.unwrap_or_else(|| rng.usize(10..=60)),
            faulty_ms: rng.u64(40_000..=160_000),
            fresh_start: rng.bool(),
            edges,
            ways,
        }
    }

    /// A herd without faults.
    pub(super) fn calm(shape: Shape, nodes: usize, edges: Vec<(usize, usize)>) -> Self {
        Plan {
            faults: 0,
            shape,
            nodes,
            ways: vec![GOOD_WAYS; edges.len()],
            edges,
            capacities: vec![CAPACITY_MAX; nodes],
            age_s_max: AGE_S_MAX,
            keyed: true,
            secret: false,
            clients: 8,
            updates: 0,
            faulty_ms: 1,
            fresh_start: false,
        }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults & 1 << fault as u32 != 0
    }

    pub(super) fn neighbours(&self, node: usize) -> Vec<usize> {
        let ends = self.edges.iter().filter_map(|&(a, b)| match () {
            () if a == node => Some(b),
            () if b == node => Some(a),
            () => None,
        });
        let mut neighbours: Vec<usize> = ends.collect();
        neighbours.sort_unstable();
        neighbours
    }

    pub(super) fn edge(&self, a: usize, b: usize) -> usize {
        let edge = (a.min(b), a.max(b));
        self.edges.iter().position(|other| *other == edge).expect("only neighbours are dialled")
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Plan { shape, nodes, clients, updates, age_s_max, faulty_ms, .. } = self;
        write!(
            f,
            "{shape:?} of {nodes} nodes, capacities {:?}, {clients} clients, {updates} updates, ",
            self.capacities
        )?;
        let key = match () {
            () if self.secret => "secret links",
            () if self.keyed => "a key",
            () => "no key",
        };
        write!(f, "{key}, an age of {age_s_max} s; {faulty_ms} ms of faults:")?;
        FAULTS.iter().filter(|fault| self.has(**fault)).try_for_each(|fault| write!(f, " {fault:?}"))
    }
}

pub(super) fn pick<'a, T>(rng: &mut Rng, list: &'a [T]) -> &'a T {
    &list[rng.usize(0..list.len())]
}

/// Enables a few faults in most seeds, so that each can take effect, and many in some seeds.
fn draw_faults(rng: &mut Rng) -> u32 {
    let one_in = *pick(rng, &[2, 4, 4, 8, 16]);
    let drawn = FAULTS.iter().filter(|_| rng.u8(0..one_in) == 0);
    let mut faults = drawn.fold(0, |mask, fault| mask | 1 << *fault as u32);
    // A trusted clock that is wrong rejects correct clients. Combined with claims ahead of time, the herd
    // promises nothing. Untrusted clocks may step together with both.
    let bit = |fault: Fault| 1_u32 << fault as u32;
    if faults & bit(Fault::FutureTimes) != 0 && faults & bit(Fault::WallSteps) != 0 {
        faults &= !bit(Fault::WallSteps);
    }
    if faults & bit(Fault::NoTrustedClocks) != 0 {
        // An untrusted clock that is years ahead allows claims up to its time. This is documented and not
        // corrected. An insider can also claim any time of a trusted clock, and no node of such a herd can
        // detect that.
        faults &= !(bit(Fault::UntrustedClocks) | bit(Fault::WallSteps) | bit(Fault::Insiders));
    }
    faults
}

pub(super) fn draw_edges(rng: &mut Rng, shape: Shape, nodes: usize) -> Vec<(usize, usize)> {
    let chain = (1..nodes).map(|n| (n - 1, n));
    let mut edges: Vec<(usize, usize)> = match shape {
        Shape::Ring if nodes > 2 => chain.chain([(0, nodes - 1)]).collect(),
        Shape::Line | Shape::Ring => chain.collect(),
        Shape::Star => {
            let centre = rng.usize(0..nodes);
            let others: Vec<usize> = (0..nodes).filter(|&n| n != centre).collect();
            // Nodes that exceed the neighbours of the centre connect to the first outer nodes.
            let hub = |i: usize| if i < NEIGHBOURS_MAX { centre } else { others[i - NEIGHBOURS_MAX] };
            others.iter().enumerate().map(|(i, &n)| (n.min(hub(i)), n.max(hub(i)))).collect()
        }
        Shape::Grid => {
            let wide = (1..).find(|w| w * w >= nodes).unwrap_or(1);
            let right = (1..nodes).filter(|n| n % wide != 0).map(|n| (n - 1, n));
            right.chain((wide..nodes).map(|n| (n - wide, n))).collect()
        }
        Shape::Random => (1..nodes).map(|n| (rng.usize(n.saturating_sub(8)..n), n)).collect(),
    };
    if shape == Shape::Random {
        for _ in 0..rng.usize(0..=nodes) {
            let (a, b) = (rng.usize(0..nodes), rng.usize(0..nodes));
            let edge = (a.min(b), a.max(b));
            let degree = |n| edges.iter().filter(|&&(x, y)| x == n || y == n).count();
            if a != b && !edges.contains(&edge) && degree(a).max(degree(b)) < NEIGHBOURS_MAX {
                edges.push(edge);
            }
        }
    }
    edges
}

fn draw_ways(rng: &mut Rng, slow: bool, thin: bool) -> Ways {
    let low = if slow { rng.u64(1..=2_000) } else { rng.u64(1..=20) };
    let high = if slow { rng.u64(low..=3_000) } else { low + 10 };
    // From one line per second to one line per millisecond.
    let line_every_ms = if thin { 1_000 / rng.u64(1..=1_000) } else { 1 };
    Ways { latency_ms: (low, high), line_every_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_herd_is_connected() {
        let mut seen = 0;
        for seed in 0..500 {
            let plan = Plan::of(&mut Rng::with_seed(seed), &Options::default());
            seen |= plan.faults;
            let mut reached = vec![0];
            for i in 0..plan.nodes {
                let from = *reached.get(i).unwrap_or_else(|| panic!("{seed}: {plan} is partitioned"));
                let next: Vec<usize> =
                    plan.neighbours(from).into_iter().filter(|n| !reached.contains(n)).collect();
                reached.extend(next);
            }
            assert!((0..plan.nodes).all(|n| plan.neighbours(n).len() <= NEIGHBOURS_MAX), "{seed}");
        }
        assert_eq!(seen.count_ones() as usize, FAULTS.len());
    }
}
