//! A herd under a false clock and false links, with everything going wrong that a seed asks for.
//!
//! [`run`] builds a world from a seed: the real core ([`crate::proto::node::Node`], with small tables), byte pipes between
//! its nodes, clients, strangers, and a queue of events by (time, number). No socket, thread or clock is in
//! it, so a seed repeats a run to the last byte, and a failing seed is a test case.
//!
//! A run has two phases. In the first everything may go wrong that the seed has switched on (`plan.rs` lists the
//! faults), and what must hold always is checked at every step, on the node that was touched. Then the
//! herd is healed, and within a bound it must hold the same everywhere, say so, and fall silent.
//!
//! | file | what it is for |
//! |---|---|
//! | `plan.rs` | what a seed decides: the herd's shape, the faults |
//! | `world.rs`, `wires.rs` | nodes and events; connections between them |
//! | `net.rs` | byte pipes: late, thin, in pieces, stalled, cut |
//! | `faults.rs`, `hostile.rs` | what goes wrong; strangers, and somebody on the way |
//! | `clients.rs` | what clients say, and what they must be told |
//! | `check.rs` | what must hold at every step |
//! | `heal.rs` | what must hold once nothing goes wrong any more |
//! | `many.rs` | the program: one seed, or many on all cores |
//! | `trace.rs` | a run as one number |

mod check;
mod clients;
mod faults;
mod heal;
mod host;
mod hostile;
mod many;
mod net;
mod plan;
mod trace;
mod wires;
mod world;

#[cfg(test)]
mod tests;

use std::fmt;

pub use many::main;

use world::World;

/// What is asked of a run beside its seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Nodes; the seed decides without.
    pub nodes: Option<usize>,
    /// Reports that clients make while things go wrong; the seed decides without.
    pub reports: Option<usize>,
    /// Print every line that crosses.
    pub trace: bool,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What the seed had asked for, in words.
    pub plan: String,
    /// A hash of everything that crossed: the same for the same seed.
    pub hash: u64,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
    /// Lines between nodes.
    pub lines: u64,
    /// Reports among them.
    pub updates: u64,
    /// Connections, strangers' included.
    pub connections: u64,
    /// How long after the healing all tables held what they should, in milliseconds, by the second; 0 with short ages.
    pub converged_ms: u64,
    /// The counters of all nodes, each life of them, added up: what was reached at all.
    pub counters: Vec<(&'static str, u64)>,
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What the seed had asked for, in words.
    pub plan: String,
    /// The check that failed.
    pub check: &'static str,
    /// What it saw.
    pub detail: String,
    /// When, in simulated milliseconds.
    pub at_ms: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Failure { seed, plan, check, detail, at_ms } = self;
        write!(f, "seed {seed} failed at {at_ms} ms: {check}: {detail}\n  {plan}")
    }
}

/// Runs the world of a seed to its end.
///
/// # Errors
/// [`Failure`]: the first thing that did not hold.
pub fn run(seed: u64, options: &Options) -> Result<Summary, Box<Failure>> {
    World::new(seed, options).run()
}
