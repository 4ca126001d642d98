//! The rows that the kernel can tell of: sizes, memory, processor time, sleeps, and what clients see.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{Client, Load};
use crate::process::{Map, Node, leave_the_first_core};
use crate::programs::Program;
use crate::rows::Table;

/// How long a node is left alone before its memory is read.
const REST: Duration = Duration::from_millis(700);
/// How long the sleeps of an idle herd are counted.
const IDLE_S: u64 = 10;
/// Idle connections: few, and as many as a node takes, less a few.
const FEW: usize = 1_000;
const MANY: usize = 4_000;
/// Clients in the table beside the ones that ask.
const ENTRIES: usize = 2_000;
const UPDATES: usize = 300;
/// Turns of each load, where programs are compared: an even number, so that each is as often first as last.
const TURNS: usize = 20;
/// And of a program by itself, which is slower as a rule.
const TURNS_ALONE: usize = 2;

/// The bytes of the section .text, by binutils.
fn text_bytes(file: &Path) -> Option<f64> {
    let output = Command::new("size").arg("-A").arg(file).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix(".text")?.split_whitespace().next()?.parse().ok())
}

pub(crate) fn sizes(programs: &[&Program], table: &mut Table) {
    let bytes = |file: &Path| {
        let data = std::fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        data.len() as f64
    };
    for (which, program) in programs.iter().enumerate() {
        let Some(file) = &program.file else { continue };
        table.add(which, "program, with TLS", "bytes", bytes(file));
        match text_bytes(file) {
            Some(text) => table.add(which, "its .text", "bytes", text),
            None => table.missing.push(format!("{}: .text, for want of the tool size", program.name)),
        }
        if let Some(small) = &program.small {
            table.add(which, "program, places file alone", "bytes", bytes(small));
        }
    }
}

/// Starts of each program, one at a time and in turns, because a start takes a few milliseconds and the machine's speed changes.
pub(crate) fn starts(programs: &[(usize, &Program)], turns: usize, table: &mut Table) {
    leave_the_first_core();
    for turn in 0..turns {
        let mut order = programs.to_vec();
        if turn % 2 == 1 {
            order.reverse();
        }
        for (which, program) in order {
            let map = Map::of(1, "");
            // With the programs that set its core and its environment, which are the same for all.
            let started = Instant::now();
            let node = Node::start(program, &map, 0, &[]);
            Node::wait_for(map.clients[0]);
            table.add(which, "start until clients are let in", "ms", started.elapsed().as_secs_f64() * 1e3);
            // A signal that comes before a runtime has set itself up for signals can be lost.
            Client::connect(map.clients[0], program.dialect).update(0..1, 0);
            node.stop();
        }
    }
}

/// A node by itself: idle, crowds and entries.
pub(crate) fn one_node(program: &Program, which: usize, table: &mut Table) {
    leave_the_first_core();
    let map = Map::of(1, "");
    let node = Node::start(program, &map, 0, &[]);
    Node::wait_for(map.clients[0]);
    std::thread::sleep(REST);
    let kb = |bytes: f64| bytes / 1024.0;
    table.add(which, "threads", "", node.threads());
    table.add(which, "idle, private memory", "KB", kb(node.anonymous()));
    table.add(which, "idle, RSS", "KB", kb(node.resident()));
    table.add(which, "idle, PSS", "KB", kb(node.proportional()));

    let connect = || Client::connect(map.clients[0], program.dialect);
    crowd(&node, connect, which, table);
    entries(&node, connect, which, table);
}

fn crowd(node: &Node, connect: impl Fn() -> Client, which: usize, table: &mut Table) {
    let mut clients: Vec<Client> = (0..FEW).map(|_| connect()).collect();
    let settled = |clients: &mut Vec<Client>| {
        // The last one is answered, so all before it have been taken in.
        clients.last_mut().expect("there are some").update(0..1, 0);
        std::thread::sleep(REST);
    };
    settled(&mut clients);
    let few = node.anonymous();
    clients.extend((FEW..MANY).map(|_| connect()));
    settled(&mut clients);
    table.add(which, "a connection", "bytes", (node.anonymous() - few) / (MANY - FEW) as f64);
    clients.drain(..MANY - FEW).for_each(Client::close);
    clients.drain(..).for_each(Client::close);
    std::thread::sleep(REST);
    table.add(which, "after 4,000 connections have gone", "KB", node.anonymous() / 1024.0);
}

fn entries(node: &Node, connect: impl Fn() -> Client, which: usize, table: &mut Table) {
    let mut client = connect();
    // The pages of the buffers are touched first, so that they do not count as entries.
    client.update(0..16, 1);
    let before = node.anonymous();
    (16..16 + ENTRIES).for_each(|entry| client.update(entry..entry + 1, 1));
    table.add(which, "an entry of the table", "bytes", (node.anonymous() - before) / ENTRIES as f64);
}

/// The names of the rows of a load: processor time, and requests where there are many clients.
struct Rows(&'static str, &'static str);

const LOADS: [(Load, Rows); 3] = [
    (load(1, 1, 4_000), Rows("processor time, one client", "")),
    (
        load(64, 1, 300),
        Rows("processor time, 64 clients, one at a time", "requests, 64 clients, one at a time"),
    ),
    (
        load(64, 16, 150),
        Rows("processor time, 64 clients, 16 at a time", "requests, 64 clients, 16 at a time"),
    ),
];

