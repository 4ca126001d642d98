//! The rows that the kernel can tell of: sizes, memory, processor time, sleeps, and what clients see.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{Client, ask, iamat};
use crate::process::{Map, Node, leave_the_first_core};
use crate::rows::Table;

/// How long a node is left alone before its memory is read.
const REST: Duration = Duration::from_secs(1);
/// How long sleeps of a herd that nobody asks are counted.
const IDLE_S: u64 = 10;
/// Idle connections: few, and as many as a node takes, less a few.
const FEW: usize = 1_000;
const MANY: usize = 4_000;
/// Clients in the table beside those that ask.
const ENTRIES: usize = 2_000;
const UPDATES: usize = 300;

/// A build of the node.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// The same without TLS, HTTP and import.
    pub(crate) small: Option<PathBuf>,
}

impl Program {
    /// One that is there.
    pub(crate) fn there(name: &str, file: PathBuf) -> Program {
        Program { name: name.to_owned(), file, small: None }
    }
}

/// The bytes of the section .text, by binutils.
fn text_bytes(file: &Path) -> Option<f64> {
    let output = Command::new("size").arg("-A").arg(file).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix(".text")?.split_whitespace().next()?.parse().ok())
}

pub(crate) fn sizes(programs: &[Program], table: &mut Table) {
    let bytes = |file: &Path| {
        let data = std::fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        data.len() as f64
    };
    for (which, program) in programs.iter().enumerate() {
        table.add(which, "program, with TLS", "bytes", bytes(&program.file));
        match text_bytes(&program.file) {
            Some(text) => table.add(which, "its .text", "bytes", text),
            None => table.missing.push(format!("{}: .text, for want of the tool size", program.name)),
        }
        if let Some(small) = &program.small {
            table.add(which, "program, places file alone", "bytes", bytes(small));
        }
    }
}

/// A node by itself: start, idle, crowds, entries, requests.
pub(crate) fn one_node(program: &Program, which: usize, table: &mut Table) {
    leave_the_first_core();
    let map = Map::of(1);
    let node = Node::start(&program.file, &map, 0, &[]);
    table.add(which, "start until clients are let in", "ms", Node::wait_for(map.clients[0]));
    std::thread::sleep(REST);
    let kb = |bytes: f64| bytes / 1024.0;
    table.add(which, "threads", "", node.threads());
    table.add(which, "idle, private memory", "KB", kb(node.anonymous()));
    table.add(which, "idle, RSS", "KB", kb(node.resident()));
    table.add(which, "idle, PSS", "KB", kb(node.proportional()));

    crowd(&node, &map, which, table);
    entries(&node, &map, which, table);
    requests(&node, &map, which, table);
}

fn crowd(node: &Node, map: &Map, which: usize, table: &mut Table) {
    let address = map.clients[0];
    let mut clients: Vec<Client> = (0..FEW).map(|_| Client::connect(address)).collect();
    let settled = |clients: &mut Vec<Client>| {
        // The last one is answered, so all before it have been taken in.
        let last = clients.last_mut().expect("there are some");
        last.send("x\n");
        last.line();
        std::thread::sleep(REST);
    };
    settled(&mut clients);
    let few = node.anonymous();
    clients.extend((FEW..MANY).map(|_| Client::connect(address)));
    settled(&mut clients);
    table.add(which, "a connection", "bytes", (node.anonymous() - few) / (MANY - FEW) as f64);
    clients.drain(..MANY - FEW).for_each(Client::close);
    clients.drain(..).for_each(Client::close);
    std::thread::sleep(REST);
    table.add(which, "after 4,000 connections have gone", "KB", node.anonymous() / 1024.0);
}

fn entries(node: &Node, map: &Map, which: usize, table: &mut Table) {
    let mut client = Client::connect(map.clients[0]);
    // The pages of the buffers are touched first, so that they do not count as entries.
    client.send(&(0..16).map(|i| iamat(i, 0)).collect::<String>());
    client.skip(16);
    let before = node.anonymous();
    for i in 16..16 + ENTRIES {
        client.send(&iamat(i, 0));
        client.skip(1);
    }
    table.add(which, "an entry of the table", "bytes", (node.anonymous() - before) / ENTRIES as f64);
}

