//! Scenarios: small herds in text files, with what they say to each other beneath each command. Each file of
//! `tests/scenarios/` teaches one rule. The core runs alone, joined by pipes that lose nothing, under a clock that only
//! the commands move.
//!
//! ```text
//! herd Hill-Jaquez Jaquez-Smith [capacity K]   nodes and edges; all start, and link up
//! say NODE LINE                                a client's line; the answer is shown
//! run SECONDS                                  the clock moves on
//! cut NODE NODE, heal NODE NODE                an edge
//! crash NODE, start NODE                       a node, with all that it knew
//! tables                                       what each node holds, and to whom it is in sync
//! ```
//!
//! Beneath a command stands what crossed because of it, indented. Of a HELLO, PROOF or digest only the kind is shown: the rest
//! is numbers. After a wanted change, `HERD_GOLDEN=write cargo test --test project scenarios::` writes the files anew.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use herd::proto::limits::{AGE_S_MAX, ANSWER_BYTES_MAX, AT_LINE_BYTES_MAX, LINK_LINE_BYTES_MAX, NONCE_BYTES};
use herd::proto::node::{Answer, Node, Seed, SessionId, Setup};
use herd::proto::out::Out;
use herd::proto::quota::QuotaKey;
use herd::proto::time::{Mono, Now, Timestamp};

const WALL_NS: i64 = 1_700_000_000_000_000_000;
const SLOTS: usize = 64;
/// More than any scenario needs between two ticks of the clock.
const STEPS_MAX: usize = 10_000;
/// After the start: until the first digests have been compared, in milliseconds.
const SETTLE_MS: u64 = 1_500;

struct Pipe {
    ends: [(usize, SessionId); 2],
    /// Lines on their way to the end of the same number.
    queues: [VecDeque<Vec<u8>>; 2],
}

struct Herd {
    names: Vec<String>,
    edges: Vec<(usize, usize)>,
    capacity: usize,
    nodes: Vec<Option<Box<Node<SLOTS>>>>,
    boots: u64,
    pipes: Vec<Pipe>,
    cut: Vec<(usize, usize)>,
    now_ms: u64,
    /// What is to stand beneath the command.
    shown: String,
}

impl Herd {
    /// `Hill-Jaquez Jaquez-Smith [capacity K]`.
    fn of(words: &[&str]) -> Herd {
        let (edges, capacity) = match words {
            [edges @ .., "capacity", capacity] => (edges, capacity.parse().expect("a number")),
            edges => (edges, SLOTS / 2),
        };
        let ends: Vec<(&str, &str)> = edges.iter().map(|edge| edge.split_once('-').expect("A-B")).collect();
        let mut names: Vec<String> =
            ends.iter().flat_map(|(a, b)| [(*a).to_owned(), (*b).to_owned()]).collect();
        names.sort();
        names.dedup();
        let at = |name: &str| names.iter().position(|other| other == name).expect("it is of the list");
        let edges = ends.iter().map(|(a, b)| (at(a).min(at(b)), at(a).max(at(b)))).collect();
        let nodes = names.iter().map(|_| None).collect();
        let mut herd = Herd {
            names,
            edges,
            capacity,
            nodes,
            boots: 0,
            pipes: vec![],
            cut: vec![],
            now_ms: 0,
            shown: String::new(),
        };
        (0..herd.nodes.len()).for_each(|node| herd.start(node));
        herd.run(SETTLE_MS);
        herd
    }

    fn start(&mut self, me: usize) {
        let neighbours: Vec<usize> = (0..self.names.len())
            .filter(|&other| self.edges.contains(&(me.min(other), me.max(other))) && other != me)
            .collect();
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.boots += 1;
        let setup = Setup {
            names: &names,
            me,
            neighbours: &neighbours,
            keys: None,
            capacity: self.capacity,
            age_s_max: AGE_S_MAX,
            seed: Seed { hash_key: (self.boots, 1), jitter: self.boots, boot: self.boots },
        };
        let mut node = Box::new(Node::new());
        node.start(&setup).expect("the setup is right");
        self.nodes[me] = Some(node);
    }

