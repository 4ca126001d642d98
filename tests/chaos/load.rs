//! The clients of the storm: each has ids of its own, stays with a node for a while, and moves on when it likes or must.
//!
//! A client records what it sends before it sends it, and each answer as it arrives, so the ledger knows of every
//! update that any node may ever have heard. When a connection breaks, the client says some of what was not answered
//! again, word for word, to the next node: as clients do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::{Line, Wrong};
use crate::ledger::Time;
use crate::nodes::Shared;
use crate::world::{NAMES, client_address};
use herd_test_support::Dice;

pub(crate) const CLIENTS: usize = 12;
/// Some 3,000 in all, fewer than a table holds: what a full table does is the soak's and the simulator's.
pub(crate) const IDS_PER_CLIENT: usize = 250;
/// Clients that fall silent half-way: the herd has their last updates at the end only if nodes retained them.
pub(crate) const SILENT_EVERY: usize = 5;
/// How long a client waits for a node before it goes to another.
const PATIENCE: Duration = Duration::from_secs(2);
const BATCH_EVERY: Duration = Duration::from_millis(100);
const BATCH_LINES_MAX: u64 = 6;
const STAY_BATCHES_MAX: u64 = 120;

pub(crate) fn id_of(client: usize, index: usize) -> String {
    format!("storm-{client}-{index}.example.org")
}

/// A request that was sent.
enum Sent {
    Update(String),
    Query { line: String, id: String, demand: Option<Time> },
    Nonsense(String),
}

pub(crate) struct Client {
    number: usize,
    dice: Dice,
    ledger: Shared,
    last_ns: u64,
    /// Updates that were not answered and are sent again.
    again: Vec<String>,
    silent_from: Instant,
}

impl Client {
    pub(crate) fn new(number: usize, seed: u64, ledger: Shared, silent_from: Instant) -> Client {
        let dice = Dice::new(seed.wrapping_mul(1000) + number as u64);
        Client { number, dice, ledger, last_ns: 0, again: Vec::new(), silent_from }
    }

    /// Sends and reads until the storm is over.
    pub(crate) fn run(mut self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let node = self.dice.below(NAMES.len());
            let life = self.ledger.lock().life(node);
            if let Ok(mut line) = Line::connect(client_address(node), PATIENCE) {
                self.visit(node, life, &mut line, is_over);
            }
            std::thread::sleep(BATCH_EVERY);
        }
    }

    /// Stays with a node.
    fn visit(&mut self, node: usize, life: u64, line: &mut Line, is_over: &AtomicBool) {
        let batches = 1 + self.dice.roll() % STAY_BATCHES_MAX;
        for _ in 0..batches {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let begin = Instant::now();
            let batch = self.batch(node);
            match self.exchange(node, life, line, &batch) {
                Ok(()) => {}
                Err((at, Wrong::Gone(_))) => return self.give_up(&batch[at..]),
                Err((at, Wrong::Answer(what))) => {
                    self.give_up(&batch[at..]);
                    return self.ledger.lock().fault(what);
                }
            }
            std::thread::sleep(BATCH_EVERY.saturating_sub(begin.elapsed()));
        }
    }

    /// What is sent at once: updates mostly, some old, some a second time; queries; and lines that are not commands.
    fn batch(&mut self, node: usize) -> Vec<Sent> {
        let mut batch: Vec<Sent> = std::mem::take(&mut self.again).into_iter().map(Sent::Update).collect();
        for _ in 0..1 + self.dice.roll() % BATCH_LINES_MAX {
            let sent = match self.dice.below(100) {
                0..=71 => self.update(),
                72..=75 => self.old_update(),
                76..=94 => self.query(node),
                _ => Sent::Nonsense(format!("IAMAT storm-{} +34.0 {}", self.number, self.dice.roll())),
            };
            if let (1, Sent::Update(update)) = (self.dice.below(40), &sent) {
                batch.push(Sent::Update(update.clone()));
            }
            batch.push(sent);
        }
        let mut ledger = self.ledger.lock();
        for sent in &batch {
            if let Sent::Update(update) = sent {
                ledger.issues(node, update);
            }
        }
        drop(ledger);
        batch
    }

    fn update(&mut self) -> Sent {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Never the same twice.
        self.last_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(self.last_ns + 1);
        self.update_of(self.last_ns)
    }

    /// A client whose clock is behind.
    fn old_update(&mut self) -> Sent {
        let behind = 1_000_000_000 + self.dice.roll() % 60_000_000_000;
        self.last_ns += 1;
        self.update_of(self.last_ns.saturating_sub(behind))
    }

    fn update_of(&mut self, ns: u64) -> Sent {
        let mut index = self.dice.below(IDS_PER_CLIENT);
        if index.is_multiple_of(SILENT_EVERY) && Instant::now() > self.silent_from {
            index += 1;
        }
        let (latitude, longitude) = (self.dice.roll() % 90, self.dice.roll() % 180);
        let id = id_of(self.number, index);
        Sent::Update(format!(
            "IAMAT {id} +{latitude}.068930-{longitude}.445127 {}.{:09}",
            ns / 1_000_000_000,
            ns % 1_000_000_000
        ))
    }

    /// A query about anybody.
    fn query(&mut self, node: usize) -> Sent {
        let (client, index) = (self.dice.below(CLIENTS), self.dice.below(IDS_PER_CLIENT));
        let id = id_of(client, index);
        let what = if self.dice.below(4) == 0 { "10 5" } else { "0 0" };
        let demand = self.ledger.lock().surely(node, &id);
        Sent::Query { line: format!("WHATSAT {id} {what}"), id, demand }
    }

    /// Sends a batch and checks its answers, which come in its order. Fails with the first that was not answered.
    fn exchange(
        &self,
        node: usize,
        life: u64,
        line: &mut Line,
        batch: &[Sent],
    ) -> Result<(), (usize, Wrong)> {
        let mut text = String::new();
        for sent in batch {
            let (Sent::Update(line) | Sent::Query { line, .. } | Sent::Nonsense(line)) = sent;
            text.push_str(line);
            text.push('\n');
        }
        line.send(text.as_bytes()).map_err(|error| (0, error.into()))?;
        for (at, sent) in batch.iter().enumerate() {
            self.answer(node, life, line, sent).map_err(|wrong| (at, wrong))?;
        }
        Ok(())
    }

    fn answer(&self, node: usize, life: u64, line: &mut Line, sent: &Sent) -> Result<(), Wrong> {
        match sent {
            Sent::Update(update) => {
                let at = line.iamat(update, NAMES[node])?;
                self.ledger.lock().acknowledged(node, life, &at);
            }
            Sent::Query { line: query, id, demand } => {
                let at = line.whatsat(query)?;
                self.ledger.lock().answered(node, id, *demand, at.as_deref());
            }
            Sent::Nonsense(nonsense) => {
                let echo = line.line()?;
                if echo != format!("? {nonsense}") {
                    return Err(Wrong::Answer(format!(
                        "{nonsense:?} to {} is answered by {echo:?}",
                        NAMES[node]
                    )));
                }
                self.ledger.lock().counts.echoes += 1;
            }
        }
        Ok(())
    }

    /// What was not answered may have been heard or not. Half of it is sent again to another node.
    fn give_up(&mut self, batch: &[Sent]) {
        for sent in batch {
            if let Sent::Update(update) = sent {
                self.ledger.lock().counts.lost += 1;
                if self.dice.below(2) == 0 {
                    self.again.push(update.clone());
                }
            }
        }
    }
}
