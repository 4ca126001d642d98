//! The rows that only a tool can count: instructions and allocations (valgrind), system calls (strace).
//!
//! A node runs under the tool twice, for few requests and for many; the difference is what the requests took. Under valgrind
//! a program is so slow that a client's next request would be there before the last one is done with, which is not how
//! it is; so each round begins when the node has gone to sleep.

use std::process::Command;
use std::time::Duration;

use crate::client::{Client, Load};
use crate::process::{Map, Node};
use crate::programs::Program;
use crate::rows::Table;

/// Reads a count out of what a tool has written.
type Read = fn(&str) -> Option<f64>;

/// A tool with its words up to its log file, and how the log is read.
struct Tool {
    words: &'static [&'static str],
    read: Read,
    /// The rows of one client and of many.
    rows: [&'static str; 2],
    /// Whether it runs nothing but what is compiled for this machine, at a bearable speed.
    is_valgrind: bool,
}

const TOOLS: [Tool; 3] = [
    Tool {
        words: &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=LOG"],
        read: |log| after(log, "Collected :"),
        rows: ["instructions a request, one client", "instructions a request, 64 clients"],
        is_valgrind: true,
    },
    Tool {
        words: &[
            "valgrind",
            "--tool=memcheck",
            "--leak-check=no",
            "--undef-value-errors=no",
            "--log-file=LOG",
        ],
        read: |log| after(log, "total heap usage:"),
        rows: ["allocations a request, one client", "allocations a request, 64 clients"],
        is_valgrind: true,
    },
    Tool {
        words: &["strace", "-f", "-c", "-o", "LOG"],
        read: calls,
        rows: ["system calls a request, one client", "system calls a request, 64 clients"],
        is_valgrind: false,
    },
];

const PAUSE: Duration = Duration::from_millis(3);
/// One request at a time: of one client, each a wake-up of its own; of many clients at once.
const LOADS: [[Load; 2]; 2] = [[load(1, 50), load(1, 250)], [load(64, 4), load(64, 12)]];

const fn load(clients: usize, rounds: usize) -> Load {
    Load { clients, depth: 1, rounds, pause: PAUSE }
}

/// The number behind these words, whose digits may be grouped by commas.
fn after(log: &str, words: &str) -> Option<f64> {
    let (_, rest) = log.rsplit_once(words)?;
    rest.split_whitespace().next()?.replace(',', "").parse().ok()
}

/// The sum of strace's table: its last line. Columns differ by version; the first has two words, `% time`.
fn calls(log: &str) -> Option<f64> {
    let header = log.lines().find(|line| line.contains("calls"))?;
    let column = header.split_whitespace().position(|word| word == "calls")?.checked_sub(1)?;
    let total = log.lines().rfind(|line| line.trim_end().ends_with("total"))?;
    total.split_whitespace().nth(column)?.parse().ok()
}

pub(crate) fn counts(program: &Program, which: usize, table: &mut Table) {
    for tool in &TOOLS {
        if tool.is_valgrind && program.file.is_none() {
            continue;
        }
        if Command::new(tool.words[0]).arg("--version").output().is_err() {
            table.missing.push(format!("{}: {}, for want of {}", program.name, tool.rows[0], tool.words[0]));
            continue;
        }
        for (row, [few, many]) in tool.rows.into_iter().zip(LOADS) {
            match (count(program, tool, few), count(program, tool, many)) {
                (Some(at_few), Some(at_many)) => {
                    let requests = (many.requests() - few.requests()) as f64;
                    table.add(which, row, "", (at_many - at_few) / requests);
                }
                _ => table.missing.push(format!("{}: {row}: {} does not tell", program.name, tool.words[0])),
            }
        }
    }
}

/// What the tool counts while a node starts, bears the load, and stops.
fn count(program: &Program, tool: &Tool, load: Load) -> Option<f64> {
    let map = Map::of(1, "");
    let log = map.file.with_file_name("log");
    let log_word = log.to_str().expect("a plain path");
    let words: Vec<String> = tool.words.iter().map(|word| word.replace("LOG", log_word)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let node = Node::start(program, &map, 0, &words);
    Node::wait_for(map.clients[0]);
    let connect = |_| Client::connect(map.clients[0], program.dialect);
    let mut clients: Vec<Client> = (0..load.clients).map(connect).collect();
    load.run(&mut clients, &mut 0);
    node.stop();
    (tool.read)(&std::fs::read_to_string(log).ok()?)
}
