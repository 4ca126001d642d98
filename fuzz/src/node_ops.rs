//! Events of two or three nodes in any order. The herd must recover after the last one.
//!
//! Input: text. The first line holds letters: `3` three nodes (else two), `o` in a ring, `k` with a key, `s`
//! updates live for 60 s, `f` tables of 3, `u` tables of 2, 4 and 8 (else 8, the largest size). Then come the
//! steps: a letter and its digits each. The target skips a byte that is not a letter of a step. A number is
//! taken modulo its range:
//!
//! | | |
//! |---|---|
//! | `i` node client time place | a client sends its position |
//! | `q` node client | a client asks about another client |
//! | `t` amount | time passes, 1 ms to 70 s; nodes tick when they request it |
//! | `j` node amount | its wall clock jumps: back by about a day, or ahead by years and untrusted |
//! | `z` node | its wall clock is correct and trusted from now on |
//! | `w` pipe end lines | an end writes up to this many lines |
//! | `d` pipe end | a line is delivered to an end |
//! | `a` | all lines are written and delivered, repeatedly |
//! | `x` pipe / `y` pipe | a connection is cut; with `y` neither end notices |
//! | `c` node / `p` node | a node restarts; with `p` its peers do not notice |
//! | `r` node other | its configuration omits the other node; with its own number it lists all |
//! | `n` | switches whether nodes can reach each other |
//!
//! Checks after each step: see `herd_of_nodes.rs`. At the end, all configurations are complete, all clocks
//! correct, and all nodes reachable. Then within five minutes all links must be in sync, and all tables must
//! agree above the highest floor.

use std::collections::BTreeSet;

use herd::proto::limits::AGE_S_MAX;
use herd::proto::update::Update;

use crate::herd_of_nodes::{CLIENTS, Herd, NAMES, Shape, WALL_NS, unranked};

const SHORT_AGE_S: u32 = 60;
/// The largest number of steps of an input.
const STEPS_MAX: usize = 300;
/// A node detects silence after 30 s and dials again within 30 s. The next but one digest resolves a
/// difference.
const HEALED_WITHIN_MS: u64 = 300_000;
const AMOUNTS_MS: [u64; 8] = [1, 100, 500, 1_100, 5_000, 11_000, 31_000, 70_000];
const AMOUNTS_NS: [i64; 4] =
    [-90_000_000_000_000, -1_000_000_000, 3_600_000_000_000, 300_000_000_000_000_000];
/// One time in three forms, some times near it, and two times that a correct clock rejects.
const TIMES: [&str; 8] = [
    "1700000000",
    "1700000000.0",
    "1700000000.000000001",
    "1699999999.999999999",
    "1700000050",
    "1699900000",
    "1700172800",
    "-99999999999999999999999999999999",
];
const PLACES: [&str; 4] = ["+34.068930-118.445127", "+1+1", "-1+1", "+1.0+1"];

/// See the head of the file.
pub fn node_ops(data: &[u8]) {
    let (head, steps) = data.split_at(data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len()));
    let mut herd = Herd::new(shape(head));
    herd.tick();
    let mut steps = Steps { bytes: steps, herd };
    for _ in 0..STEPS_MAX {
        let Some(step) = steps.next() else { break };
        steps.play(step);
        steps.herd.settle();
    }
    herd = steps.herd;
    heal(&mut herd);
}

fn shape(head: &[u8]) -> Shape {
    let has = |letter: u8| head.contains(&letter);
    Shape {
        nodes: if has(b'3') { 3 } else { 2 },
        is_ring: has(b'o'),
        has_key: has(b'k'),
        age_s_max: if has(b's') { SHORT_AGE_S } else { AGE_S_MAX },
        capacities: match () {
            () if has(b'u') => [2, 8, 4],
            () if has(b'f') => [3; 3],
            () => [8; 3],
        },
    }
}

struct Steps<'a> {
    bytes: &'a [u8],
    herd: Herd,
}

