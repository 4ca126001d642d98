//! What a request costs the core, and that it does not depend on how much the node remembers; what it costs to send an
//! update over a link.
//!
//! `cargo bench --bench core`. With `-- signed N` or `-- secret N`, only that link passes N updates: for counts of instructions. Prints medians of many rounds in nanoseconds, and ratios within this run:
//! compare the ratios, not nanoseconds of two machines.

use std::time::Instant;

use herd::proto::herd_tests::{keys, node, public_keys, secret_node};
use herd::proto::limits::{AGE_S_MAX, ANSWER_BYTES_MAX};
use herd::proto::node::pull::PULL_BYTES_MAX;
use herd::proto::node::secret::{Message, Mode};
use herd::proto::node::{Node, Seed, SessionId, Setup};
use herd::proto::noise::connection::FRESH_BYTES;
use herd::proto::out::Out;
use herd::proto::quota::QuotaKey;
use herd::proto::time::{Mono, Now, Timestamp};
use static_cell::ConstStaticCell;

/// Requests timed in one piece.
const BATCH: usize = 256;
const ROUNDS: usize = 201;
const NOW: Now = Now { mono: Mono(1_000), wall: Timestamp(1_700_000_000_000_000_000), wall_is_trusted: true };

/// Nodes that remember 256, 4,096 and 32,768 clients.
static SMALL: ConstStaticCell<Node<512>> = ConstStaticCell::new(Node::new());
static BOARD: ConstStaticCell<Node<8192>> = ConstStaticCell::new(Node::new());
static LARGE: ConstStaticCell<Node<65536>> = ConstStaticCell::new(Node::new());
/// One more of each, for what empties and fills it.
static HALF: ConstStaticCell<Node<8192>> = ConstStaticCell::new(Node::new());

fn start<const SLOTS: usize>(node: &mut Node<SLOTS>) {
    let setup = Setup {
        names: &["Campbell", "Hill", "Jaquez"],
        me: 1,
        neighbours: &[0, 2],
        keys: None,
        secrecy: None,
        capacity: SLOTS / 2,
        age_s_max: AGE_S_MAX,
        seed: Seed { hash_key: (1, 2), jitter: 3, boot: 4 },
    };
    node.start(&setup).expect("the setup is right");
}

/// `IAMAT` of client `n`, at a time that rises with `tick`.
fn iamat(n: usize, tick: usize) -> String {
    format!(
        "IAMAT client-{n:06}.example.org +34.068930-118.445127 {}.{:09}",
        1_600_000_000 + tick / 1000,
        tick % 1000
    )
}

