//! What a seed decides before anything runs: the herd's shape, and which faults are switched on.

use std::fmt;

use fastrand::Rng;

use super::Options;
use crate::proto::limits::{AGE_S_MAX, NEIGHBOURS_MAX};

/// Slots of each node's table: small, so that full tables are common and a world is cheap.
pub(super) const SLOTS: usize = 64;
/// Entries that a node of so many slots may hold.
const CAPACITY_MAX: usize = SLOTS / 2;
/// Clients at most: more than a table holds.
pub(super) const CLIENTS_MAX: usize = 2 * CAPACITY_MAX;

/// One thing that may go wrong. A seed switches on any number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Up to 3 s each way.
    SlowLinks,
    /// From 1 line a second on.
    ThinLinks,
    /// Lines arrive in pieces.
    Splits,
    /// Connections are cut between any two bytes.
    Cuts,
    /// One direction of a connection stands still.
    Stalls,
    /// Two neighbours cannot reach each other.
    Partitions,
    /// One edge goes up and down for the whole time.
    Flapping,
    /// A process dies: its connections are reset, its table is gone.
    Crashes,
    /// A board dies: nobody is told.
    PowerCuts,
    /// A process is stopped for a while.
    Pauses,
    /// Wall clocks jump by up to ten years, either way.
    WallSteps,
    /// Wall clocks are up to an hour off.
    WallSkew,
    /// Some nodes do not trust their wall clock.
    UntrustedClocks,
    /// No clock is ever trusted, and once the herd is healed all are behind the truth by up to three years.
    NoTrustedClocks,
    /// Clients claim times days and years ahead.
    FutureTimes,
    /// Clients claim few different times, written in more ways than one.
    EqualTimes,
    /// Some nodes start with a key that is not the herd's.
    WrongKeys,
    /// The herd's key is changed, one node after another.
    KeyRotation,
    /// Strangers connect to link ports and say what they like.
    Strangers,
    /// Somebody who has the key calls link ports in a neighbour's name, and says what no node would.
    Insiders,
    /// Whoever has the key sends one digest after another.
    DigestStorms,
    /// A second board has a neighbour's name and key.
    Clones,
    /// An address may hold few clients.
    TightQuotas,
    /// Somebody on the way changes, repeats, drops and replays lines.
    Middleman,
    /// More clients than a table holds.
    FullTables,
    /// Boards of unlike capacity.
    UnlikeCapacities,
    /// Entries live for seconds, so that they are at the edge of their age all the time.
    ShortAges,
    /// Boards keep their tables on a disk, some of them long ago: what comes back is old.
    Snapshots,
}

pub(super) const FAULTS: [Fault; 28] = [
    Fault::SlowLinks,
    Fault::ThinLinks,
    Fault::Splits,
    Fault::Cuts,
    Fault::Stalls,
    Fault::Partitions,
    Fault::Flapping,
    Fault::Crashes,
    Fault::PowerCuts,
    Fault::Pauses,
    Fault::WallSteps,
    Fault::WallSkew,
    Fault::UntrustedClocks,
    Fault::NoTrustedClocks,
    Fault::FutureTimes,
    Fault::EqualTimes,
    Fault::WrongKeys,
    Fault::KeyRotation,
    Fault::Strangers,
    Fault::Insiders,
    Fault::DigestStorms,
    Fault::Clones,
    Fault::TightQuotas,
    Fault::Middleman,
    Fault::FullTables,
    Fault::UnlikeCapacities,
    Fault::ShortAges,
    Fault::Snapshots,
];

/// How the nodes are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Line,
    Ring,
    Grid,
    Random,
    /// One node with up to 16 neighbours.
    Star,
}

/// A connection's ways: both latencies and the pause between lines in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    pub(super) latency_ms: (u64, u64),
    pub(super) line_every_ms: u64,
}

/// Links once the herd is healed: a local network.
pub(super) const GOOD_WAYS: Ways = Ways { latency_ms: (1, 20), line_every_ms: 1 };

