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

use std::fmt::Write as _;
use std::fs;

use herd::proto::herd_tests::{Herd, started};

const SLOTS: usize = 64;
/// After the start: until the first digests have been compared, in milliseconds.
const SETTLE_MS: u64 = 1_500;

struct Scenario {
    names: Vec<String>,
    edges: Vec<(usize, usize)>,
    capacity: usize,
    herd: Herd,
    boots: u64,
}

impl Scenario {
    /// `Hill-Jaquez Jaquez-Smith [capacity K]`.
    fn of(words: &[&str]) -> Scenario {
        let (edges, capacity) = match words {
            [edges @ .., "capacity", capacity] => (edges, capacity.parse().expect("a number")),
            edges => (edges, SLOTS / 2),
        };
        let ends: Vec<(&str, &str)> = edges.iter().map(|edge| edge.split_once('-').expect("A-B")).collect();
        let mut names: Vec<String> =
            ends.iter().flat_map(|(a, b)| [(*a).to_owned(), (*b).to_owned()]).collect();
        names.sort();
        names.dedup();
        let mut scenario = Scenario { names, edges: vec![], capacity, herd: Herd::joined(vec![]), boots: 0 };
        scenario.edges = ends.iter().map(|(a, b)| scenario.edge(a, b)).collect();
        scenario.herd = Herd::joined((0..scenario.names.len()).map(|me| scenario.node(me)).collect());
        scenario.herd.run(SETTLE_MS);
        scenario
    }

    fn node(&mut self, me: usize) -> Box<herd::proto::node::Node<SLOTS>> {
        let neighbours: Vec<usize> = (0..self.names.len())
            .filter(|&other| self.edges.contains(&(me.min(other), me.max(other))) && other != me)
            .collect();
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.boots += 1;
        started(&names, me, &neighbours, self.capacity, None, self.boots)
    }

    fn at(&self, name: &str) -> usize {
        self.names.iter().position(|other| other == name).unwrap_or_else(|| panic!("no node {name}"))
    }

    fn edge(&self, a: &str, b: &str) -> (usize, usize) {
        let (a, b) = (self.at(a), self.at(b));
        (a.min(b), a.max(b))
    }

    fn tables(&self) -> String {
        let mut text = String::new();
        for (index, (name, node)) in self.names.iter().zip(&self.herd.nodes).enumerate() {
            if self.herd.is_down[index] {
                let _ = writeln!(text, "{name}: down");
                continue;
            }
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
            let _ = writeln!(text, "{name}: {}", links.join("; "));
            for line in self.herd.at_lines(index) {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    /// Carries a command out, and returns what stands beneath it.
    fn carry_out(&mut self, words: &[&str], line: &str) -> String {
        let mut text = String::new();
        match words {
            ["say", node, ..] => {
                let command = line.splitn(3, ' ').nth(2).expect("say NODE LINE");
                text = self.herd.ask(self.at(node), command).0;
            }
            ["run", seconds] => self.herd.run(seconds.parse::<u64>().expect("seconds") * 1_000),
            ["cut", a, b] => {
                let (a, b) = self.edge(a, b);
                self.herd.cut_edges.push((a, b));
                self.herd.close(|pipe| pipe.ends.iter().all(|(n, _)| *n == a || *n == b));
            }
            ["heal", a, b] => {
                let healed = self.edge(a, b);
                self.herd.cut_edges.retain(|edge| *edge != healed);
                return text;
            }
            ["crash", node] => {
                let node = self.at(node);
                self.herd.is_down[node] = true;
                self.herd.close(|pipe| pipe.ends.iter().any(|(n, _)| *n == node));
            }
            ["start", node] => {
                let node = self.at(node);
                self.herd.nodes[node] = self.node(node);
                self.herd.is_down[node] = false;
            }
            ["tables"] => return self.tables(),
            _ => panic!("no command: {line}"),
        }
        self.herd.settle();
        text + &self.crossed()
    }

    /// The lines that nodes have sent since the last call.
    fn crossed(&mut self) -> String {
        self.herd.traffic.drain(..).fold(String::new(), |mut text, sent| {
            let (from, rest) = sent.split_once(" -> ").expect("from -> to line");
            let (to, line) = rest.split_once(' ').expect("from -> to line");
            let _ = writeln!(text, "{from} -> {to}: {}", shown(line));
            text
        })
    }
}

/// A line as it is shown.
fn shown(line: &str) -> String {
    match line.split(' ').next() {
        Some("U" | "P") => line.to_owned(),
        Some(kind) => format!("{kind} …"),
        None => String::new(),
    }
}

/// The text of a scenario as it comes out.
fn played(text: &str) -> String {
    let mut scenario: Option<Scenario> = None;
    let mut done = String::new();
    for line in text.lines().filter(|line| !line.starts_with("    ")) {
        done += line;
        done.push('\n');
        let words: Vec<&str> = line.split_whitespace().collect();
        let beneath = match (&mut scenario, &words[..]) {
            (_, []) | (_, ["#", ..]) => continue,
            (none, ["herd", edges @ ..]) => none.insert(Scenario::of(edges)).crossed(),
            (Some(scenario), words) => scenario.carry_out(words, line),
            (None, _) => panic!("a scenario begins with its herd: {line}"),
        };
        beneath.lines().for_each(|line| {
            let _ = writeln!(done, "    {line}");
        });
    }
    done
}

#[test]
fn all() {
    let write = std::env::var("HERD_GOLDEN").is_ok_and(|word| word == "write");
    let files = crate::files("tests/scenarios");
    assert!(files.len() >= 12, "{} scenarios", files.len());
    for file in files {
        let text = crate::read(&file);
        let done = played(&text);
        if write {
            fs::write(&file, done).expect("it can be written");
        } else {
            assert_eq!(done, text, "{}", file.display());
        }
    }
}
