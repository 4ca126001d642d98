//! A herd in memory for the tests of the core: pipes join the nodes, and the test moves the clock.

use std::collections::VecDeque;

use super::auth::{KEY_BYTES, Keys};
use super::fields::ClientId;
use super::limits::{AGE_S_MAX, ANSWER_BYTES_MAX, AT_LINE_BYTES_MAX, LINK_LINE_BYTES_MAX, NONCE_BYTES};
use super::node::links::LinkEvent;
use super::node::{Answer, Node, Seed, SessionId, Setup};
use super::out::Out;
use super::quota::QuotaKey;
use super::session::Cut;
use super::time::{Mono, Now, Timestamp};

pub(super) const NAMES: [&str; 4] = ["Campbell", "Hill", "Jaquez", "Smith"];
pub(super) const WALL_NS: i64 = 1_700_000_000_000_000_000;

pub(super) fn keys() -> Option<Keys> {
    Some(Keys::new([7; KEY_BYTES], None))
}

pub(super) struct Pipe {
    pub(super) ends: [(usize, SessionId); 2],
    /// Lines in flight to the end of the same number.
    pub(super) queues: [VecDeque<Vec<u8>>; 2],
}

/// A herd in memory: the nodes form a line, and each is a neighbour of the next.
pub(super) struct Herd {
    pub(super) nodes: Vec<Box<Node<64>>>,
    pub(super) pipes: Vec<Pipe>,
    pub(super) now_ms: u64,
    pub(super) cuts: Vec<Cut>,
    pub(super) events: Vec<LinkEvent>,
    /// Every line that was delivered, as `from -> to line`.
    pub(super) traffic: Vec<String>,
    pub(super) reachable: bool,
    /// No line is delivered, and no end learns of it.
    pub(super) hold_lines: bool,
}

pub(super) fn node(me: usize, count: usize, capacity: usize, keys: Option<Keys>, boot: u64) -> Box<Node<64>> {
    let mut node = Box::new(Node::new());
    let neighbours: Vec<usize> = (0..count).filter(|&other| other.abs_diff(me) == 1).collect();
    let setup = Setup {
        names: &NAMES[..count],
        me,
        neighbours: &neighbours,
        keys,
        capacity,
        age_s_max: AGE_S_MAX,
        seed: Seed { hash_key: (boot, 1), jitter: boot, boot },
    };
    node.start(&setup).expect("the setup is right");
    node
}

impl Herd {
    pub(super) fn of(capacities: &[usize], keys: &Option<Keys>) -> Self {
        let count = capacities.len();
        let nodes = capacities.iter().enumerate();
        let nodes =
            nodes.map(|(me, &capacity)| node(me, count, capacity, keys.clone(), me as u64 + 1)).collect();
        Herd {
            nodes,
            pipes: vec![],
            now_ms: 0,
            cuts: vec![],
            events: vec![],
            traffic: vec![],
            reachable: true,
            hold_lines: false,
        }
    }

    pub(super) fn now(&self) -> Now {
        let wall = Timestamp(WALL_NS + i64::try_from(self.now_ms).expect("small") * 1_000_000);
        Now { mono: Mono(self.now_ms), wall, wall_is_trusted: true }
    }

    pub(super) fn iamat(&mut self, node: usize, line: &str) -> String {
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        let now = self.now();
        let answer = self.nodes[node].client_line(&now, QuotaKey::EXEMPT, line.as_bytes(), &mut out);
        assert!(matches!(answer, Answer::Done));
        String::from_utf8_lossy(out.written()).into_owned()
    }

    pub(super) fn knows(&self, node: usize, client: &str) -> bool {
        let client = ClientId::parse(client.as_bytes()).expect("a token");
        self.nodes[node].table().get(&client, self.now().mono.seconds()).is_some()
    }

    /// The node's own name.
    pub(super) fn name(&self, node: usize) -> String {
        let node = &self.nodes[node];
        String::from_utf8_lossy(node.names().name(node.me())).into_owned()
    }

