//! The answers that clients got, what follows from them, and what was wrong.
//!
//! It holds three kinds of knowledge, each conservative:
//!
//! - **issued**: the updates that were sent, with the AT lines that acknowledged them. An AT line that anybody ever gets
//!   must be one of these, byte for byte; only of an update whose acknowledgement was lost the skew is free.
//! - **sure**: for each node and client, the newest update that this life of the node must hold: one that it acknowledged or
//!   answered itself, or one that a neighbour was sure of for [`FLOOD`] while the edge between them was sound. An edge is
//!   sound while both processes run and obey, both logs say that the link is up, and its wire has
//!   been good for long enough that TCP has tried again. A node that ends loses what it was sure of, and no more is
//!   demanded of it than its neighbours were sure of by then.
//! - **faults**: what was seen and must not be.
//!
//! Invariant: a demand is only ever made of what a right herd cannot fail to do; how much could be demanded is counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::world::{EDGES, NAMES};
use herd_test_support::is_skew;

/// What an update needs at most from a node to its neighbour while the edge is sound.
pub(crate) const FLOOD: Duration = Duration::from_secs(5);
const FAULTS_MAX: usize = 20;

/// A client's time in nanoseconds: what orders the updates of one client here. Updates of equal time are as good as each
/// other to a demand.
pub(crate) type Time = u64;

#[derive(Default)]
struct Issue {
    /// AT lines that acknowledged it: more than one if it was sent twice.
    acknowledged: Vec<String>,
    /// AT lines that others got of it.
    seen: Vec<String>,
    /// How often it was sent.
    sent: usize,
}

#[derive(Default)]
struct Edge {
    /// When each end logged that the link is up; `None` since it logged that it is down.
    up: [Option<Instant>; 2],
    /// Since when the wire is as good as new; `None` while it is not.
    good_since: Option<Instant>,
}

#[derive(Default)]
struct Life {
    number: u64,
    /// Since when the process runs, and is not stopped.
    running_since: Option<Instant>,
}

/// What is counted for the update at the end.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) queries: u64,
    pub(crate) demands: u64,
    pub(crate) echoes: u64,
    /// Clients whose newest update a node was sure of when it ended, and the ones among them that a neighbour was sure of, too.
    pub(crate) held_at_ends: u64,
    pub(crate) survived_ends: u64,
}

pub(crate) struct Ledger {
    issues: HashMap<String, Issue>,
    /// By node, then client: reports that it is sure of and since when, the newest last.
    sure: Vec<HashMap<String, Vec<(Time, Instant)>>>,
    lives: Vec<Life>,
    edges: Vec<Edge>,
    pub(crate) newest: HashMap<String, Time>,
    pub(crate) faults: Vec<String>,
    pub(crate) counts: Counts,
}

/// What an AT line says, without its skew: what names an update.
fn split_at(line: &str) -> Option<(String, &str)> {
    let words: Vec<&str> = line.split(' ').collect();
    let &["AT", node, skew, id, position, time] = &words[..] else { return None };
    Some((format!("{node} {id} {position} {time}"), skew))
}

