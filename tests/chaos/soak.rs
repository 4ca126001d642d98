//! The soak: one herd of five on loopback, an hour of clients that come and go, and memory that must be flat.
//!
//! It is a mode of the storm and no bench of its own, because it has the storm's client, its looks at processes and its way of
//! failing; it wants neither root nor namespaces. Each node is given the descriptors of the unit (1,024 clients), so
//! that vanished clients fill its connections in the first quarter. The node spends the rest of the hour at the limit,
//! as the table is: both turn over.
//!
//! The rule, for each node: in the last quarter its private memory is nowhere more than [`GROWTH_KIB_MAX`] above the highest
//! of the second, and its descriptors nowhere more than [`GROWTH_DESCRIPTORS_MAX`]. The first quarter fills what has a
//! limit; a leak of 100 bytes a connection or of one in a hundred entries would be over it by the third.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::{Line, Wrong};
use crate::memory::{Look, look};
use herd_test_support::{Dice, Herd, Up, allow_many_files};

const GROWTH_KIB_MAX: u64 = 64;
const GROWTH_DESCRIPTORS_MAX: u64 = 8;
/// The unit's clients, and what a node needs beside them.
const NODE_DESCRIPTORS: u32 = 1024 + 96;
/// So many vanished clients of each node are held open here. A node holds fewer, so it is the node that closes them.
const VANISHED_PER_NODE: usize = 1200;
/// Descriptors of this process: all clients that vanish, and all that idle.
const DESCRIPTORS_MIN: u64 = 12_000;
const ROUND: Duration = Duration::from_millis(100);
const COMING_PER_ROUND: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);
const IDLE_MS_MAX: u64 = 240_000;

/// A client that idles.
struct Idle {
    line: Line,
    node: usize,
}

#[derive(Default)]
struct Counts {
    came: u64,
    updates: u64,
    queries: u64,
    vanished: u64,
    pushed_out: u64,
}

