//! A herd in memory for tests of the core: pipes join the nodes, and the test moves the clock. The feature `testing` gives it to
//! tests of other packages.

use std::collections::VecDeque;

use crate::auth::{KEY_BYTES, Keys};
use crate::fields::ClientId;
use crate::limits::{AGE_S_MAX, ANSWER_BYTES_MAX, AT_LINE_BYTES_MAX};
use crate::node::links::LinkEvent;
use crate::node::pull::PULL_BYTES_MAX;
use crate::node::secret::{Message, Mode, PublicKeys, Secrecy};
use crate::node::{Answer, Node, Seed, SessionId, Setup};
use crate::noise::connection::{FRESH_BYTES, Fresh};
use crate::noise::key_pair::KeyPair;
use crate::out::Out;
use crate::quota::QuotaKey;
use crate::session::Cut;
use crate::time::{Mono, Now, Timestamp};

/// The names of the nodes of a line.
pub const NAMES: [&str; 4] = ["Campbell", "Hill", "Jaquez", "Smith"];
/// The wall clock at the start, in nanoseconds since 1970.
pub const WALL_NS: i64 = 1_700_000_000_000_000_000;

/// The keys of the herd.
pub fn keys() -> Option<Keys> {
    Some(Keys::new([7; KEY_BYTES], None))
}

/// A connection between two nodes.
pub struct Pipe {
    /// Node and session of each end.
    pub ends: [(usize, SessionId); 2],
    /// Lines, records and steps in flight to the end of the same number.
    pub queues: [VecDeque<Vec<u8>>; 2],
}

/// A herd in memory. Its pipes lose nothing.
pub struct Herd {
    /// A node that is down is not used.
    pub nodes: Vec<Box<Node<64>>>,
    /// Whether each node is down.
    pub is_down: Vec<bool>,
    /// The connections.
    pub pipes: Vec<Pipe>,
    /// The steady clock of all nodes, in milliseconds.
    pub now_ms: u64,
    /// The reasons of the links that nodes ended.
    pub cuts: Vec<Cut>,
    /// The events of all lines that were delivered.
    pub events: Vec<LinkEvent>,
    /// Every line that was sent, as `from -> to line`.
    pub traffic: Vec<String>,
    /// Whether nodes can connect.
    pub reachable: bool,
    /// Edges over which nodes cannot connect, the smaller number first.
    pub cut_edges: Vec<(usize, usize)>,
    /// No line is delivered, and no end learns of it.
    pub hold_lines: bool,
    /// The number of ends of connections so far.
    connections: u64,
}

/// A node of the line of [`NAMES`].
pub fn node(me: usize, count: usize, capacity: usize, keys: Option<Keys>, boot: u64) -> Box<Node<64>> {
    let neighbours: Vec<usize> = (0..count).filter(|&other| other.abs_diff(me) == 1).collect();
    started(&NAMES[..count], me, &neighbours, capacity, keys, boot)
}

/// A node that has just started.
pub fn started(
    names: &[&str],
    me: usize,
    neighbours: &[usize],
    capacity: usize,
    keys: Option<Keys>,
    boot: u64,
) -> Box<Node<64>> {
    start(names, me, neighbours, capacity, keys, None, boot)
}

/// The key pair of a node in tests.
pub fn pair(node: usize) -> KeyPair {
    KeyPair::new([u8::try_from(node).expect("few nodes") + 1; KEY_BYTES])
}

/// The public keys of the nodes of a herd, one each.
pub fn public_keys(count: usize) -> Vec<PublicKeys> {
    (0..count).map(|node| [Some(*pair(node).public()), None]).collect()
}

/// A node of the line of [`NAMES`] with secret links.
pub fn secret_node(me: usize, public_keys: &[PublicKeys], mode: Mode, boot: u64) -> Box<Node<64>> {
    let count = public_keys.len();
    let neighbours: Vec<usize> = (0..count).filter(|&other| other.abs_diff(me) == 1).collect();
    let pair = pair(me);
    let secrecy = Secrecy { mode, pair: &pair, public_keys };
    start(&NAMES[..count], me, &neighbours, 32, keys(), Some(secrecy), boot)
}

fn start(
    names: &[&str],
    me: usize,
    neighbours: &[usize],
    capacity: usize,
    keys: Option<Keys>,
    secrecy: Option<Secrecy>,
    boot: u64,
) -> Box<Node<64>> {
    let seed = Seed { hash_key: (boot, 1), jitter: boot, boot };
    let setup = Setup { names, me, neighbours, keys, secrecy, capacity, age_s_max: AGE_S_MAX, seed };
    let mut node = Box::new(Node::new());
    node.start(&setup).expect("the setup is right");
    node
}

