//! How long until an update is visible at all five nodes, and what a quiet node takes of memory.
//!
//! `cargo bench --bench herd`. Starts the built-in map's five nodes on free loopback ports as processes of
//! their own. An update is visible when a WHATSAT for no places answers with its time; the other four nodes
//! are asked in turn, without pause, so what is printed includes the asking. Linux only.

use std::time::{Duration, Instant};

use herd_test_support::{Client, Herd, Measured, Node};

const UPDATES: usize = 2_000;

/// Milliseconds from the first byte of an IAMAT at one node until all others answer with it.
fn update(clients: &mut [Client], n: usize) -> f64 {
    let at = n % clients.len();
    let time = format!("{}.{n:09}", 1_600_000_000 + n);
    let started = Instant::now();
    clients[at].ask(&format!("IAMAT kiwi +34.068930-118.445127 {time}"));
    for (_, client) in clients.iter_mut().enumerate().filter(|(i, _)| *i != at) {
        while !client.whatsat("WHATSAT kiwi 0 0").0.ends_with(&time) {}
    }
    started.elapsed().as_secs_f64() * 1e3
}

fn main() {
    let herd = Herd::five().keyed().without_places().measured(Measured::default()).start();
    let mut clients: Vec<_> = herd.running().map(|node| Client::connect(node.clients)).collect();
    // Two digests and their answers have gone over each link by then.
    std::thread::sleep(Duration::from_secs(3));
    let idle: Vec<u64> = herd.running().map(Node::anonymous_kib).collect();
    println!("private memory of an idle node, links up (Anonymous of smaps_rollup): {idle:?} kB");

    for n in 0..200 {
        update(&mut clients, n);
    }
    let mut times: Vec<f64> = (200..200 + UPDATES).map(|n| update(&mut clients, n)).collect();
    times.sort_by(f64::total_cmp);
    let quantile = |part: usize| times[times.len() * part / 100];
    println!(
        "an update is visible at all five nodes after {:.2} ms (median of {UPDATES}; p90 {:.2}, p99 {:.2})",
        quantile(50),
        quantile(90),
        quantile(99)
    );
    let busy: Vec<u64> = herd.running().map(Node::anonymous_kib).collect();
    println!("private memory afterwards, one client known, places asked for: {busy:?} kB");
}
