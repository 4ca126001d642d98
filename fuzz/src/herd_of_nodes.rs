//! A few nodes joined by pipes in memory, and the checks of each node after every event.
//!
//! The simulator (`src/sim`) draws its faults from a seed. Here the input gives the order of all events, so the
//! fuzzer searches for an order that breaks an invariant. Configurations may change here; in the simulator they
//! do not.
//!
//! Invariants: a written line is delivered whole and in order, or its pipe ends; all steady clocks run at the
//! same rate, each from its node's start.

use std::collections::{BTreeMap, VecDeque};

use herd::proto::counters::Counters;
use herd::proto::fields::ClientId;
use herd::proto::limits::{ANSWER_BYTES_MAX, NEIGHBOURS_MAX, NONCE_BYTES, RANKED_LINE_BYTES_MAX};
use herd::proto::names::Names;
use herd::proto::node::reload::Reload;
use herd::proto::node::{Answer, Node, Seed, SessionId, Setup};
use herd::proto::noise::connection::{FRESH_BYTES, Fresh};
use herd::proto::out::Out;
use herd::proto::quota::QuotaKey;
use herd::proto::session::Cut;
use herd::proto::table::Table;
use herd::proto::time::{Mono, Now, Timestamp};
use herd::proto::update::{Update, UpdateRef};

use crate::neighbour::{keys, pull};

pub(crate) const SLOTS: usize = 16;
pub(crate) const NAMES: [&str; 3] = ["Hill", "Jaquez", "Smith"];
pub(crate) const CLIENTS: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
pub(crate) const WALL_NS: i64 = 1_700_000_000_000_000_000;
/// The largest rounding error of an age over a few links, in milliseconds.
const ROUNDED_MS: u64 = 10_000;

/// The topology, key and capacities of the herd.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    pub(crate) is_ring: bool,
    pub(crate) has_key: bool,
    pub(crate) age_s_max: u32,
    pub(crate) capacities: [usize; 3],
}

impl Shape {
    fn neighbours(&self, node: usize) -> Vec<usize> {
        (0..self.nodes)
            .filter(|&other| other != node && (self.is_ring || other.abs_diff(node) == 1))
            .collect()
    }
}

/// A node, its clocks, and its state at the last check.
pub(crate) struct Board {
    pub(crate) node: Box<Node<SLOTS>>,
    started_ms: u64,
    pub(crate) wall_off_ns: i64,
    pub(crate) is_trusted: bool,
    /// The node that its configuration omits.
    pub(crate) without: Option<usize>,
    held: BTreeMap<&'static str, Vec<u8>>,
    counters: Counters,
    evicted: u64,
}

/// A connection. Undelivered lines wait in the queue of the receiving end's number.
struct Pipe {
    ends: [(usize, SessionId); 2],
    queues: [VecDeque<Vec<u8>>; 2],
}

pub(crate) struct Herd {
    pub(crate) shape: Shape,
    pub(crate) boards: Vec<Board>,
    pipes: Vec<Pipe>,
    pub(crate) now_ms: u64,
    starts: u64,
    /// A node with all names, for parsing any AT line.
    reader: Box<Node<SLOTS>>,
    /// Each AT line that a node sent to a client, and when it first did.
    issued: BTreeMap<Vec<u8>, u64>,
    pub(crate) is_reachable: bool,
}

impl Herd {
    pub(crate) fn new(shape: Shape) -> Self {
        let mut reader = Box::new(Node::new());
        start(&mut reader, &Shape { nodes: 3, ..shape.clone() }, 0, 0);
        let mut herd = Herd {
            boards: vec![],
            pipes: vec![],
            now_ms: 1_000,
            starts: 0,
            reader,
            issued: BTreeMap::new(),
            is_reachable: true,
            shape,
        };
        for node in 0..herd.shape.nodes {
            let board = herd.fresh(node);
            herd.boards.push(board);
        }
        herd
    }