impl Herd {
    /// A line of nodes: each is a neighbour of the next.
    pub fn of(capacities: &[usize], keys: &Option<Keys>) -> Self {
        let count = capacities.len();
        let nodes = capacities.iter().enumerate();
        Herd::joined(
            nodes.map(|(me, &capacity)| node(me, count, capacity, keys.clone(), me as u64 + 1)).collect(),
        )
    }

    /// The herd of these nodes.
    pub fn joined(nodes: Vec<Box<Node<64>>>) -> Self {
        Herd {
            is_down: vec![false; nodes.len()],
            nodes,
            pipes: vec![],
            now_ms: 0,
            cuts: vec![],
            events: vec![],
            traffic: vec![],
            reachable: true,
            cut_edges: vec![],
            hold_lines: false,
            connections: 0,
        }
    }

    /// The clocks of all nodes.
    pub fn now(&self) -> Now {
        let wall = Timestamp(WALL_NS + i64::try_from(self.now_ms).expect("small") * 1_000_000);
        Now { mono: Mono(self.now_ms), wall, wall_is_trusted: true }
    }

    /// The answer to an IAMAT.
    pub fn iamat(&mut self, node: usize, line: &str) -> String {
        let (answer, is_done) = self.ask(node, line);
        assert!(is_done);
        answer
    }

    /// The answer to a client's line, and whether it is complete: the answer to a WHATSAT lacks the places.
    pub fn ask(&mut self, node: usize, line: &str) -> (String, bool) {
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        let now = self.now();
        match self.nodes[node].client_line(&now, QuotaKey::EXEMPT, line.as_bytes(), &mut out) {
            Answer::Places(query) => (String::from_utf8_lossy(&query.at_line).into_owned() + "\n", false),
            answer => (String::from_utf8_lossy(out.written()).into_owned(), matches!(answer, Answer::Done)),
        }
    }

