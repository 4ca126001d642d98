//! A siege: one address tries to take over the table of a whole herd, at every node, for 30 days.
//!
//! The test runs the five nodes of PROTOCOL.md under a simulated clock, in steps of one hour. Each honest
//! client has its own address and sends its position to some node each hour. The stranger registers as many new
//! ids as each node accepts, with times a day ahead. It also refreshes the ids that it has, at the same node or
//! at another.

use core::net::{IpAddr, Ipv4Addr};

use fastrand::Rng;

use crate::proto::limits::{AGE_S_MAX, ANSWER_BYTES_MAX};
use crate::proto::node::pull::PULL_BYTES_MAX;
use crate::proto::node::{Answer, Node, Seed, SessionId, Setup};
use crate::proto::noise::connection::FRESH_BYTES;
use crate::proto::out::Out;
use crate::proto::time::{Mono, Now, Timestamp};

const NAMES: [&str; 5] = ["Campbell", "Hill", "Jaquez", "Singleton", "Smith"];
const EDGES: [(usize, usize); 6] = [(1, 2), (1, 4), (2, 3), (3, 4), (0, 4), (0, 3)];
const STEP_S: u64 = 3_600;
const DAYS: u64 = 30;
const START_S: u64 = 1_700_000_000;
/// New ids that the stranger tries at each node in each step.
const TRIES: usize = 40;

struct Siege<const SLOTS: usize> {
    nodes: Vec<Box<Node<SLOTS>>>,
    rng: Rng,
    step: u64,
    honest: usize,
    /// The ids that the stranger has in the table.
    stolen: Vec<String>,
}

impl<const SLOTS: usize> Siege<SLOTS> {
    fn new(honest: usize) -> Self {
        let capacity = SLOTS / 2;
        let nodes = (0..NAMES.len()).map(|me| {
            let mut node = Box::new(Node::new());
            let ends = EDGES.iter().filter_map(|&(a, b)| match () {
                () if a == me => Some(b),
                () if b == me => Some(a),
                () => None,
            });
            let mut neighbours: Vec<usize> = ends.collect();
            neighbours.sort_unstable();
            let seed = Seed { hash_key: (me as u64, 7), jitter: 1, boot: me as u64 };
            let (names, keys) = (&NAMES, None);
            let setup = Setup {
                names,
                me,
                neighbours: &neighbours,
                keys,
                secrecy: None,
                capacity,
                age_s_max: AGE_S_MAX,
                seed,
            };
            node.start(&setup).expect("the setup is right");
            node.set_clients_per_address(u32::try_from(capacity / 20).expect("the capacity is small"));
            node
        });
        Siege { nodes: nodes.collect(), rng: Rng::with_seed(5), step: 0, honest, stolen: vec![] }
    }

    fn now(&self) -> Now {
        let s = self.step * STEP_S + 1;
        let wall = Timestamp(i64::try_from((START_S + s) * 1_000_000_000).expect("this century"));
        Now { mono: Mono(s * 1_000), wall, wall_is_trusted: true }
    }

    fn say(&mut self, node: usize, from: Ipv4Addr, line: &str) -> bool {
        let (now, mut bytes) = (self.now(), [0; ANSWER_BYTES_MAX]);
        let quota_key = self.nodes[node].quota_key(IpAddr::V4(from));
        let answer =
            self.nodes[node].client_line(&now, quota_key, line.as_bytes(), &mut Out::new(&mut bytes));
        matches!(answer, Answer::Places(_))
    }