    /// Runs for `ms` milliseconds, until no line is in flight.
    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        loop {
            let mut steps = 0;
            while self.step() {
                steps += 1;
                assert!(
                    steps < 100_000,
                    "the herd does not settle by {} ms: {:#?}",
                    self.now_ms,
                    &self.traffic[self.traffic.len().saturating_sub(20)..]
                );
            }
            let next = self.nodes.iter().map(|node| node.wake_at().0).min().unwrap_or(u64::MAX);
            if next > end {
                break;
            }
            assert!(next > self.now_ms || self.step(), "a timer that is due causes an action");
            self.now_ms = next.max(self.now_ms + 1);
            let now = self.now();
            for node in &mut self.nodes {
                node.tick(&now);
            }
        }
        self.now_ms = end;
    }

    pub(super) fn step(&mut self) -> bool {
        let now = self.now();
        let mut moved = self.dial(&now);
        for n in 0..self.nodes.len() {
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

    pub(super) fn dial(&mut self, now: &Now) -> bool {
        let mut moved = false;
        for n in 0..self.nodes.len() {
            while let Some(to) = self.nodes[n].take_dial(now.mono) {
                moved = true;
                // Configurations may differ, so a node number is valid at one node only.
                let name = String::from_utf8_lossy(self.nodes[n].names().name(to)).into_owned();
                let other = (0..self.nodes.len()).find(|&other| self.name(other) == name);
                let Some(other) = other.filter(|_| self.reachable) else {
                    self.nodes[n].dial_failed(now.mono, to);
                    continue;
                };
                let nonce = [u8::try_from(self.pipes.len()).expect("few"); NONCE_BYTES];
                let Some(here) = self.nodes[n].open(now.mono, Some(to), nonce) else { continue };
                let there = self.nodes[other].open(now.mono, None, nonce).expect("any host may connect");
                let ends = [(n, here), (other, there)];
                self.pipes.push(Pipe { ends, queues: Default::default() });
            }
        }
        moved
    }

    pub(super) fn pump(&mut self, p: usize, now: &Now) -> bool {
        let mut moved = false;
        if self.hold_lines {
            return false;
        }
        for end in 0..2 {
            let (n, id) = self.pipes[p].ends[end];
            let mut bytes = [0; LINK_LINE_BYTES_MAX + 1];
            let mut out = Out::new(&mut bytes);
            if self.nodes[n].pull(now, id, &mut out) {
                let line = out.written().strip_suffix(b"\n").expect("whole lines").to_vec();
                let (from, to) = (self.name(n), self.name(self.pipes[p].ends[1 - end].0));
                self.traffic.push(format!("{from} -> {to} {}", String::from_utf8_lossy(&line)));
                self.pipes[p].queues[1 - end].push_back(line);
                moved = true;
            }
            if let Some(line) = self.pipes[p].queues[end].pop_front() {
                let event = self.nodes[n].link_line(now, id, &line);
                self.events.push(event);
                moved = true;
            }
        }
        moved
    }

    pub(super) fn disconnect(&mut self, node: usize, id: SessionId) {
        let now = self.now().mono;
        for pipe in self.pipes.extract_if(.., |pipe| pipe.ends.contains(&(node, id))) {
            for (n, id) in pipe.ends {
                self.nodes[n].closed(now, id);
            }
        }
    }

    pub(super) fn cut_all(&mut self) {
        while let Some(pipe) = self.pipes.first() {
            let (node, id) = pipe.ends[0];
            self.disconnect(node, id);
        }
    }

    pub(super) fn updates(&self) -> usize {
        self.traffic.iter().filter(|line| line.contains(" U ")).count()
    }

    pub(super) fn all_equal(&self) -> bool {
        self.nodes.iter().all(|node| node.links().all(|link| link.equal_at.is_some() && link.pending == 0))
    }

    /// The AT lines that a node holds, in the order of their bytes.
    pub(super) fn at_lines(&self, node: usize) -> Vec<String> {
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
