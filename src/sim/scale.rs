//! The cost of flooding as a herd grows: lines, bytes and time of one update, measured with the core and
//! compared with the formula.
//!
//! Let the herd have n nodes and m edges. An update crosses each edge at least once. It crosses an edge twice
//! if both ends got it by other paths and their lines cross. On the n - 1 edges by which the nodes first got
//! it, it is not sent back. So an update costs m to 2m - n + 1 lines. On average, a node sends its degree minus
//! one lines, whatever the herd's size.
//!
//! The same seed gives the same figures and the same picture to the last byte.

use std::fmt::Write as _;

use fastrand::Rng;

use super::clients::ClientLine;
use super::plan::{Plan, Shape};
use super::world::World;
use super::{Failure, Options};
use crate::proto::limits::NEIGHBOURS_MAX;

const SEED: u64 = 1;
const SIZES: [usize; 8] = [5, 10, 20, 50, 100, 200, 500, 1000];
/// Number of updates, sent one after another, each to another node.
const REPORTS: usize = 20;
/// Time after which all links are up and in sync, in milliseconds.
const SETTLED_MS: u64 = 60_000;
/// Time after which an update counts as lost, in milliseconds.
const LOST_MS: u64 = 60_000;
/// Time until the last lines of an update have arrived, in milliseconds.
const AFTER_MS: u64 = 1_000;

/// The average cost of one update in one herd.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) nodes: usize,
    pub(super) edges: usize,
    /// Lines on all edges.
    pub(super) lines: f64,
    /// Bytes of these lines, with tags and newlines.
    pub(super) bytes: f64,
    /// Time until the last node had the update, in milliseconds.
    pub(super) reached_ms: f64,
}

impl Cost {
    /// The fewest and the most lines that an update may cost.
    pub(super) fn bounds(&self) -> (usize, usize) {
        (self.edges, 2 * self.edges + 1 - self.nodes)
    }
}

/// A shape and its herds, the smallest first.
pub(super) type Series = (&'static str, Vec<Cost>);

/// Measures all shapes and sizes.
///
/// # Errors
/// [`Failure`]: an update was lost, or cost more lines than the formula allows.
pub(super) fn run() -> Result<Vec<Series>, Box<Failure>> {
    let shapes = [("ring", Shape::Ring), ("grid", Shape::Grid), ("random, degree 4", Shape::Random)];
    let mut series: Vec<Series> = vec![];
    for (name, shape) in shapes {
        let costs = SIZES.iter().map(|&nodes| cost(shape, nodes)).collect::<Result<_, _>>()?;
        series.push((name, costs));
    }
    Ok(series)
}

fn cost(shape: Shape, nodes: usize) -> Result<Cost, Box<Failure>> {
    let mut rng = Rng::with_seed(SEED);
    let edges = match shape {
        Shape::Random => random_edges(&mut rng, nodes),
        _ => super::plan::draw_edges(&mut rng, shape, nodes),
    };
    let plan = Plan::calm(shape, nodes, edges);
    let mut world = World::of(SEED, plan, rng, &Options::default());
    let edges = world.plan.edges.len();
    world.healed = true;
    world.run_until(SETTLED_MS);
    let (mut reached_ms, lines, bytes) = (0, world.updates, world.update_bytes);
    for update in 0..REPORTS {
        reached_ms += world.flood(update)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "averages for people")]
    let each = |sum: u64| sum as f64 / REPORTS as f64;
    let (lines, bytes) = (each(world.updates - lines), each(world.update_bytes - bytes));
    Ok(Cost { nodes, edges, lines, bytes, reached_ms: each(reached_ms) })
}