    /// Delivers all pending lines over new links. An hour of silence has ended the old ones.
    fn flood(&mut self) {
        let now = self.now();
        for node in &mut self.nodes {
            node.tick(&now);
            while node.take_cut().is_some() {}
        }
        let mut links: Vec<[(usize, SessionId); 2]> = vec![];
        for (a, b) in EDGES {
            let to = self.nodes[a].names().id(b).expect("it is listed");
            let one =
                self.nodes[a].open(now.mono, Some(to), [1; FRESH_BYTES].into()).expect("the link is down");
            let other =
                self.nodes[b].open(now.mono, None, [2; FRESH_BYTES].into()).expect("any host may connect");
            links.push([(a, one), (b, other)]);
        }
        let mut crossed = true;
        while std::mem::take(&mut crossed) {
            for ends in &links {
                for (here, there) in [(ends[0], ends[1]), (ends[1], ends[0])] {
                    while let Some(line) = pull(&mut self.nodes[here.0], &now, here.1) {
                        self.nodes[there.0].link_line(&now, there.1, &line);
                        crossed = true;
                    }
                }
            }
        }
    }

    fn hour(&mut self) {
        let now_s = START_S + self.step * STEP_S;
        for client in 0..self.honest {
            let node = self.rng.usize(0..NAMES.len());
            self.say(node, honest_address(client), &format!("IAMAT honest{client} +34-118 {now_s}"));
        }
        let stranger = Ipv4Addr::new(192, 0, 2, 66);
        for node in 0..NAMES.len() {
            for n in 0..TRIES {
                let id = format!("evil{}_{node}_{n}", self.step);
                let before = self.nodes[node].counters().updates_new;
                self.say(node, stranger, &format!("IAMAT {id} +0+0 {}", now_s + 86_000));
                if self.nodes[node].counters().updates_new > before {
                    self.stolen.push(id);
                }
            }
        }
        for id in self.stolen.clone() {
            let node = self.rng.usize(0..NAMES.len());
            self.say(node, stranger, &format!("IAMAT {id} +0+0 {}", now_s + 86_001));
        }
        // The stranger forgets ids that the herd does not hold.
        self.flood();
        let present =
            self.stolen.clone().into_iter().filter(|id| self.say(0, stranger, &format!("WHATSAT {id} 0 0")));
        self.stolen = present.collect();
        self.step += 1;
    }

    fn known(&mut self, node: usize) -> usize {
        let any = Ipv4Addr::LOCALHOST;
        (0..self.honest).filter(|client| self.say(node, any, &format!("WHATSAT honest{client} 0 0"))).count()
    }
}

fn honest_address(client: usize) -> Ipv4Addr {
    let [.., high, low] = client.to_be_bytes();
    Ipv4Addr::new(10, 1, high, low)
}

fn pull<const SLOTS: usize>(node: &mut Node<SLOTS>, now: &Now, id: SessionId) -> Option<Vec<u8>> {
    let mut bytes = [0; PULL_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    node.pull(now.mono, id, &mut out, &mut |_| {})
        .then(|| out.written().strip_suffix(b"\n").expect("a whole line").to_vec())
}

#[test]
fn one_address_holds_at_most_a_quarter() {
    // The ratio of 3,000 clients to a table of 4,096.
    const SLOTS: usize = 512;
    let (capacity, honest) = (SLOTS / 2, SLOTS / 2 * 3_000 / 4_096);
    let mut siege = Siege::<SLOTS>::new(honest);
    for hour in 0..DAYS * 24 {
        siege.hour();
        let node = siege.rng.usize(0..NAMES.len());
        let known = siege.known(node);
        assert!(known * 100 >= honest * 95, "{known} of {honest} known after {hour} hours");
        assert!(siege.stolen.len() <= NAMES.len() * (capacity / 20), "{} ids", siege.stolen.len());
    }
    assert!(siege.stolen.len() > capacity / 20, "the stranger holds more than one node's quota");
    // Each honest client still gets its next update stored.
    for client in 0..honest {
        let before = siege.nodes[0].counters().updates_new;
        let now_s = START_S + siege.step * STEP_S;
        siege.say(0, honest_address(client), &format!("IAMAT honest{client} +35-118 {now_s}"));
        assert_eq!(siege.nodes[0].counters().updates_new, before + 1, "honest{client}");
    }
}
