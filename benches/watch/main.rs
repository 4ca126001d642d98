//! What subscribers cost a node: a thousand clients move once a second, and ten subscribers get each move.
//!
//! ```text
//! cargo bench --bench watch                 about a minute
//! cargo bench --bench watch -- 2            only two watch
//! ```
//!
//! Three nodes of one build, one after another, with the same clients at the same pace: without an HTTP listener, with
//! one that no client uses, and with subscribers that read all that comes. For each node the bench takes the private memory at
//! the end and the processor's time over [`SPAN`], from the kernel's accounts. The differences to the first node are the cost
//! of the listener and of the subscribers. The node has a core of its own, where the machine has two. Exit status 1 if the cost
//! is more than [`PRIVATE_KIB_MAX`] or [`CORE_MAX`], or if a subscriber gets fewer events than happened.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use herd_test_support::http::opened;
use herd_test_support::{Herd, Measured, has_two_cores};

const CLIENTS: usize = 1_000;
const WATCHERS: usize = 10;
const SPAN: Duration = Duration::from_secs(15);
/// Before it is looked: everybody has come, and every buffer has been as full as it gets.
const SETTLE: Duration = Duration::from_secs(3);
/// What watching may cost, in KiB of private memory and as a part of one core.
const PRIVATE_KIB_MAX: f64 = 200.0;
const CORE_MAX: f64 = 0.05;

/// A node, and where its HTTP listener is, if it has one.
fn start(has_http: bool) -> (Herd, Option<SocketAddr>) {
    let words = if has_two_cores() { vec!["taskset", "-c", "0"] } else { Vec::new() };
    let measured = Measured { words, environment: vec![("MALLOC_ARENA_MAX", "1")] };
    let builder = Herd::one().without_places().measured(measured);
    if !has_http {
        return (builder.start(), None);
    }
    let mut herd = builder.build();
    let http = herd.start_with_http();
    (herd, Some(http))
}

/// A subscriber: it counts the events of clients, until the node ends.
fn watch(http: SocketAddr, seen: Arc<AtomicU64>) -> JoinHandle<()> {
    thread::spawn(move || {
        let stream = opened(http, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            if line.starts_with(b"data: AT ") {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
}

/// A thousand clients over one connection, each of which moves once a second, spread over the second.
fn walk(node: SocketAddr, is_over: Arc<AtomicBool>) -> JoinHandle<u64> {
    const AT_ONCE: usize = 10;
    thread::spawn(move || {
        let mut stream = TcpStream::connect(node).expect("the node listens");
        let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
        let (begin, mut steps, mut answer) = (Instant::now(), 0_u64, Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            let mut lines = String::new();
            for _ in 0..AT_ONCE {
                let (client, round) = (steps % CLIENTS as u64, steps / CLIENTS as u64);
                let (lat, lon) = (34_000_000 + 100 * client + round, 118_000_000 + 91 * client + round);
                let degrees = |micro: u64| format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
                lines += &format!(
                    "IAMAT walker-{client:04}.cs.ucla.edu +{}-{} {round}.5\n",
                    degrees(lat),
                    degrees(lon)
                );
                steps += 1;
            }
            stream.write_all(lines.as_bytes()).expect("the node reads");
            for _ in 0..AT_ONCE {
                answer.clear();
                answers.read_until(b'\n', &mut answer).expect("the node answers");
            }
            let due = begin + Duration::from_micros(1_000_000 / CLIENTS as u64 * steps);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        steps
    })
}

/// What a node took: private memory in KiB, and a part of one core.
struct Cost {
    private_kib: f64,
    core: f64,
}

#[expect(clippy::cast_precision_loss, reason = "a node has megabytes")]
fn measure(has_http: bool, watchers: usize) -> Result<Cost, String> {
    let (herd, http) = start(has_http);
    let node = &herd["Hill"];
    let is_over = Arc::new(AtomicBool::new(false));
    let walkers = walk(node.clients, is_over.clone());
    let seen = Arc::new(AtomicU64::new(0));
    let eyes: Vec<_> =
        http.into_iter().cycle().take(watchers).map(|http| watch(http, seen.clone())).collect();
    thread::sleep(SETTLE);
    let (begin, cpu_s, seen_before) = (Instant::now(), node.cpu_s(), seen.load(Ordering::Relaxed));
    thread::sleep(SPAN);
    let core = (node.cpu_s() - cpu_s) / begin.elapsed().as_secs_f64();
    let seen = seen.load(Ordering::Relaxed) - seen_before;
    // Without the pages of files: pages of the program can be had back, and are shared by all nodes.
    let private_kib = node.anonymous_kib() as f64;
    is_over.store(true, Ordering::Relaxed);
    let steps = walkers.join().expect("the walkers do not panic");
    drop(herd);
    for eye in eyes {
        eye.join().expect("a subscriber does not panic");
    }
    let expected = watchers as u64 * CLIENTS as u64 * SPAN.as_secs();
    if seen * 10 < expected * 9 {
        return Err(format!("the subscribers got {seen} of {expected} moves ({steps} steps)"));
    }
    Ok(Cost { private_kib, core })
}

fn run(watchers: usize) -> Result<bool, String> {
    println!("{CLIENTS} clients that move once a second, over {} s", SPAN.as_secs());
    println!("{:<34} {:>12} {:>10}", "", "private KiB", "of a core");
    let mut costs = Vec::new();
    for (what, has_http, watchers) in
        [("no listener", false, 0), ("a listener", true, 0), ("a listener, and subscribers", true, watchers)]
    {
        let cost = measure(has_http, watchers)?;
        println!("{what:<34} {:>12.0} {:>9.2}%", cost.private_kib, 100.0 * cost.core);
        costs.push(cost);
    }
    let (first, last) = (&costs[0], &costs[2]);
    let (more_kib, more_core) = (last.private_kib - first.private_kib, last.core - first.core);
    println!("{watchers} subscribers cost {more_kib:.0} KiB and {:.2}% of a core", 100.0 * more_core);
    Ok(more_kib <= PRIVATE_KIB_MAX && more_core <= CORE_MAX)
}

fn main() -> ExitCode {
    let watchers = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(WATCHERS);
    match run(watchers) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("that is more than {PRIVATE_KIB_MAX} KiB or {}% of a core", 100.0 * CORE_MAX);
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
