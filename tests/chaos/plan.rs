//! What happens to the herd, drawn from a seed: each event begins, and is undone by itself when its time has come.
//!
//! The seed gives the draws; what a draw can do depends on what goes on at that moment, as processes and packets keep no
//! time of ours. So a seed gives a run of the same kind again, not the same run to the byte: that is the simulator's.
//!
//! Limits: at most [`NODES_MAX`] nodes are down or stopped at once and at most [`WIRES_MAX`] wires are not good ones. Most nodes
//! are only ended while a neighbour surely has what they hold; some are ended without a look.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::nodes::{Nodes, Shared};
use crate::world::{self, EDGES, NAMES, World, client_address, edge_name, link_address};
use herd_test_support::Dice;

const NODES_MAX: usize = 2;
const WIRES_MAX: usize = 2;
const PAUSE_MS: (u64, u64) = (1_000, 4_000);
/// Longest trouble: longer than a link is given until it counts as dead.
const CUT_MS_MAX: u64 = 45_000;
const STOP_MS_MAX: u64 = 40_000;
const SHORT_MS: (u64, u64) = (200, 6_000);
const STRANGER_BYTES: usize = 1 << 16;

/// What ends an event.
#[derive(Clone, Copy)]
enum Undo {
    Wire { edge: usize, began: Instant },
    Flap { edge: usize, began: Instant, left: u64 },
    Plug { edge: usize, node: usize, began: Instant },
    GoOn { node: usize },
    Start { node: usize },
}

pub(crate) struct Storm {
    pub(crate) world: World,
    pub(crate) nodes: Nodes,
    ledger: Shared,
    dice: Dice,
    undo: Vec<(Instant, Undo)>,
    busy_wires: [bool; 6],
    busy_nodes: [bool; 5],
    begin: Instant,
    log: File,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Sums over all seconds: sound edges, and all edges.
    pub(crate) sound: (usize, usize),
}

impl Storm {
    pub(crate) fn new(world: World, nodes: Nodes, ledger: Shared, seed: u64, log: File) -> Storm {
        Storm {
            world,
            nodes,
            ledger,
            dice: Dice::new(seed),
            undo: Vec::new(),
            busy_wires: [false; 6],
            busy_nodes: [false; 5],
            begin: Instant::now(),
            log,
            counts: BTreeMap::new(),
            sound: (0, 0),
        }
    }