const fn load(clients: usize, depth: usize, rounds: usize) -> Load {
    Load { clients, depth, rounds, pause: Duration::ZERO }
}

/// A node that runs beside the programs that it is compared with, and its clients.
struct Asked {
    which: usize,
    node: Node,
    clients: Vec<Client>,
    tick: usize,
    _map: Map,
}

/// Requests to these programs, in short turns: A B C, C B A, and so on, because a shared machine changes its speed from one
/// second to the next. A node that is not asked sleeps. The clients send as fast as they are answered.
pub(crate) fn requests(programs: &[(usize, &Program)], table: &mut Table) {
    leave_the_first_core();
    let ask = |&(which, program): &(usize, &Program)| {
        let map = Map::of(1, "");
        let node = Node::start(program, &map, 0, &[]);
        Node::wait_for(map.clients[0]);
        let connect = |_| Client::connect(map.clients[0], program.dialect);
        let most = LOADS.iter().map(|(load, _)| load.clients).max().unwrap_or_default();
        Asked { which, node, clients: (0..most).map(connect).collect(), tick: 2, _map: map }
    };
    let mut all: Vec<Asked> = programs.iter().map(ask).collect();
    let turns = if programs.len() == 1 { TURNS_ALONE } else { TURNS };
    for (load, rows) in &LOADS {
        all.iter_mut().for_each(|asked| drop(asked.bear(load)));
        for _ in 0..turns {
            for asked in &mut all {
                asked.turn(load, rows, table);
            }
            all.reverse();
        }
    }
}

impl Asked {
    /// Bears a load; gives the time of each answer, in microseconds.
    fn bear(&mut self, load: &Load) -> Vec<f64> {
        load.run(&mut self.clients[..load.clients], &mut self.tick)
    }

    fn turn(&mut self, load: &Load, Rows(cpu_row, rate_row): &Rows, table: &mut Table) {
        let (cpu, started) = (self.node.cpu_ns(), Instant::now());
        let mut times = self.bear(load);
        let (cpu, seconds) = (self.node.cpu_ns() - cpu, started.elapsed().as_secs_f64());
        let requests = load.requests() as f64;
        table.add(self.which, cpu_row, "us a request", cpu / requests / 1e3);
        if load.clients == 1 {
            times.sort_by(f64::total_cmp);
            table.add(self.which, "answer, one client, median", "us", times[times.len() / 2]);
            table.add(self.which, "answer, one client, p99", "us", times[times.len() * 99 / 100]);
        } else {
            table.add(self.which, rate_row, "a second", requests / seconds);
        }
    }
}

/// Five nodes and their links: idle, and when updates go through them.
pub(crate) fn herd_of_five(program: &Program, which: usize, table: &mut Table, in_short: bool) {
    let map = Map::of(5, "");
    let nodes: Vec<Node> = (0..5).map(|i| Node::start(program, &map, i, &[])).collect();
    let mut clients: Vec<Client> = map
        .clients
        .iter()
        .map(|&address| {
            Node::wait_for(address);
            Client::connect(address, program.dialect)
        })
        .collect();
    link_up(&mut clients);
    std::thread::sleep(2 * REST);
    let sum = |of: fn(&Node) -> f64| nodes.iter().map(of).sum::<f64>();
    table.add(which, "five nodes, PSS in all", "KB", sum(Node::proportional) / 1024.0);
    table.add(which, "five nodes, private memory in all", "KB", sum(Node::anonymous) / 1024.0);
    if in_short {
        return;
    }
    let before = sum(Node::sleeps);
    std::thread::sleep(Duration::from_secs(IDLE_S));
    table.add(which, "wake-ups of a node in ten idle seconds", "", (sum(Node::sleeps) - before) / 5.0);

    let before = sum(Node::cpu_ns);
    let mut times: Vec<f64> = (1..=UPDATES).map(|n| update(&mut clients, n)).collect();
    let cpu_us = (sum(Node::cpu_ns) - before) / 1e3;
    times.sort_by(f64::total_cmp);
    // The asking is the same for all programs, and is in it.
    table.add(which, "an update and its look-ups, all five", "us of processor", cpu_us / UPDATES as f64);
    table.add(which, "an update is visible at all five", "ms", times[times.len() / 2]);
}

/// Waits until an update at each end goes everywhere. It repeats the updates, for servers that do not repair what they lost.
fn link_up(clients: &mut [Client]) {
    let started = Instant::now();
    for at in 0..clients.len() {
        for n in 1.. {
            clients[at].send(format!("IAMAT first-{at} +34.068930-118.445127 {n}\n").as_bytes());
            clients[at].line();
            std::thread::sleep(Duration::from_millis(50));
            let id = format!("first-{at}");
            if clients.iter_mut().all(|client| client.what_is_at(&id, 0, 0).starts_with("AT ")) {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "the links do not come up");
        }
    }
}

/// Milliseconds from an IAMAT at one node until all five answer with it.
fn update(clients: &mut [Client], n: usize) -> f64 {
    let at = n % clients.len();
    let time = format!("{}.{n:09}", 1_600_000_000 + n);
    let started = Instant::now();
    clients[at].send(format!("IAMAT kiwi +34.068930-118.445127 {time}\n").as_bytes());
    clients[at].line();
    for client in clients.iter_mut() {
        while !client.what_is_at("kiwi", 0, 0).trim_end().ends_with(&time) {
            assert!(started.elapsed() < Duration::from_secs(60), "update {n} has not come through");
        }
    }
    started.elapsed().as_secs_f64() * 1e3
}
