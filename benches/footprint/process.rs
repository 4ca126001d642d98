//! Nodes as processes: start them, read what the kernel says of them, end them.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use herd_test_support::{
    Folder, configuration, configured, cpu_s, free_addresses_on, has_two_cores, memory_kib,
};

use crate::client::Dialect;
use crate::programs::Program;

const NAMES: [&str; 5] = ["Hill", "Jaquez", "Smith", "Singleton", "Campbell"];
const EDGES: [(&str, &str); 6] = [
    ("Hill", "Jaquez"),
    ("Hill", "Smith"),
    ("Jaquez", "Singleton"),
    ("Smith", "Singleton"),
    ("Smith", "Campbell"),
    ("Singleton", "Campbell"),
];
const START_MAX: Duration = Duration::from_secs(60);

/// A configuration in a folder that goes with it.
pub(crate) struct Map {
    folder: Folder,
    pub(crate) file: PathBuf,
    /// Where its nodes listen to clients.
    pub(crate) clients: Vec<SocketAddr>,
}

impl Map {
    /// The first `nodes` of the herd of five, on free ports of loopback; with all five, their edges. `more` members stand at
    /// the end.
    pub(crate) fn of(nodes: usize, more: &str) -> Map {
        let held = free_addresses_on(Ipv4Addr::LOCALHOST, 2 * nodes);
        let at = |i: usize| held[i];
        let node = |i: usize| configured(NAMES[i], at(i), at(nodes + i), "");
        let edges = if nodes == NAMES.len() { &EDGES[..] } else { &[] };
        let members: Vec<String> = (0..nodes).map(node).collect();
        let text = configuration(&members, edges, &format!(", \"key_file\": \"key\"{more}"));
        let folder = Folder::new();
        folder.write_private("key", "5a".repeat(32));
        let file = folder.write("herd.json", text);
        Map { folder, file, clients: (0..nodes).map(at).collect() }
    }
}

/// A node that runs until this is dropped.
pub(crate) struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps this process, which plays the clients, off the core of the nodes.
pub(crate) fn leave_the_first_core() {
    if has_two_cores() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let me = std::process::id().to_string();
        let _ = Command::new("taskset")
            .args(["-pc", &format!("1-{}", cores - 1), &me])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

impl Node {
    /// Starts node `index` of a configuration behind these words, which may be none: a tool that watches it. A server that reads no configuration
    /// listens where the node's clients do.
    pub(crate) fn start(program: &Program, map: &Map, index: usize, before: &[&str]) -> Node {
        let mut words: Vec<&str> = Vec::new();
        if has_two_cores() {
            words.extend(["taskset", "-c", "0"]);
        }
        // An empty environment: nothing of this shell counts as the node's memory. The unit sets the same for one heap.
        words.extend(["env", "-i", "MALLOC_ARENA_MAX=1"]);
        words.extend(before);
        words.extend(program.words.iter().map(String::as_str));
        let (file, port) = (map.file.to_str().expect("a plain path"), map.clients[index].port().to_string());
        match program.dialect {
            Dialect::Herd => words.extend(["serve", NAMES[index], "--config", file]),
            // In memory alone, as the node has it.
            Dialect::Redis => {
                words.extend(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
            }
            Dialect::Mqtt => words.extend(["-p", &port]),
        }
        let node = Command::new(words[0])
            .args(&words[1..])
            .current_dir(map.folder.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Node(node.unwrap_or_else(|error| panic!("{words:?}: {error}")))
    }

    /// Waits until a client is let in.
    pub(crate) fn wait_for(address: SocketAddr) {
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < START_MAX, "the node at {address} does not start");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Tells it to stop, as systemd does, and waits until it has. A tool that watches from outside has the node for its
    /// child, and does not pass the signal on.
    pub(crate) fn stop(mut self) {
        let pid = self.0.id();
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let child = children.split_whitespace().next().and_then(|child| child.parse().ok());
        let node = child.and_then(rustix::process::Pid::from_raw);
        let node = node.unwrap_or_else(|| rustix::process::Pid::from_child(&self.0));
        rustix::process::kill_process(node, rustix::process::Signal::TERM).expect("it runs");
        let _ = self.0.wait();
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).expect("the node runs")
    }

    /// A member of `smaps_rollup`, in bytes.
    #[expect(clippy::cast_precision_loss, reason = "a node has megabytes")]
    fn memory(&self, member: &str) -> f64 {
        memory_kib(self.0.id(), member).expect("the node runs") as f64 * 1024.0
    }

    /// Private memory that is not a file's: what each node costs a board. Pages of the program are shared and can be had
    /// back, so RSS and PSS say less.
    pub(crate) fn anonymous(&self) -> f64 {
        self.memory("Anonymous")
    }

    pub(crate) fn resident(&self) -> f64 {
        self.memory("Rss")
    }

    /// A shared page counts in part: divided by the number of processes that share it.
    pub(crate) fn proportional(&self) -> f64 {
        self.memory("Pss")
    }

    pub(crate) fn threads(&self) -> f64 {
        let status = self.file("status");
        let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).expect("Linux tells it");
        line.trim().parse().expect("a number")
    }

    /// Nanoseconds on a processor, of all threads there are.
    pub(crate) fn cpu_ns(&self) -> f64 {
        cpu_s(self.0.id()) * 1e9
    }

    /// How often a thread of it went to sleep.
    pub(crate) fn sleeps(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("the node runs");
        let sleeps = tasks.flatten().filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<f64>().ok()
        });
        sleeps.sum()
    }
}