/// All clients: the idle ones with the end of their idling, and the vanished ones.
struct Crowd {
    nodes: Vec<(&'static str, SocketAddr)>,
    dice: Dice,
    sleeping: BinaryHeap<Reverse<(Instant, u64)>>,
    idle: std::collections::HashMap<u64, Idle>,
    vanished: Vec<VecDeque<Line>>,
    next_id: u64,
    counts: Counts,
}

/// Runs for so many minutes. `Err` with what broke the rule.
pub(crate) fn run(minutes: f64, seed: u64) -> Result<(), String> {
    if allow_many_files() < DESCRIPTORS_MIN {
        return Err(format!(
            "the soak needs {DESCRIPTORS_MIN} descriptors; raise the limit: ulimit -n {DESCRIPTORS_MIN}"
        ));
    }
    let herd = Herd::five().keyed().build();
    let up = Up::launch_within(Some(NODE_DESCRIPTORS), herd.map("Hill"));
    up.printed.wait_for("Ctrl-C stops the herd.");
    let names = herd.names();
    let nodes: Vec<_> = names.iter().map(|name| (*name, herd[*name].clients)).collect();
    let pids: Vec<i32> = names
        .iter()
        .map(|name| up.pid_of(name).ok_or(format!("{name} is not there")))
        .collect::<Result<_, _>>()?;
    println!(
        "soak: {minutes} minutes, seed {seed}; KiB private (anonymous) and descriptors of {}",
        names.join(", ")
    );
    let mut crowd = Crowd::new(nodes, seed);
    let begin = Instant::now();
    let (mut looks, mut minute) = (Vec::new(), 0_u32);
    while begin.elapsed().as_secs_f64() < minutes * 60.0 {
        let round = Instant::now();
        crowd.round()?;
        if begin.elapsed().as_secs() / 60 >= u64::from(minute) {
            let now: Vec<Look> = pids
                .iter()
                .map(|pid| {
                    look(pid.unsigned_abs()).ok_or(format!("process {pid} has gone\n{}", up.log.tail()))
                })
                .collect::<Result<_, _>>()?;
            print_looks(minute, &now, &crowd);
            looks.push(now);
            minute += 1;
        }
        std::thread::sleep(ROUND.saturating_sub(round.elapsed()));
    }
    if up.log.has("panicked") {
        return Err(format!("a node panicked\n{}", up.log.tail()));
    }
    judge(&names, &looks)
}

fn print_looks(minute: u32, now: &[Look], crowd: &Crowd) {
    let each =
        now.iter().map(|look| format!("{} ({}) {}", look.private_kib, look.anonymous_kib, look.descriptors));
    let Counts { came, updates, queries, vanished, pushed_out } = crowd.counts;
    println!(
        "minute {minute}: {} | {came} came, {updates} updates, {queries} queries, {vanished} vanished, {pushed_out} found themselves closed",
        each.collect::<Vec<_>>().join(", ")
    );
}

/// Compares the last quarter with the second.
fn judge(names: &[&str], looks: &[Vec<Look>]) -> Result<(), String> {
    let quarter = looks.len() / 4;
    if quarter == 0 {
        return Err("too short to be judged: at least four minutes".to_owned());
    }
    let highest = |node: usize, from: usize, to: usize, of: fn(&Look) -> u64| {
        looks[from..to].iter().map(|minute| of(&minute[node])).max().unwrap_or(0)
    };
    let mut broken = Vec::new();
    for (node, name) in names.iter().enumerate() {
        for (what, of, growth_max) in [
            ("KiB of private memory", (|look| look.private_kib) as fn(&Look) -> u64, GROWTH_KIB_MAX),
            ("descriptors", |look| look.descriptors, GROWTH_DESCRIPTORS_MAX),
        ] {
            let before = highest(node, quarter, 2 * quarter, of);
            let after = highest(node, looks.len() - quarter, looks.len(), of);
            println!("{name}: {what}: at most {before} in the second quarter, {after} in the last");
            if after > before + growth_max {
                broken.push(format!(
                    "{name} grew from {before} to {after} {what}; {growth_max} more is the most"
                ));
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

impl Crowd {
    fn new(nodes: Vec<(&'static str, SocketAddr)>, seed: u64) -> Crowd {
        let vanished = nodes.iter().map(|_| VecDeque::new()).collect();
        Crowd {
            nodes,
            dice: Dice::new(seed),
            sleeping: BinaryHeap::new(),
            idle: std::collections::HashMap::new(),
            vanished,
            next_id: 0,
            counts: Counts::default(),
        }
    }

    /// Some come. The ones whose time it is speak again or go.
    fn round(&mut self) -> Result<(), String> {
        for _ in 0..COMING_PER_ROUND {
            let node = self.dice.below(self.nodes.len());
            let line = Line::connect(self.nodes[node].1, PATIENCE)
                .map_err(|error| format!("a client is not let in: {error}"))?;
            self.counts.came += 1;
            self.talk(Idle { line, node }, true)?;
        }
        while let Some(Reverse((at, key))) = self.sleeping.peek().copied()
            && at <= Instant::now()
        {
            self.sleeping.pop();
            let Some(client) = self.idle.remove(&key) else { continue };
            match self.dice.below(10) {
                0..=2 => self.talk(client, false)?,
                3..=6 => drop(client),
                7 => {
                    let _ = client.line.socket().shutdown(Shutdown::Write);
                }
                _ => self.vanish(client),
            }
        }
        Ok(())
    }

    /// A client sends a few lines at once, reads its answers, and idles. One that has been idle may have been closed.
    fn talk(&mut self, mut client: Idle, is_new: bool) -> Result<(), String> {
        let name = self.nodes[client.node].0;
        match self.exchange(&mut client.line, name) {
            Ok(()) => {}
            Err(Wrong::Gone(_)) if !is_new => {
                self.counts.pushed_out += 1;
                return Ok(());
            }
            Err(wrong) => return Err(format!("{name}: {wrong}")),
        }
        // Most leave within seconds; some idle for minutes.
        let most_ms = if self.dice.below(8) == 0 { IDLE_MS_MAX } else { 5_000 };
        let pause = Duration::from_millis(self.dice.roll() % most_ms);
        let key = self.counts.came << 8 | self.dice.roll() & 0xff;
        self.sleeping.push(Reverse((Instant::now() + pause, key)));
        self.idle.insert(key, client);
        Ok(())
    }

    fn exchange(&mut self, line: &mut Line, node: &str) -> Result<(), Wrong> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let count = 1 + self.dice.below(5);
        let mut lines = Vec::new();
        for _ in 0..count {
            self.next_id += 1;
            let latitude = self.dice.roll() % 90;
            let id = format!("soak-{:08}.example.org", self.next_id);
            lines.push(format!(
                "IAMAT {id} +{latitude}.068930-118.445127 {}.{:09}",
                now.as_secs(),
                now.subsec_nanos()
            ));
            match self.dice.below(6) {
                0 => lines.push(format!("WHATSAT {id} 10 5")),
                1 => lines.push(format!("WHATSAT {id} 0 0")),
                2 => lines.push(format!("WHATSAT unknown-{} 10 5", self.next_id)),
                _ => {}
            }
        }
        line.send(format!("{}\n", lines.join("\n")).as_bytes())?;
        for sent in &lines {
            if sent.starts_with("IAMAT") {
                line.iamat(sent, node)?;
                self.counts.updates += 1;
            } else {
                let known = line.whatsat(sent)?.is_some();
                self.counts.queries += 1;
                if known == sent.contains("unknown") {
                    return Err(Wrong::Answer(format!(
                        "{sent:?} is answered as if it were the other way round"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The client's network is gone: it neither closes nor speaks again. The oldest of many are closed by now.
    fn vanish(&mut self, client: Idle) {
        self.counts.vanished += 1;
        let vanished = &mut self.vanished[client.node];
        vanished.push_back(client.line);
        if vanished.len() > VANISHED_PER_NODE {
            vanished.pop_front();
        }
    }
}