/// A random tree plus random edges, until the nodes have four neighbours on average.
fn random_edges(rng: &mut Rng, nodes: usize) -> Vec<(usize, usize)> {
    let mut edges: Vec<(usize, usize)> = vec![];
    let mut degrees = vec![0; nodes];
    let mut join = |edges: &mut Vec<(usize, usize)>, a: usize, b: usize| {
        let edge = (a.min(b), a.max(b));
        if a != b && degrees[a].max(degrees[b]) < NEIGHBOURS_MAX && !edges.contains(&edge) {
            degrees[a] += 1;
            degrees[b] += 1;
            edges.push(edge);
        }
    };
    for node in 1..nodes {
        while edges.len() < node {
            join(&mut edges, rng.usize(0..node), node);
        }
    }
    let most = nodes * (nodes - 1) / 2;
    while edges.len() < most.min(2 * nodes) {
        join(&mut edges, rng.usize(0..nodes), rng.usize(0..nodes));
    }
    edges
}

impl World {
    /// A client updates, and the whole herd hears of it. Gives how long that took, in milliseconds.
    fn flood(&mut self, number: usize) -> Result<u64, Box<Failure>> {
        let (host, sent_at) = (self.rng.usize(0..self.plan.nodes), self.now);
        let (lines, differs) = (self.updates, self.differs);
        let (time, time_ns) = self.time(0);
        let client = number % self.plan.clients;
        self.say_all(host, &[ClientLine::iamat(client, "+34.068930-118.445127", &time, time_ns)]);
        let newest = self.issued[client].last().map(|(sighting, _)| *sighting);
        let mut waiting: Vec<usize> = (0..self.plan.nodes).collect();
        while !waiting.is_empty() && self.now < sent_at + LOST_MS {
            self.run_until(self.now + 1);
            waiting.retain(|&host| self.hosts[host].held[client].map(|held| held.sighting) != newest);
        }
        let reached_ms = self.now - sent_at;
        self.run_until(self.now + AFTER_MS);
        let most = (2 * self.plan.edges.len() + 1 - self.plan.nodes) as u64;
        let lines = self.updates - lines;
        // A digest that crosses the update on its way differs, and its bucket is sent again.
        let too_many = lines > most && self.differs == differs;
        if !waiting.is_empty() || lines < self.plan.edges.len() as u64 || too_many {
            let detail = format!("{lines} lines, at most {most}; {} nodes do not hold it", waiting.len());
            self.fail("an update reaches every node within the formula", detail);
        }
        self.failure.take().map_or(Ok(reached_ms), Err)
    }
}

/// The figures as a table.
pub(super) fn table(series: &[Series]) -> String {
    let mut text = format!(
        "{:<17} {:>5} {:>6} {:>13} {:>8} {:>15} {:>14} {:>6}\n",
        "shape", "nodes", "edges", "by formula", "lines", "lines per node", "bytes per node", "ms"
    );
    for (name, costs) in series {
        for cost in costs {
            let Cost { nodes, edges, lines, bytes, reached_ms } = cost;
            let (low, high) = cost.bounds();
            #[expect(clippy::cast_precision_loss, reason = "averages for people")]
            let (n, between) = (*nodes as f64, format!("{low} to {high}"));
            let _ = writeln!(
                text,
                "{name:<17} {nodes:>5} {edges:>6} {between:>13} {lines:>8.1} {:>15.2} {:>14.0} {reached_ms:>6.0}",
                lines / n,
                bytes / n
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_herd_is_connected_and_of_degree_four() {
        for nodes in SIZES {
            let edges = random_edges(&mut Rng::with_seed(3), nodes);
            let plan = Plan::calm(Shape::Random, nodes, edges);
            assert_eq!(plan.edges.len(), (2 * nodes).min(nodes * (nodes - 1) / 2));
            let mut reached = vec![0];
            for i in 0..nodes {
                let next = plan.neighbours(reached[i]).into_iter().filter(|n| !reached.contains(n));
                let next: Vec<usize> = next.collect();
                reached.extend(next);
            }
        }
    }

    #[test]
    fn the_cost_matches_the_formula() {
        // On a line, lines cannot cross: exactly one line for each edge.
        let line = cost(Shape::Line, 12).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((line.edges, line.bounds()), (11, (11, 11)));
        assert!((line.lines - 11.0).abs() < 1e-9, "{line:?}");
        let ring = cost(Shape::Ring, 10).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(ring.bounds(), (10, 11));
        assert!(ring.reached_ms < line.reached_ms, "{ring:?} {line:?}");
    }
}