    /// The nodes that are not down.
    pub fn up(&self) -> impl Iterator<Item = usize> + use<> {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|&node| !self.is_down[node]).collect();
        up.into_iter()
    }

    /// Whether a node holds an entry of this client.
    pub fn knows(&self, node: usize, client: &str) -> bool {
        let client = ClientId::parse(client.as_bytes()).expect("a token");
        self.nodes[node].table().get(&client, self.now().mono.seconds()).is_some()
    }

    /// The node's own name.
    pub fn name(&self, node: usize) -> String {
        let node = &self.nodes[node];
        String::from_utf8_lossy(node.names().name(node.me())).into_owned()
    }

    /// Runs for `ms` milliseconds, until no line is in flight.
    pub fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        loop {
            self.settle();
            let next = self.up().map(|node| self.nodes[node].wake_at().0).min().unwrap_or(u64::MAX);
            if next > end {
                break;
            }
            assert!(next > self.now_ms || self.step(), "a timer that is due causes an action");
            self.now_ms = next.max(self.now_ms + 1);
            let now = self.now();
            for node in self.up() {
                self.nodes[node].tick(&now);
            }
        }
        self.now_ms = end;
    }

    /// Does all that needs no clock.
    pub fn settle(&mut self) {
        let steps = (0..100_000).take_while(|_| self.step()).count();
        let last = &self.traffic[self.traffic.len().saturating_sub(20)..];
        assert!(steps < 100_000, "the herd does not settle by {} ms: {last:#?}", self.now_ms);
    }

    /// Carries out what the nodes request, and moves a line on each pipe. Returns whether anything happened.
    pub fn step(&mut self) -> bool {
        let now = self.now();
        let mut moved = self.dial(&now);
        for n in self.up() {
            while let Some((id, ended)) = self.nodes[n].take_cut() {
                // An answered dial-back request ends normally.
                self.cuts.extend(Some(ended.cut).filter(|cut| *cut != Cut::DialBack));
                self.disconnect(n, id);
                moved = true;
            }
        }
        for p in 0..self.pipes.len() {
            moved |= self.pump(p, &now);
        }
        moved
    }

    /// Carries out the dials that the nodes request.
    pub fn dial(&mut self, now: &Now) -> bool {
        let mut moved = false;
        for n in self.up() {
            while let Some(to) = self.nodes[n].take_dial(now.mono) {
                moved = true;
                // Configurations may differ, so a node number is valid at one node only.
                let name = String::from_utf8_lossy(self.nodes[n].names().name(to)).into_owned();
                let other = self.up().find(|&other| self.name(other) == name);
                let is_cut = |other: &usize| self.cut_edges.contains(&(n.min(*other), n.max(*other)));
                let Some(other) = other.filter(|other| self.reachable && !is_cut(other)) else {
                    self.nodes[n].dial_failed(now.mono, to);
                    continue;
                };
                let [dials, accepts] = [self.fresh(), self.fresh()];
                let Some(here) = self.nodes[n].open(now.mono, Some(to), dials) else { continue };
                let there = self.nodes[other].open(now.mono, None, accepts).expect("any host may connect");
                let ends = [(n, here), (other, there)];
                self.pipes.push(Pipe { ends, queues: Default::default() });
            }
        }
        moved
    }

    /// Each end of a pipe writes a line and gets one.
    pub fn pump(&mut self, p: usize, now: &Now) -> bool {
        let mut moved = false;
        if self.hold_lines {
            return false;
        }
        for end in 0..2 {
            let (n, id) = self.pipes[p].ends[end];
            let mut bytes = [0; PULL_BYTES_MAX];
            let mut out = Out::new(&mut bytes);
            let mut clear = None;
            if self.nodes[n].pull(now.mono, id, &mut out, &mut |line| clear = Some(line.to_vec())) {
                let wire = out.written().to_vec();
                let line = match clear {
                    Some(line) if self.nodes[n].is_secret(id) => line,
                    Some(_) => wire.strip_suffix(b"\n").expect("whole lines").to_vec(),
                    None => format!("({} bytes of a handshake)", wire.len()).into(),
                };
                let (from, to) = (self.name(n), self.name(self.pipes[p].ends[1 - end].0));
                self.traffic.push(format!("{from} -> {to} {}", String::from_utf8_lossy(&line)));
                self.pipes[p].queues[1 - end].push_back(wire);
                moved = true;
            }
            if let Some(bytes) = self.pipes[p].queues[end].pop_front() {
                self.deliver(n, id, &bytes);
                moved = true;
            }
        }
        moved
    }

    /// Gives bytes of whole messages to a session.
    pub fn deliver(&mut self, node: usize, id: SessionId, bytes: &[u8]) {
        let (now, mut bytes) = (self.now(), bytes.to_vec());
        let mut input = &mut bytes[..];
        loop {
            // The line ends before the node changes again.
            let (done, line) = match self.nodes[node].take_message(now.mono, id, input) {
                Message::Step(done) => (done, None),
                Message::Line(done, line) => (done, Some(line.to_vec())),
                Message::Part | Message::Ended => return,
            };
            self.events.extend(line.map(|line| self.nodes[node].link_line(&now, id, &line)));
            input = &mut input[done..];
        }
    }

    /// Random bytes of a connection: other ones each time.
    pub fn fresh(&mut self) -> Fresh {
        self.connections += 1;
        let mut bytes = [0; FRESH_BYTES];
        bytes[..8].copy_from_slice(&self.connections.to_be_bytes());
        bytes[FRESH_BYTES - 8..].copy_from_slice(&self.connections.to_be_bytes());
        bytes.into()
    }

    /// The end of a session: both ends notice.
    pub fn disconnect(&mut self, node: usize, id: SessionId) {
        self.close(|pipe| pipe.ends.contains(&(node, id)));
    }

    /// Closes these pipes. The ends that are up notice.
    pub fn close(&mut self, which: impl Fn(&Pipe) -> bool) {
        let now = self.now().mono;
        for pipe in self.pipes.extract_if(.., |pipe| which(pipe)) {
            for (n, id) in pipe.ends.into_iter().filter(|(n, _)| !self.is_down[*n]) {
                self.nodes[n].closed(now, id);
            }
        }
    }

    /// Closes all pipes.
    pub fn cut_all(&mut self) {
        self.close(|_| true);
    }

    /// The number of updates among the lines.
    pub fn updates(&self) -> usize {
        self.traffic.iter().filter(|line| line.contains(" U ")).count()
    }

    /// Whether all links are in sync and nothing is pending.
    pub fn all_equal(&self) -> bool {
        self.nodes.iter().all(|node| node.links().all(|link| link.equal_at.is_some() && link.pending == 0))
    }

    /// The AT lines that a node holds, in the order of their bytes.
    pub fn at_lines(&self, node: usize) -> Vec<String> {
        let node = &self.nodes[node];
        let lines = node.table().advertised(self.now().mono.seconds()).map(|version| {
            let mut bytes = [0; AT_LINE_BYTES_MAX];
            let mut out = Out::new(&mut bytes);
            version.put_at_line(node.names(), &mut out);
            String::from_utf8_lossy(out.written()).into_owned()
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines
    }
}