    fn fresh(&mut self, node: usize) -> Board {
        self.starts += 1;
        let mut fresh = Box::new(Node::new());
        start(&mut fresh, &self.shape, node, self.starts);
        Board {
            node: fresh,
            started_ms: self.now_ms,
            wall_off_ns: 0,
            is_trusted: true,
            without: None,
            held: BTreeMap::new(),
            counters: Counters::new(),
            evicted: 0,
        }
    }

    pub(crate) fn now(&self, node: usize) -> Now {
        let board = &self.boards[node];
        let passed_ns = i64::try_from(self.now_ms).expect("an input lasts days") * 1_000_000;
        Now {
            mono: Mono(self.now_ms - board.started_ms),
            wall: Timestamp(WALL_NS + passed_ns + board.wall_off_ns),
            wall_is_trusted: board.is_trusted,
        }
    }

    /// Sends a client's line and returns the AT line of the answer.
    pub(crate) fn client(&mut self, node: usize, line: &str) -> Option<Vec<u8>> {
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        let now = self.now(node);
        let at_line =
            match self.boards[node].node.client_line(&now, QuotaKey::EXEMPT, line.as_bytes(), &mut out) {
                Answer::Done | Answer::Close => {
                    out.written().strip_suffix(b"\n").expect("a whole line").to_vec()
                }
                Answer::Places(query) => query.at_line.to_vec(),
            };
        let is_known = at_line.starts_with(b"AT ");
        if is_known && line.starts_with("IAMAT ") {
            self.issued.entry(at_line.clone()).or_insert(self.now_ms);
        }
        self.check(node, false);
        is_known.then_some(at_line)
    }

    /// Restarts a node after a power cut. If `silently`, its peers do not notice.
    pub(crate) fn crash(&mut self, node: usize, silently: bool) {
        let gone: Vec<Pipe> =
            self.pipes.extract_if(.., |pipe| pipe.ends.iter().any(|(n, _)| *n == node)).collect();
        self.boards[node] = self.fresh(node);
        for (n, id) in gone.iter().flat_map(|pipe| pipe.ends).filter(|(n, _)| *n != node && !silently) {
            let now = self.now(n).mono;
            self.boards[n].node.closed(now, id);
            self.check(n, false);
        }
    }

    /// Cuts a cable. If `silently`, neither end notices.
    pub(crate) fn cut(&mut self, pipe: usize, silently: bool) {
        if pipe < self.pipes.len() {
            let pipe = self.pipes.remove(pipe);
            for (n, id) in pipe.ends.into_iter().filter(|_| !silently) {
                let now = self.now(n).mono;
                self.boards[n].node.closed(now, id);
                self.check(n, false);
            }
        }
    }

    /// Reloads a configuration that lists all nodes except `without`.
    pub(crate) fn reload(&mut self, node: usize, without: Option<usize>) {
        let without = without.filter(|&other| other != node && other < self.shape.nodes);
        let listed: Vec<usize> = (0..self.shape.nodes).filter(|&n| Some(n) != without).collect();
        let names: Vec<&str> = listed.iter().map(|&n| NAMES[n]).collect();
        let mine = self.shape.neighbours(node);
        let neighbours: Vec<usize> = (0..listed.len()).filter(|&i| mine.contains(&listed[i])).collect();
        let keys = self.shape.has_key.then(keys);
        let now = self.now(node);
        let reload = Reload { names: &names, neighbours: &neighbours, keys, secrecy: None };
        let done = self.boards[node].node.reload(&now, &reload).expect("the configuration is right");
        assert_eq!(done.retained + done.added, neighbours.len());
        let is_in_sync = self.boards[node].node.links().any(|link| link.is_in_sync());
        assert!(done.entries_dropped == 0 || !is_in_sync, "a node that drops entries is not in sync");
        self.boards[node].without = without;
        self.check(node, true);
        self.settle();
    }

    pub(crate) fn tick(&mut self) {
        for node in 0..self.boards.len() {
            let now = self.now(node);
            self.boards[node].node.tick(&now);
            self.check(node, false);
        }
        self.settle();
    }