    /// For so long, or until something is seen that must not be.
    pub(crate) fn rage(&mut self, length: Duration) -> Result<(), String> {
        let mut next = Instant::now();
        let mut spread_at = Instant::now();
        while self.begin.elapsed() < length {
            self.undo_due()?;
            self.nodes.look_after();
            let now = Instant::now();
            if now >= next {
                self.event()?;
                next = now + self.millis(PAUSE_MS);
            }
            let mut ledger = self.ledger.lock();
            if now >= spread_at {
                ledger.spread();
                let sound = (0..EDGES.len()).filter(|edge| ledger.is_sound(*edge, now)).count();
                self.sound = (self.sound.0 + sound, self.sound.1 + EDGES.len());
                spread_at = now + Duration::from_secs(1);
            }
            if !ledger.faults.is_empty() {
                return Ok(());
            }
            drop(ledger);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Everything is as it was before.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        for (_, undo) in std::mem::take(&mut self.undo) {
            self.undo_one(undo, true)?;
        }
        self.note("all is healed");
        Ok(())
    }

    fn millis(&mut self, (from, to): (u64, u64)) -> Duration {
        Duration::from_millis(from + self.dice.roll() % (to - from))
    }

    /// Short, mostly.
    fn trouble(&mut self, most_ms: u64) -> Duration {
        if self.dice.roll().is_multiple_of(4) {
            self.millis((SHORT_MS.1, most_ms))
        } else {
            self.millis(SHORT_MS)
        }
    }

    fn note(&mut self, what: &str) {
        let _ = writeln!(self.log, "{:8.1} s {what}", self.begin.elapsed().as_secs_f64());
    }

    fn undo_due(&mut self) -> Result<(), String> {
        let now = Instant::now();
        while let Some(at) = self.undo.iter().position(|(at, _)| *at <= now) {
            let (_, undo) = self.undo.swap_remove(at);
            self.undo_one(undo, false)?;
        }
        Ok(())
    }

    fn undo_one(&mut self, undo: Undo, for_good: bool) -> Result<(), String> {
        match undo {
            Undo::Flap { edge, began, left } if left > 0 && !for_good => {
                let cut = if left % 2 == 0 { "cut=both" } else { "" };
                self.world.set_wire(edge, cut)?;
                let pause = self.millis((100, 1_500));
                self.undo.push((Instant::now() + pause, Undo::Flap { edge, began, left: left - 1 }));
                return Ok(());
            }
            Undo::Wire { edge, began } | Undo::Flap { edge, began, .. } => {
                self.world.set_wire(edge, "")?;
                self.wire_heals(edge, began);
            }
            Undo::Plug { edge, node, began } => {
                let (a, b) = EDGES[edge];
                world::plug(node, if node == a { b } else { a })?;
                self.wire_heals(edge, began);
            }
            Undo::GoOn { node } => {
                self.nodes.go_on(node);
                self.busy_nodes[node] = false;
                self.note(&format!("{} goes on", NAMES[node]));
            }
            Undo::Start { node } => {
                self.nodes.start(node)?;
                self.busy_nodes[node] = false;
                self.note(&format!("{} is started", NAMES[node]));
            }
        }
        Ok(())
    }

    /// TCP waits up to twice as long between two tries as it has waited in all.
    fn wire_heals(&mut self, edge: usize, began: Instant) {
        let settles_within = 2 * began.elapsed() + Duration::from_secs(3);
        self.ledger.lock().wire_heals(edge, settles_within);
        self.busy_wires[edge] = false;
        self.note(&format!("{} is good again", edge_name(edge)));
    }

    /// Draws until something can be done.
    fn event(&mut self) -> Result<(), String> {
        for _ in 0..10 {
            let (node, edge) = (self.dice.below(NAMES.len()), self.dice.below(EDGES.len()));
            let draw = self.dice.below(100);
            let done = match draw {
                0..=40 => self.node_event(draw, node),
                41..=46 => {
                    if self.nodes.is_there(node) {
                        self.nodes.reload(node);
                        self.count("reloads", &format!("{} reads its configuration again", NAMES[node]));
                    }
                    true
                }
                47..=93 => self.wire_event(draw, edge)?,
                _ => {
                    let seed = self.dice.roll();
                    std::thread::spawn(move || strangers(node, seed));
                    self.count("crowds of strangers", &format!("strangers at {}", NAMES[node]));
                    true
                }
            };
            if done {
                break;
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: &'static str, what: &str) {
        *self.counts.entry(kind).or_default() += 1;
        self.note(what);
    }

    fn node_event(&mut self, draw: usize, node: usize) -> bool {
        let busy = self.busy_nodes.iter().filter(|busy| **busy).count();
        if busy >= NODES_MAX || self.busy_nodes[node] {
            return false;
        }
        let is_careful = !(17..=19).contains(&draw);
        let has_sound_edge = self.ledger.lock().has_sound_edge(node);
        let name = NAMES[node];
        match draw {
            0..=29 if is_careful && !has_sound_edge => return false,
            0..=19 => {
                self.nodes.kill(node);
                self.count("kills", &format!("{name} is killed"));
            }
            20..=29 => {
                self.nodes.terminate(node);
                self.count("clean stops", &format!("{name} gets SIGTERM"));
            }
            _ => {
                self.nodes.stop(node);
                self.count("freezes", &format!("{name} is frozen"));
            }
        }
        let (undo, pause) = match draw {
            0..=19 => (Undo::Start { node }, self.trouble(20_000)),
            20..=29 => (Undo::Start { node }, self.millis((0, 2_000))),
            _ => (Undo::GoOn { node }, self.trouble(STOP_MS_MAX)),
        };
        self.busy_nodes[node] = true;
        self.undo.push((Instant::now() + pause, undo));
        true
    }

    fn wire_event(&mut self, draw: usize, edge: usize) -> Result<bool, String> {
        let busy = self.busy_wires.iter().filter(|busy| **busy).count();
        if busy >= WIRES_MAX || self.busy_wires[edge] {
            return Ok(false);
        }
        self.busy_wires[edge] = true;
        self.ledger.lock().wire_worsens(edge);
        let began = Instant::now();
        let (kind, settings) = match draw {
            47..=58 => ("cuts", "cut=both".to_owned()),
            59..=66 => ("cuts one way", format!("cut={}", ["forth", "back"][self.dice.below(2)])),
            67..=71 => ("flapping wires", "cut=both".to_owned()),
            72..=79 => {
                let (loss, other) = (1 + self.dice.below(10), self.dice.below(5));
                ("lossy wires", format!("loss={loss} delay=2 jitter=10 duplicate={other} reorder={other}"))
            }
            80..=86 => ("slow wires", format!("delay={} jitter=30", 1 + self.dice.below(300))),
            _ => ("pulled cables", String::new()),
        };
        self.count(kind, &format!("{}: {kind} {settings}", edge_name(edge)));
        let length = self.trouble(CUT_MS_MAX);
        let (length, undo) = match kind {
            "flapping wires" => {
                (Duration::from_millis(300), Undo::Flap { edge, began, left: 3 + self.dice.roll() % 10 })
            }
            "pulled cables" => {
                let (a, b) = EDGES[edge];
                let (node, other) = if self.dice.below(2) == 0 { (a, b) } else { (b, a) };
                world::pull(node, other)?;
                (length, Undo::Plug { edge, node, began })
            }
            _ => (length, Undo::Wire { edge, began }),
        };
        self.world.set_wire(edge, &settings)?;
        self.undo.push((began + length, undo));
        Ok(true)
    }
}

/// Wrong bytes on both ports of a node, from strangers that do not close the connection.
fn strangers(node: usize, seed: u64) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let mut dice = Dice::new(seed);
    let noise = dice.bytes(STRANGER_BYTES);
    let hello = "HELLO 1 Hill 7 4096 000102030405060708090a0b0c0d0e0f\n";
    let lines =
        format!("{hello}PROOF {:064x}\nU 1 AT Hill +0.000000001 forged +1-1 9999999999.5\n", dice.roll());
    for (address, bytes) in [
        (client_address(node), &noise[..]),
        (client_address(node), b"IAMAT half-a-line +34.0"),
        (client_address(node), &[b'x'; 5_000]),
        (link_address(node), &noise[..]),
        (link_address(node), lines.as_bytes()),
        (link_address(node), hello.as_bytes()),
    ] {
        let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else { continue };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.set_write_timeout(Some(PATIENCE));
        let _ = stream.write_all(bytes);
        // Some of what it says; the rest is left unread, which ends the connection by a reset.
        let _ = stream.read(&mut [0; 512]);
    }
}