/// What one seed asks for.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    faults: u32,
    pub(super) shape: Shape,
    pub(super) nodes: usize,
    /// Each with the smaller node first.
    pub(super) edges: Vec<(usize, usize)>,
    pub(super) ways: Vec<Ways>,
    pub(super) capacities: Vec<usize>,
    pub(super) age_s_max: u32,
    /// Whether the herd has a key at all.
    pub(super) keyed: bool,
    pub(super) clients: usize,
    pub(super) updates: usize,
    /// How long things go wrong.
    pub(super) faulty_ms: u64,
    /// Whether all connections are dropped when the herd is healed: half of the herds are not.
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
            // Without a key nothing guards a link: the configuration allows it on loopback only, where nobody is.
            keyed: has(Fault::WrongKeys)
                || has(Fault::KeyRotation)
                || has(Fault::Strangers)
                || has(Fault::Insiders)
                || has(Fault::DigestStorms)
                || has(Fault::Clones)
                || has(Fault::Middleman)
                || rng.u8(0..4) != 0,
            clients,
            updates: options.updates.unwrap_or_else(|| rng.usize(10..=60)),
            faulty_ms: rng.u64(40_000..=160_000),
            fresh_start: rng.bool(),
            edges,
            ways,
        }
    }

    /// A herd of which nothing goes wrong.
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
        let key = if self.keyed { "a key" } else { "no key" };
        write!(f, "{key}, an age of {age_s_max} s; {faulty_ms} ms of faults:")?;
        FAULTS.iter().filter(|fault| self.has(**fault)).try_for_each(|fault| write!(f, " {fault:?}"))
    }
}

pub(super) fn pick<'a, T>(rng: &mut Rng, list: &'a [T]) -> &'a T {
    &list[rng.usize(0..list.len())]
}

/// A few faults in most seeds, so that each has the room to show; all that may be in some.
fn draw_faults(rng: &mut Rng) -> u32 {
    let one_in = *pick(rng, &[2, 4, 4, 8, 16]);
    let drawn = FAULTS.iter().filter(|_| rng.u8(0..one_in) == 0);
    let mut faults = drawn.fold(0, |mask, fault| mask | 1 << *fault as u32);
    // A clock that is trusted and wrong refuses clients that are right; claims from the future on top of
    // that would ask for what nobody promises. Untrusted clocks step with both.
    let bit = |fault: Fault| 1_u32 << fault as u32;
    if faults & bit(Fault::FutureTimes) != 0 && faults & bit(Fault::WallSteps) != 0 {
        faults &= !bit(Fault::WallSteps);
    }
    if faults & bit(Fault::NoTrustedClocks) != 0 {
        // A clock that is not trusted and ahead by years lets clients claim as much: that is said, and not mended.
        // An insider can say that a trusted clock showed any time, and no clock of this herd knows better.
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
            // What has no room at the centre hangs on those that have.
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
    // A line every second to a line every millisecond.
    let line_every_ms = if thin { 1_000 / rng.u64(1..=1_000) } else { 1 };
    Ways { latency_ms: (low, high), line_every_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_herd_is_connected_and_every_fault_comes_up() {
        let mut seen = 0;
        for seed in 0..500 {
            let plan = Plan::of(&mut Rng::with_seed(seed), &Options::default());
            seen |= plan.faults;
            let mut reached = vec![0];
            for i in 0..plan.nodes {
                let from = *reached.get(i).unwrap_or_else(|| panic!("{seed}: {plan} is in parts"));
                let next: Vec<usize> =
                    plan.neighbours(from).into_iter().filter(|n| !reached.contains(n)).collect();
                reached.extend(next);
            }
            assert!((0..plan.nodes).all(|n| plan.neighbours(n).len() <= NEIGHBOURS_MAX), "{seed}");
        }
        assert_eq!(seen.count_ones() as usize, FAULTS.len());
    }
}