    fn at(&self, name: &str) -> usize {
        self.names.iter().position(|other| other == name).unwrap_or_else(|| panic!("no node {name}"))
    }

    fn now(&self) -> Now {
        let wall = Timestamp(WALL_NS + i64::try_from(self.now_ms).expect("small") * 1_000_000);
        Now { mono: Mono(self.now_ms), wall, wall_is_trusted: true }
    }

    fn say(&mut self, node: usize, line: &str) {
        let now = self.now();
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        let node = self.nodes[node].as_mut().expect("it runs");
        let answer = match node.client_line(&now, QuotaKey::EXEMPT, line.as_bytes(), &mut out) {
            Answer::Done | Answer::Close => String::from_utf8_lossy(out.written()).into_owned(),
            Answer::Places(query) => String::from_utf8_lossy(&query.at_line).into_owned() + "\n",
        };
        self.shown += &answer;
        self.settle();
    }

    /// Everything that needs no clock.
    fn settle(&mut self) {
        let steps = (0..STEPS_MAX).take_while(|_| self.step()).count();
        assert!(steps < STEPS_MAX, "the nodes talk for ever:\n{}", self.shown);
    }

    fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        loop {
            self.settle();
            let next = self.nodes.iter().flatten().map(|node| node.wake_at().0).min().unwrap_or(u64::MAX);
            if next > end {
                break;
            }
            self.now_ms = next.max(self.now_ms + 1);
            let now = self.now();
            self.nodes.iter_mut().flatten().for_each(|node| node.tick(&now));
        }
        self.now_ms = end;
    }

    fn step(&mut self) -> bool {
        let mut moved = self.dial();
        for n in 0..self.nodes.len() {
            while let Some((id, _)) = self.nodes[n].as_mut().and_then(|node| node.take_cut()) {
                self.close(|pipe| pipe.ends.contains(&(n, id)));
                moved = true;
            }
        }
        (0..self.pipes.len()).fold(moved, |moved, pipe| self.pump(pipe) || moved)
    }

    fn dial(&mut self) -> bool {
        let now = self.now().mono;
        let mut moved = false;
        for n in 0..self.nodes.len() {
            while let Some(to) = self.nodes[n].as_mut().and_then(|node| node.take_dial(now)) {
                moved = true;
                let there = to.index();
                let is_cut = self.cut.contains(&(n.min(there), n.max(there)));
                let mut dialler = self.nodes[n].take().expect("it has just dialled");
                match self.nodes[there].as_mut().filter(|_| !is_cut) {
                    None => dialler.dial_failed(now, to),
                    Some(other) => {
                        let nonce = [u8::try_from(self.boots).expect("few"); NONCE_BYTES];
                        if let Some(here) = dialler.open(now, Some(to), nonce) {
                            let ends =
                                [(n, here), (there, other.open(now, None, nonce).expect("anyone may come"))];
                            self.pipes.push(Pipe { ends, queues: Default::default() });
                        }
                    }
                }
                self.nodes[n] = Some(dialler);
            }
        }
        moved
    }

    fn pump(&mut self, p: usize) -> bool {
        let now = self.now();
        let mut moved = false;
        for end in 0..2 {
            let Some(pipe) = self.pipes.get_mut(p) else { return moved };
            let (n, id) = pipe.ends[end];
            let Some(node) = self.nodes[n].as_mut() else { continue };
            let mut bytes = [0; LINK_LINE_BYTES_MAX + 1];
            let mut out = Out::new(&mut bytes);
            if node.pull(&now, id, &mut out) {
                let line = out.written().strip_suffix(b"\n").expect("whole lines").to_vec();
                let to = &self.names[pipe.ends[1 - end].0];
                let _ = writeln!(self.shown, "{} -> {to}: {}", self.names[n], shown(&line));
                pipe.queues[1 - end].push_back(line);
                moved = true;
            }
            if let Some(line) = pipe.queues[end].pop_front() {
                node.link_line(&now, id, &line);
                moved = true;
            }
        }
        moved
    }

    fn close(&mut self, which: impl Fn(&Pipe) -> bool) {
        let now = self.now().mono;
        for pipe in self.pipes.extract_if(.., |pipe| which(pipe)) {
            for (n, id) in pipe.ends {
                if let Some(node) = &mut self.nodes[n] {
                    node.closed(now, id);
                }
            }
        }
    }

    fn tables(&mut self) {
        let now_s = self.now().mono.seconds();
        for (name, node) in self.names.iter().zip(&self.nodes) {
            let Some(node) = node else {
                let _ = writeln!(self.shown, "{name}: down");
                continue;
            };
            let links = node.links().map(|link| {
                let other = &self.names[link.node.index()];
                let state = match (link.up_since, link.is_in_sync(), link.pending) {
                    (None, _, pending) => format!("down, {pending} pending"),
                    (Some(_), true, _) => "in sync".to_owned(),
                    (Some(_), false, pending) => format!("up, {pending} pending"),
                };
                format!("{other} {state}")
            });
            let links: Vec<String> = links.collect();
            let _ = writeln!(self.shown, "{name}: {}", links.join("; "));
            let mut lines: Vec<String> = node
                .table()
                .advertised(now_s)
                .map(|version| {
                    let mut bytes = [0; AT_LINE_BYTES_MAX];
                    let mut out = Out::new(&mut bytes);
                    version.put_at_line(node.names(), &mut out);
                    String::from_utf8_lossy(out.written()).into_owned()
                })
                .collect();
            lines.sort();
            lines.iter().for_each(|line| {
                let _ = writeln!(self.shown, "  {line}");
            });
        }
    }

    fn carry_out(&mut self, words: &[&str], line: &str) {
        match words {
            ["say", node, ..] => {
                let command = line.splitn(3, ' ').nth(2).expect("say NODE LINE");
                self.say(self.at(node), command);
            }
            ["run", seconds] => self.run(seconds.parse::<u64>().expect("seconds") * 1_000),
            ["cut", a, b] => {
                let (a, b) = (self.at(a), self.at(b));
                self.cut.push((a.min(b), a.max(b)));
                self.close(|pipe| pipe.ends.iter().all(|(n, _)| *n == a || *n == b));
                self.settle();
            }
            ["heal", a, b] => {
                let (a, b) = (self.at(a), self.at(b));
                self.cut.retain(|edge| *edge != (a.min(b), a.max(b)));
            }
            ["crash", node] => {
                let node = self.at(node);
                self.nodes[node] = None;
                self.close(|pipe| pipe.ends.iter().any(|(n, _)| *n == node));
                self.settle();
            }
            ["start", node] => {
                self.start(self.at(node));
                self.settle();
            }
            ["tables"] => self.tables(),
            _ => panic!("no command: {line}"),
        }
    }
}

