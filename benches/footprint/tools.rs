//! The rows that only a tool can count: instructions and allocations (valgrind), system calls (strace).
//!
//! A node runs under the tool twice, for few requests and for many; the difference is what the requests took. One client,
//! one request at a time: each is a wake-up of its own.

use std::path::Path;
use std::process::Command;

use crate::client::{Client, ask};
use crate::measure::Program;
use crate::process::{Map, Node};
use crate::rows::Table;

const FEW: usize = 100;
const MANY: usize = 600;

/// Reads a count out of what a tool has written.
type Read = fn(&str) -> Option<f64>;

/// What is counted: the row, the tool with its words up to its log file, and how the log is read.
const COUNTS: [(&str, &[&str], Read); 3] = [
    (
        "instructions a request",
        &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=LOG"],
        |log| after(log, "Collected :"),
    ),
    (
        "allocations a request",
        &["valgrind", "--tool=memcheck", "--leak-check=no", "--undef-value-errors=no", "--log-file=LOG"],
        |log| after(log, "total heap usage:"),
    ),
    ("system calls a request", &["strace", "-f", "-c", "-o", "LOG"], calls),
];

/// The number behind these words, whose digits may be grouped by commas.
fn after(log: &str, words: &str) -> Option<f64> {
    let (_, rest) = log.rsplit_once(words)?;
    rest.split_whitespace().next()?.replace(',', "").parse().ok()
}

/// The sum of strace's table: its last line, third or fourth column by version; the calls stand before `errors`.
fn calls(log: &str) -> Option<f64> {
    let header = log.lines().find(|line| line.contains("calls"))?;
    let column = header.split_whitespace().position(|word| word == "calls")?;
    let total = log.lines().rfind(|line| line.trim_end().ends_with("total"))?;
    total.split_whitespace().nth(column)?.parse().ok()
}

pub(crate) fn counts(program: &Program, which: usize, table: &mut Table) {
    for (what, tool, read) in COUNTS {
        if Command::new(tool[0]).arg("--version").output().is_err() {
            table.missing.push(format!("{}: {what}, for want of {}", program.name, tool[0]));
            continue;
        }
        let count = |requests| count(&program.file, tool, read, requests);
        match (count(FEW), count(MANY)) {
            (Some(few), Some(many)) => table.add(which, what, "", (many - few) / (MANY - FEW) as f64),
            _ => table.missing.push(format!("{}: {what}: {} does not tell", program.name, tool[0])),
        }
    }
}

/// What the tool counts while a node starts, answers so many requests, and stops.
fn count(program: &Path, tool: &[&str], read: Read, requests: usize) -> Option<f64> {
    let map = Map::of(1);
    let log = map.file.with_file_name("log");
    let log_word = log.to_str().expect("a plain path");
    let words: Vec<String> = tool.iter().map(|word| word.replace("LOG", log_word)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let node = Node::start(program, &map, 0, &words);
    Node::wait_for(map.clients[0]);
    let mut clients = [Client::connect(map.clients[0])];
    ask(&mut clients, 1, requests, &mut 0);
    node.stop();
    read(&std::fs::read_to_string(log).ok()?)
}