    /// The next time at which a node requests a tick, in milliseconds.
    pub(crate) fn wake_ms(&self) -> u64 {
        let at = |board: &Board| board.node.wake_at().0.saturating_add(board.started_ms);
        self.boards.iter().map(at).min().unwrap_or(u64::MAX)
    }

    /// Performs the actions that the nodes request: cuts, then dials.
    pub(crate) fn settle(&mut self) {
        for (node, name) in NAMES.iter().enumerate().take(self.boards.len()) {
            while let Some((id, ended)) = self.boards[node].node.take_cut() {
                let is_honest = !matches!(
                    ended.cut,
                    Cut::NoHello
                        | Cut::Version
                        | Cut::NoProof
                        | Cut::Unexpected
                        | Cut::WrongKey
                        | Cut::WrongTag
                        | Cut::Nonsense
                        | Cut::TooLong
                );
                assert!(is_honest, "{name} ends the link of an honest node: {}", ended.cut.reason());
                if let Some(at) = self.pipes.iter().position(|pipe| pipe.ends.contains(&(node, id))) {
                    self.cut(at, false);
                }
            }
        }
        for node in 0..self.boards.len() {
            let now = self.now(node);
            while let Some(to) = self.boards[node].node.take_dial(now.mono) {
                let name = self.boards[node].node.names().name(to).to_vec();
                let other = NAMES.iter().position(|other| other.as_bytes() == name).expect("of the list");
                if !self.is_reachable {
                    self.boards[node].node.dial_failed(now.mono, to);
                    continue;
                }
                let nonce =
                    u128::from(self.starts) << 64 | u128::from(self.now_ms) << 8 | self.pipes.len() as u128;
                let fresh = |nonce: u128| {
                    let mut fresh = [0; FRESH_BYTES];
                    fresh[FRESH_BYTES - NONCE_BYTES..].copy_from_slice(&nonce.to_be_bytes());
                    Fresh::from(fresh)
                };
                let here = self.boards[node].node.open(now.mono, Some(to), fresh(nonce));
                let Some(here) = here else { continue };
                let mono = self.now(other).mono;
                let there =
                    self.boards[other].node.open(mono, None, fresh(!nonce)).expect("any host may connect");
                self.pipes.push(Pipe { ends: [(node, here), (other, there)], queues: Default::default() });
            }
        }
    }

    /// One end of a pipe writes up to `lines` lines. Returns whether it wrote any.
    pub(crate) fn write(&mut self, pipe: usize, end: usize, lines: usize) -> bool {
        let Some(&Pipe { ends, .. }) = self.pipes.get(pipe) else { return false };
        let (node, id) = ends[end];
        let now = self.now(node);
        let mut wrote = false;
        for _ in 0..lines {
            let Some(line) = pull(&mut self.boards[node].node, &now, id) else { break };
            self.pipes[pipe].queues[1 - end].push_back(line);
            wrote = true;
        }
        if wrote {
            self.check(node, false);
        }
        wrote
    }

    /// Delivers one line to an end of a pipe. Returns whether a line was waiting.
    pub(crate) fn deliver(&mut self, pipe: usize, end: usize) -> bool {
        let Some(line) = self.pipes.get_mut(pipe).and_then(|pipe| pipe.queues[end].pop_front()) else {
            return false;
        };
        let (node, id) = self.pipes[pipe].ends[end];
        let now = self.now(node);
        self.boards[node].node.link_line(&now, id, &line);
        self.check(node, false);
        self.settle();
        true
    }

    pub(crate) fn pipes(&self) -> usize {
        self.pipes.len()
    }