impl Steps<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    /// The next byte as a number below `count`. `0` is 0.
    fn number(&mut self, count: usize) -> usize {
        usize::from(self.next().unwrap_or(b'0').wrapping_sub(b'0')) % count.max(1)
    }

    fn node(&mut self) -> usize {
        self.number(self.herd.shape.nodes)
    }

    fn play(&mut self, step: u8) {
        let pipes = self.herd.pipes();
        match step {
            b'i' => {
                let (node, client) = (self.node(), CLIENTS[self.number(CLIENTS.len())]);
                let (time, place) = (TIMES[self.number(TIMES.len())], PLACES[self.number(PLACES.len())]);
                self.herd.client(node, &format!("IAMAT {client} {place} {time}"));
            }
            b'q' => {
                let (node, client) = (self.node(), CLIENTS[self.number(CLIENTS.len())]);
                let answer = self.herd.client(node, &format!("WHATSAT {client} 10 5"));
                let held = self.herd.at_lines(node).remove(client);
                let held = held.as_deref().map(unranked);
                assert_eq!(answer.as_deref(), held, "a query returns the entry");
            }
            b't' => {
                let amount_ms = AMOUNTS_MS[self.number(AMOUNTS_MS.len())];
                pass(&mut self.herd, amount_ms, false);
            }
            b'j' => {
                let (node, amount_ns) = (self.node(), AMOUNTS_NS[self.number(AMOUNTS_NS.len())]);
                let board = &mut self.herd.boards[node];
                board.wall_off_ns = amount_ns;
                // A trusted clock that is years ahead accepts entries that then stay. The herd does not promise
                // otherwise.
                board.is_trusted &= amount_ns < 0;
            }
            b'z' => {
                let node = self.node();
                (self.herd.boards[node].wall_off_ns, self.herd.boards[node].is_trusted) = (0, true);
            }
            b'w' => {
                let (pipe, end, lines) = (self.number(pipes), self.number(2), self.number(10));
                self.herd.write(pipe, end, lines);
            }
            b'd' => {
                let (pipe, end) = (self.number(pipes), self.number(2));
                self.herd.deliver(pipe, end);
            }
            b'a' => pump(&mut self.herd),
            b'x' | b'y' => {
                let pipe = self.number(pipes);
                self.herd.cut(pipe, step == b'y');
            }
            b'c' | b'p' => {
                let node = self.node();
                self.herd.crash(node, step == b'p');
            }
            b'r' => {
                let (node, other) = (self.node(), self.node());
                self.herd.reload(node, (other != node).then_some(other));
            }
            b'n' => self.herd.is_reachable = !self.herd.is_reachable,
            _ => {}
        }
    }
}

/// Writes and delivers lines until all nodes are silent.
fn pump(herd: &mut Herd) {
    for turn in 0.. {
        assert!(turn < 2_000, "the traffic does not end");
        herd.settle();
        let mut moved = false;
        for pipe in (0..herd.pipes()).rev() {
            for end in 0..2 {
                moved |= herd.write(pipe, end, 4);
                moved |= herd.deliver(pipe, end);
            }
        }
        if !moved {
            return;
        }
    }
}

/// Lets time pass and ticks the nodes when they request it. With `talking`, lines are delivered at once.
fn pass(herd: &mut Herd, ms: u64, talking: bool) {
    let end = herd.now_ms + ms;
    for turn in 0.. {
        assert!(turn < 100_000, "a node keeps the clock busy");
        if talking {
            pump(herd);
        }
        let wake = herd.wake_ms();
        // A timer that is due may wait for a line to be written. Time goes on meanwhile.
        herd.now_ms = wake.max(herd.now_ms + 1).min(end);
        herd.tick();
        if herd.now_ms == end {
            return;
        }
    }
}

fn heal(herd: &mut Herd) {
    herd.is_reachable = true;
    for node in 0..herd.shape.nodes {
        (herd.boards[node].wall_off_ns, herd.boards[node].is_trusted) = (0, true);
        if herd.boards[node].without.is_some() {
            herd.reload(node, None);
        }
    }
    herd.tick();
    pass(herd, HEALED_WITHIN_MS, true);
    pump(herd);
    for (node, board) in herd.boards.iter().enumerate() {
        for link in board.node.links() {
            assert!(link.is_in_sync(), "{} is out of sync: {link:?}", NAMES[node]);
        }
    }
    check_tables(herd);
}

/// Checks that all tables agree at and above the highest floor. Below it, a full table did not flood.
fn check_tables(herd: &Herd) {
    assert!(herd.now_ms < u64::from(AGE_S_MAX) * 800, "the run is too short for the last tenth of a life");
    let tables: Vec<Vec<Update>> = (0..herd.shape.nodes)
        .map(|node| herd.at_lines(node).values().map(|line| herd.read(line)).collect())
        .collect();
    if herd.shape.age_s_max == SHORT_AGE_S {
        assert!(tables.iter().all(Vec::is_empty), "expired entries are removed");
        return;
    }
    let floors = tables.iter().enumerate().filter_map(|(node, updates)| {
        let smallest = updates.iter().min_by(|a, b| a.borrowed().compare(&b.borrowed()))?;
        (updates.len() == herd.shape.capacities[node]).then_some(smallest)
    });
    let floor = floors.max_by(|a, b| a.borrowed().compare(&b.borrowed()));
    let above = |updates: &[Update]| -> BTreeSet<String> {
        let is_above =
            |update: &&Update| floor.is_none_or(|floor| update.borrowed().compare(&floor.borrowed()).is_ge());
        updates.iter().filter(is_above).map(|update| format!("{update:?}")).collect()
    };
    for (node, table) in tables.iter().enumerate() {
        assert_eq!(above(table), above(&tables[0]), "{} and {} differ", NAMES[node], NAMES[0]);
    }
    // A correct clock rejects a time that is more than a day ahead.
    let ahead_ns = WALL_NS + i64::try_from(herd.now_ms).expect("days") * 1_000_000 + 86_400_000_000_000;
    assert!(tables.iter().flatten().all(|update| update.sighting.rank.0 <= ahead_ns));
}