/// A line as it is shown.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match text.split(' ').next() {
        Some("U" | "P") => text.into_owned(),
        Some(kind) => format!("{kind} …"),
        None => String::new(),
    }
}

/// The text of a scenario as it comes out.
fn played(text: &str) -> String {
    let mut herd: Option<Herd> = None;
    let mut done = String::new();
    for line in text.lines().filter(|line| !line.starts_with("    ")) {
        done += line;
        done.push('\n');
        let words: Vec<&str> = line.split_whitespace().collect();
        match (&mut herd, &words[..]) {
            (_, []) | (_, ["#", ..]) => continue,
            (none, ["herd", edges @ ..]) => *none = Some(Herd::of(edges)),
            (Some(herd), words) => herd.carry_out(words, line),
            (None, _) => panic!("a scenario begins with its herd: {line}"),
        }
        let shown = herd.as_mut().map(|herd| std::mem::take(&mut herd.shown)).unwrap_or_default();
        shown.lines().for_each(|line| {
            let _ = writeln!(done, "    {line}");
        });
    }
    done
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).expect("it is there").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn all() {
    let write = std::env::var("HERD_GOLDEN").is_ok_and(|word| word == "write");
    let files = files();
    assert!(files.len() >= 12, "{} scenarios", files.len());
    for file in files {
        let text = fs::read_to_string(&file).expect("UTF-8");
        let done = played(&text);
        if write {
            fs::write(&file, done).expect("it can be written");
        } else {
            assert_eq!(done, text, "{}", file.display());
        }
    }
}