    /// The AT lines that a node holds, by client, with their ranks.
    pub(crate) fn at_lines(&self, node: usize) -> BTreeMap<&'static str, Vec<u8>> {
        let now_s = self.now(node).mono.seconds();
        let node = &self.boards[node].node;
        let known = CLIENTS.into_iter().filter_map(|name| {
            let client = ClientId::parse(name.as_bytes()).expect("a token");
            let sighting = node.table().get(&client, now_s)?;
            Some((name, at_line(&UpdateRef { client: &client, sighting }, node.names())))
        });
        known.collect()
    }

    /// Parses an AT line with its rank, by the names of all nodes, because node numbers depend on the
    /// configuration.
    pub(crate) fn read(&self, at_line: &[u8]) -> Update {
        Update::parse_ranked_line(at_line, self.reader.names()).expect("an AT line of the herd")
    }

    /// Checks a node after an event.
    fn check(&mut self, node: usize, is_reloaded: bool) {
        let lines = self.at_lines(node);
        let now_ms = self.now_ms;
        let counters = *self.boards[node].node.counters();
        let board = &self.boards[node];
        let table = board.node.table();
        assert!(table.len() <= self.shape.capacities[node], "the table respects its capacity");
        let grew = |(was, is): ((&str, u64), (&str, u64))| is.1 >= was.1;
        assert!(board.counters.each().zip(counters.each()).all(grew), "a counter only grows");
        let links = board.node.links().count();
        check_pending(table, links);
        let may_lose = is_reloaded
            || table.evicted() > board.evicted
            || counters.entries_swept > board.counters.entries_swept;
        for (client, was) in &board.held {
            let is = lines.get(client);
            if is == Some(was) {
                continue;
            }
            let issued_ms = self.issued[unranked(was)];
            let is_old = now_ms + ROUNDED_MS >= issued_ms + u64::from(self.shape.age_s_max) * 1_000;
            let is_newer =
                is.is_some_and(|is| self.read(is).sighting.compare(&self.read(was).sighting).is_gt());
            assert!(is_newer || may_lose || is_old, "{client} goes back: {is:?} after {was:?}");
        }
        for (client, line) in &lines {
            let issued_ms =
                self.issued.get(unranked(line)).unwrap_or_else(|| panic!("a client never sent {line:?}"));
            let is_alive = now_ms < issued_ms + u64::from(self.shape.age_s_max) * 1_000 + ROUNDED_MS;
            assert!(is_alive, "{client} has expired");
        }
        let evicted = table.evicted();
        let board = &mut self.boards[node];
        (board.held, board.counters, board.evicted) = (lines, counters, evicted);
    }
}

/// Checks that a pending bit implies an entry and one of this many neighbours.
pub(crate) fn check_pending<const N: usize>(table: &Table<N>, neighbours: usize) {
    let pending = table.pending();
    for neighbour in 0..neighbours {
        let bits = (0..N).filter(|&slot| pending.is_set(neighbour, slot));
        let (count, last) = bits.fold((0, None), |(count, _), slot| (count + 1, Some(slot)));
        assert_eq!(count, pending.count(neighbour), "the count of pending entries is correct");
        assert!(last.is_none_or(|slot| slot < table.len()), "a pending bit implies an entry");
    }
    assert!(
        (neighbours..NEIGHBOURS_MAX).all(|unused| pending.count(unused) == 0),
        "a pending bit implies a neighbour"
    );
}

fn start(node: &mut Node<SLOTS>, shape: &Shape, me: usize, boot: u64) {
    let setup = Setup {
        names: &NAMES[..shape.nodes],
        me,
        neighbours: &shape.neighbours(me),
        keys: shape.has_key.then(keys),
        secrecy: None,
        capacity: shape.capacities[me],
        age_s_max: shape.age_s_max,
        seed: Seed { hash_key: (boot, 1), jitter: boot, boot },
    };
    node.start(&setup).expect("the setup is right");
}

/// The AT line without its rank, as a client gets it.
pub(crate) fn unranked(line: &[u8]) -> &[u8] {
    let at = line.windows(3).position(|part| part == b"AT ").expect("an AT line");
    &line[at..]
}

fn at_line(update: &UpdateRef, names: &Names) -> Vec<u8> {
    let mut bytes = [0; RANKED_LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    update.put_ranked_line(names, &mut out);
    out.written().to_vec()
}
