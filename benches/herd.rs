//! How long until an update is visible at all five nodes, and what a quiet node takes of memory.
//!
//! `cargo bench --bench herd`. Starts the default map's five nodes on free loopback ports as processes of
//! their own. An update is visible when a WHATSAT for no places answers with its time; the other four nodes
//! are asked in turn, without pause, so what is printed includes the asking. Linux only.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAMES: [&str; 5] = ["Hill", "Jaquez", "Smith", "Singleton", "Campbell"];
const EDGES: &str = r#"[["Hill","Jaquez"],["Hill","Smith"],["Jaquez","Singleton"],["Smith","Singleton"],["Smith","Campbell"],["Singleton","Campbell"]]"#;
const UPDATES: usize = 2_000;

struct Herd {
    nodes: Vec<Child>,
    clients: Vec<SocketAddr>,
    folder: std::path::PathBuf,
}

impl Drop for Herd {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let bound: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports")).collect();
    bound.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}

fn start() -> Herd {
    let ports = free_ports(10);
    let nodes: Vec<String> = NAMES
        .iter()
        .enumerate()
        .map(|(i, name)| {
            format!(
                r#""{name}": {{ "clients": "127.0.0.1:{}", "links": "127.0.0.1:{}" }}"#,
                ports[i],
                ports[5 + i]
            )
        })
        .collect();
    let folder = std::env::temp_dir().join(format!("herd-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let key = folder.join("key");
    std::fs::write(&key, "5a".repeat(32)).expect("a key file");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("our own file");
    let map = folder.join("herd.json");
    let text = format!(r#"{{ "nodes": {{ {} }}, "edges": {EDGES}, "key_file": "key" }}"#, nodes.join(", "));
    std::fs::write(&map, text).expect("a configuration file");
    let serve = |name: &&str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herd"));
        // An empty environment: nothing of this shell counts as the node's memory.
        command.env_clear().args(["serve", name, "--config"]).arg(&map);
        command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program was just built")
    };
    let nodes = NAMES.iter().map(serve).collect();
    let clients = ports[..5].iter().map(|&port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
    Herd { nodes, clients, folder }
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nodelay(true).expect("a TCP option");
                return BufReader::new(stream);
            }
            Err(error) if Instant::now() > deadline => panic!("{address}: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Says a line and reads the first line of the answer; an answer with places is read to its end.
fn say(client: &mut BufReader<TcpStream>, line: &str) -> String {
    client.get_mut().write_all(line.as_bytes()).expect("the node is there");
    let mut first = String::new();
    client.read_line(&mut first).expect("an answer");
    if line.starts_with("WHATSAT") && first.starts_with("AT ") {
        let mut more = String::new();
        while more != "\n" {
            more.clear();
            client.read_line(&mut more).expect("the rest of the answer");
        }
    }
    first
}

/// Milliseconds from the first byte of an IAMAT at one node until all others answer with it.
fn update(clients: &mut [BufReader<TcpStream>], n: usize) -> f64 {
    let at = n % clients.len();
    let time = format!("{}.{n:09}", 1_600_000_000 + n);
    let started = Instant::now();
    say(&mut clients[at], &format!("IAMAT kiwi +34.068930-118.445127 {time}\n"));
    for (_, client) in clients.iter_mut().enumerate().filter(|(i, _)| *i != at) {
        while !say(client, "WHATSAT kiwi 0 0\n").trim_end().ends_with(&time) {}
    }
    started.elapsed().as_secs_f64() * 1e3
}

fn anonymous_kb(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the node runs");
    let line = text.lines().find(|line| line.starts_with("Anonymous:")).expect("Linux says so since 4.14");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of kB")
}

fn main() {
    let herd = start();
    let mut clients: Vec<_> = herd.clients.iter().map(|&address| connect(address)).collect();
    // Two digests and their answers have gone over each link by then.
    std::thread::sleep(Duration::from_secs(3));
    let idle: Vec<u64> = herd.nodes.iter().map(|node| anonymous_kb(node.id())).collect();
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
    let busy: Vec<u64> = herd.nodes.iter().map(|node| anonymous_kb(node.id())).collect();
    println!("private memory afterwards, one client known, places asked for: {busy:?} kB");
}