fn say<const SLOTS: usize>(node: &mut Node<SLOTS>, line: &str) {
    let mut bytes = [0; ANSWER_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    let _ = std::hint::black_box(node.client_line(&NOW, QuotaKey::EXEMPT, line.as_bytes(), &mut out));
}

/// Nanoseconds a line, the median over rounds of `BATCH` lines that `next` makes outside the clock.
fn time<const SLOTS: usize>(
    node: &mut Node<SLOTS>,
    rounds: usize,
    mut next: impl FnMut(usize) -> String,
) -> f64 {
    let mut costs: Vec<f64> = (0..rounds)
        .map(|round| {
            let lines: Vec<String> = (0..BATCH).map(|i| next(round * BATCH + i)).collect();
            let started = Instant::now();
            for line in &lines {
                say(node, line);
            }
            started.elapsed().as_secs_f64() * 1e9 / BATCH as f64
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    costs[costs.len() / 2]
}

fn fill<const SLOTS: usize>(node: &mut Node<SLOTS>, clients: usize) {
    for n in 0..clients {
        say(node, &iamat(n, n));
    }
}

/// Costs on a full table: an update of a client it knows, a newcomer that evicts, and a look-up.
fn full<const SLOTS: usize>(node: &mut Node<SLOTS>) -> [f64; 3] {
    start(node);
    let clients = SLOTS / 2;
    fill(node, clients);
    let tick = 10 * clients;
    // A stride that is prime to the table's size visits clients all over it.
    let update = time(node, ROUNDS, |i| iamat(i * 7919 % clients, tick + i));
    // Only an id the table does not know ends without places, and costs the same look-up.
    let lookup = time(node, ROUNDS, |i| format!("WHATSAT unknown-{i:06}.example.org 10 5"));
    let tick = tick + 10 * ROUNDS * BATCH;
    let newcomer = time(node, ROUNDS, |i| iamat(clients + i, tick + i));
    [update, lookup, newcomer]
}

/// Two nodes and the link between them.
struct Ends {
    nodes: [Box<Node<64>>; 2],
    ids: [SessionId; 2],
}

impl Ends {
    fn joined(mut nodes: [Box<Node<64>>; 2]) -> Self {
        let to = nodes[0].take_dial(NOW.mono).expect("it dials at the start");
        let fresh = |seed| [seed; FRESH_BYTES].into();
        let dialled = nodes[0].open(NOW.mono, Some(to), fresh(1)).expect("the link is down");
        let accepted = nodes[1].open(NOW.mono, None, fresh(2)).expect("any host may connect");
        let mut ends = Ends { nodes, ids: [dialled, accepted] };
        while ends.pass(0) || ends.pass(1) {}
        ends
    }

    /// Passes what this end sends next. Returns whether there was anything.
    fn pass(&mut self, from: usize) -> bool {
        let mut bytes = [0; PULL_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        if !self.nodes[from].pull(NOW.mono, self.ids[from], &mut out, &mut |_| {}) {
            return false;
        }
        let (length, to) = (out.len(), 1 - from);
        if let Message::Line(_, line) =
            self.nodes[to].take_message(NOW.mono, self.ids[to], &mut bytes[..length])
        {
            self.nodes[to].link_line(&NOW, self.ids[to], line);
        }
        true
    }

    /// Nanoseconds of both ends for an update of some 100 bytes, the median over rounds.
    fn update(&mut self, rounds: usize) -> f64 {
        let mut costs: Vec<f64> = (0..rounds)
            .map(|tick| {
                say(&mut self.nodes[0], &iamat(0, tick));
                let started = Instant::now();
                assert!(self.pass(0), "the update is pending");
                started.elapsed().as_secs_f64() * 1e9
            })
            .collect();
        costs.sort_by(f64::total_cmp);
        costs[costs.len() / 2]
    }
}

fn signed() -> Ends {
    Ends::joined([0, 1].map(|me| node(me, 2, 32, keys(), me as u64 + 1)))
}

fn secret() -> Ends {
    Ends::joined([0, 1].map(|me| secret_node(me, &public_keys(2), Mode::Only, me as u64 + 1)))
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    for (name, link) in [("signed", signed as fn() -> Ends), ("secret", secret)] {
        if let [_, given, updates, ..] = &arguments[..]
            && given == name
        {
            link().update(updates.parse().expect("a number of updates"));
            return;
        }
    }
    let half_node = HALF.take();
    start(half_node);
    let quarter = half_node.table().capacity() / 4;
    fill(half_node, quarter);
    // From a quarter to three quarters: half-full on average.
    let half = time(half_node, 2 * quarter / BATCH, |i| iamat(quarter + i, quarter + i));

    let small = full(SMALL.take());
    let board = full(BOARD.take());
    let large = full(LARGE.take());
    println!(
        "ns a line: parse, decide, answer       256 clients   4,096 clients  32,768 clients   32,768 / 256"
    );
    for (row, name) in ["update of a known client", "look-up of an unknown client", "newcomer that evicts"]
        .iter()
        .enumerate()
    {
        let (a, b, c) = (small[row], board[row], large[row]);
        println!("{name:<38} {a:>11.0} {b:>15.0} {c:>15.0} {:>14.2}", c / a);
    }
    println!("{:<38} {:>11} {half:>15.0}", "newcomer, table half full", "");
    println!("insertion into a full table / a half-full one: {:.2}", board[2] / half);
    let (signed, secret) = (signed().update(ROUNDS * BATCH), secret().update(ROUNDS * BATCH));
    println!(
        "an update over a link, both ends, signed {signed:.0} ns, secret {secret:.0} ns: {:.2}",
        secret / signed
    );
}