/// Clients, reports a client at a time, rounds, and the names of the rows.
const LOADS: [(usize, usize, usize, &str, &str); 3] = [
    (1, 1, 5_000, "processor time, one client", ""),
    (64, 1, 400, "processor time, 64 clients, one at a time", "requests, 64 clients, one at a time"),
    (64, 16, 200, "processor time, 64 clients, 16 at a time", "requests, 64 clients, 16 at a time"),
];

fn requests(node: &Node, map: &Map, which: usize, table: &mut Table) {
    let mut tick = 1;
    for (count, depth, rounds, cpu_row, rate_row) in LOADS {
        let mut clients: Vec<Client> = (0..count).map(|_| Client::connect(map.clients[0])).collect();
        ask(&mut clients, depth, rounds / 10, &mut tick);
        let (cpu, started) = (node.cpu_ns(), Instant::now());
        let mut times = ask(&mut clients, depth, rounds, &mut tick);
        let (cpu, seconds) = (node.cpu_ns() - cpu, started.elapsed().as_secs_f64());
        let requests = (count * depth * rounds) as f64;
        table.add(which, cpu_row, "us a request", cpu / requests / 1e3);
        if count == 1 {
            times.sort_by(f64::total_cmp);
            table.add(which, "answer, one client, median", "us", times[times.len() / 2]);
            table.add(which, "answer, one client, p99", "us", times[times.len() * 99 / 100]);
        } else {
            table.add(which, rate_row, "a second", requests / seconds);
        }
    }
}

/// Five nodes and their links: idle, and when updates go through them.
pub(crate) fn herd_of_five(program: &Program, which: usize, table: &mut Table) {
    let map = Map::of(5);
    let nodes: Vec<Node> = (0..5).map(|i| Node::start(&program.file, &map, i, &[])).collect();
    let mut clients: Vec<Client> = map
        .clients
        .iter()
        .map(|&address| {
            Node::wait_for(address);
            Client::connect(address)
        })
        .collect();
    update(&mut clients, 0);
    std::thread::sleep(2 * REST);
    let sum = |of: fn(&Node) -> f64| nodes.iter().map(of).sum::<f64>();
    table.add(which, "five nodes, PSS in all", "KB", sum(Node::proportional) / 1024.0);
    table.add(which, "five nodes, private memory in all", "KB", sum(Node::anonymous) / 1024.0);
    let before = sum(Node::sleeps);
    std::thread::sleep(Duration::from_secs(IDLE_S));
    table.add(which, "wake-ups of a node in ten idle seconds", "", (sum(Node::sleeps) - before) / 5.0);

    let before = sum(Node::cpu_ns);
    let mut times: Vec<f64> = (1..=UPDATES).map(|n| update(&mut clients, n)).collect();
    let cpu_us = (sum(Node::cpu_ns) - before) / 1e3;
    times.sort_by(f64::total_cmp);
    // The asking is the same for both programs, and is in it.
    table.add(which, "an update and its look-ups, all five", "us of processor", cpu_us / UPDATES as f64);
    table.add(which, "an update is visible at all five", "ms", times[times.len() / 2]);
}

/// Milliseconds from an IAMAT at one node until all five answer with it.
fn update(clients: &mut [Client], n: usize) -> f64 {
    let at = n % clients.len();
    let time = format!("{}.{n:09}", 1_600_000_000 + n);
    let started = Instant::now();
    clients[at].send(&format!("IAMAT kiwi +34.068930-118.445127 {time}\n"));
    clients[at].line();
    for client in clients.iter_mut() {
        while !client.where_is("kiwi").trim_end().ends_with(&time) {
            assert!(started.elapsed() < Duration::from_secs(60), "update {n} has not come through");
        }
    }
    started.elapsed().as_secs_f64() * 1e3
}