/// The time of an AT line or of an IAMAT, which both end in it.
pub(crate) fn time_of(line: &str) -> Option<Time> {
    let (whole, fraction) = line.rsplit(' ').next()?.split_once('.')?;
    Some(whole.parse::<Time>().ok()? * 1_000_000_000 + fraction.parse::<Time>().ok()?)
}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        let now = Instant::now();
        Ledger {
            issues: HashMap::new(),
            sure: NAMES.iter().map(|_| HashMap::new()).collect(),
            lives: NAMES.iter().map(|_| Life::default()).collect(),
            edges: EDGES.iter().map(|_| Edge { good_since: Some(now), ..Edge::default() }).collect(),
            newest: HashMap::new(),
            faults: Vec::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }

    // What becomes of nodes and wires.

    /// A process was started, or goes on.
    pub(crate) fn runs(&mut self, node: usize) {
        self.lives[node].running_since = Some(Instant::now());
    }

    /// It is about to be stopped, and keeps what it holds.
    pub(crate) fn stops(&mut self, node: usize) {
        self.spread();
        self.lives[node].running_since = None;
    }

    /// It is about to be ended, with all it holds. To be called before it is.
    pub(crate) fn ends(&mut self, node: usize) {
        self.spread();
        let held = std::mem::take(&mut self.sure[node]);
        let others = |id: &str, time: Time| {
            let holds = |other: usize| self.surely(other, id).is_some_and(|sure| sure >= time);
            (0..NAMES.len()).any(holds)
        };
        let newest = held.iter().filter_map(|(id, sure)| Some((id, sure.last()?.0)));
        let survived: Vec<bool> = newest.map(|(id, time)| others(id, time)).collect();
        self.counts.held_at_ends += survived.len() as u64;
        self.counts.survived_ends += survived.iter().filter(|survived| **survived).count() as u64;
        self.lives[node] = Life { number: self.lives[node].number + 1, running_since: None };
        for (edge, &(a, b)) in self.edges.iter_mut().zip(&EDGES) {
            if a == node || b == node {
                // The next life has no link until it says so.
                edge.up[usize::from(b == node)] = None;
            }
        }
    }

    pub(crate) fn life(&self, node: usize) -> u64 {
        self.lives[node].number
    }

    /// A node's log says that its link to another is up or down.
    pub(crate) fn link_is(&mut self, node: usize, other: usize, is_up: bool) {
        if let Some(edge) =
            EDGES.iter().position(|&(a, b)| (a, b) == (node, other) || (b, a) == (node, other))
        {
            self.edges[edge].up[usize::from(EDGES[edge].1 == node)] = is_up.then(Instant::now);
        }
    }

    /// A wire is about to get worse.
    pub(crate) fn wire_worsens(&mut self, edge: usize) {
        self.spread();
        self.edges[edge].good_since = None;
    }

    /// A wire is as good as new; what TCP held back comes within this time.
    pub(crate) fn wire_heals(&mut self, edge: usize, settles_within: Duration) {
        self.edges[edge].good_since = Some(Instant::now() + settles_within);
    }

    /// Whether an edge has been sound for as long as an update needs.
    pub(crate) fn is_sound(&self, edge: usize, now: Instant) -> bool {
        let (a, b) = EDGES[edge];
        let Edge { up, good_since } = self.edges[edge];
        let since = [up[0], up[1], good_since, self.lives[a].running_since, self.lives[b].running_since];
        since.iter().all(|since| since.is_some_and(|since| now.saturating_duration_since(since) >= FLOOD))
            && good_since.is_some_and(|since| since <= now)
    }

    /// Whether this node has a neighbour that surely holds what it holds.
    pub(crate) fn has_sound_edge(&self, node: usize) -> bool {
        let now = Instant::now();
        let of_node = |edge: &usize| EDGES[*edge].0 == node || EDGES[*edge].1 == node;
        (0..EDGES.len()).filter(of_node).any(|edge| self.is_sound(edge, now))
    }

    pub(crate) fn all_links_are_up(&self) -> bool {
        self.edges.iter().all(|edge| edge.up.iter().all(Option::is_some))
    }

    /// What a node has been sure of for long enough, its neighbours over sound edges are sure of, too.
    pub(crate) fn spread(&mut self) {
        let now = Instant::now();
        for edge in (0..EDGES.len()).filter(|edge| self.is_sound(*edge, now)).collect::<Vec<_>>() {
            let (a, b) = EDGES[edge];
            for (from, to) in [(a, b), (b, a)] {
                let passed: Vec<(String, Time)> = self.sure[from]
                    .iter()
                    .filter_map(|(id, sure)| {
                        let is_old =
                            |(_, since): &&(Time, Instant)| now.saturating_duration_since(*since) >= FLOOD;
                        let (time, _) = sure.iter().rfind(is_old)?;
                        self.surely(to, id).is_none_or(|sure| sure < *time).then(|| (id.clone(), *time))
                    })
                    .collect();
                for (id, time) in passed {
                    self.is_sure(to, &id, time);
                }
            }
        }
    }

    fn is_sure(&mut self, node: usize, id: &str, time: Time) {
        let now = Instant::now();
        let sure = self.sure[node].entry(id.to_owned()).or_default();
        if sure.last().is_some_and(|(newest, _)| *newest >= time) {
            return;
        }
        sure.push((time, now));
        // Of the updates that are old enough to be passed on, only the newest counts.
        let old = sure.iter().filter(|(_, since)| now.saturating_duration_since(*since) >= FLOOD).count();
        sure.drain(..old.saturating_sub(1));
    }

    /// The newest update of a client that this node must hold. What is demanded of a query is asked before it is sent.
    pub(crate) fn surely(&self, node: usize, id: &str) -> Option<Time> {
        self.sure[node].get(id)?.last().map(|(time, _)| *time)
    }

    // What clients send, and the answers that they get.

    /// An update is about to be sent to a node.
    pub(crate) fn issues(&mut self, node: usize, iamat: &str) {
        let fields = iamat.strip_prefix("IAMAT ").unwrap_or(iamat);
        self.issues.entry(format!("{} {fields}", NAMES[node])).or_default().sent += 1;
    }

    /// It was acknowledged on a connection that was made in this life of the node.
    pub(crate) fn acknowledged(&mut self, node: usize, life: u64, at: &str) {
        self.counts.acknowledged += 1;
        let (Some((name, _)), Some(time)) = (split_at(at), time_of(at)) else {
            return self.fault(format!("no AT line of an update: {at:?}"));
        };
        let id = at.split(' ').nth(3).unwrap_or_default();
        if self.lives[node].number == life {
            self.is_sure(node, id, time);
        }
        let newest = self.newest.entry(id.to_owned()).or_default();
        *newest = time.max(*newest);
        let Some(issue) = self.issues.get_mut(&name) else {
            return self.fault(format!("acknowledged and never sent: {at:?}"));
        };
        issue.acknowledged.push(at.to_owned());
        if issue.acknowledged.len() == issue.sent
            && let Some(other) = issue.seen.iter().find(|seen| !issue.acknowledged.contains(seen))
        {
            let what = format!("{other:?} was answered, but {at:?} acknowledged");
            self.fault(what);
        }
    }

    /// A node answered with this AT line: it must be one that was issued.
    pub(crate) fn seen(&mut self, by: &str, at: &str) {
        let issue = split_at(at).and_then(|(name, skew)| Some((self.issues.get_mut(&name)?, skew)));
        let Some((issue, skew)) = issue else {
            return self.fault(format!("{by} answers what no client ever sent: {at:?}"));
        };
        if issue.acknowledged.iter().any(|line| line == at) {
            return;
        }
        if issue.acknowledged.len() >= issue.sent || !is_skew(skew) {
            let what = format!("{by} answers {at:?}, which was acknowledged as {:?}", issue.acknowledged);
            return self.fault(what);
        }
        if !issue.seen.iter().any(|line| line == at) {
            issue.seen.push(at.to_owned());
        }
    }

    /// What a node answered, and what it had to answer at least.
    pub(crate) fn answered(&mut self, node: usize, id: &str, demand: Option<Time>, at: Option<&str>) {
        self.counts.queries += 1;
        if let Some(at) = at {
            self.seen(NAMES[node], at);
        }
        let got = at.and_then(time_of);
        let Some(least) = demand else { return };
        self.counts.demands += 1;
        if got.is_none_or(|got| got < least) {
            let name = NAMES[node];
            self.fault(format!("{name} must hold an update of {id} of {least} ns and answers {at:?}"));
        }
    }
}
