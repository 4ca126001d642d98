//! One node, one honest client, and a crowd that means harm: how much later is the honest client answered?
//!
//! ```text
//! cargo bench --bench overload                    all crowds, about six minutes
//! cargo bench --bench overload -- fuzz-links      one of them; --list names them
//! ```
//!
//! For each crowd the honest client is measured alone, then beside the crowd, then the next: A B A B, so that a machine that
//! grows slower slows both, and a ratio is of the same minute. It sends an IAMAT each two milliseconds; when an answer is so late
//! that the next is due, that one counts from when it was due.
//!
//! The cores decide such a figure. Node and honest client have core 0, both at real-time priorities (chrt, which wants root),
//! so that nothing else of this machine is in the figures. The honest client's priority is the higher, as it stands for a
//! machine of its own. It takes a few hundredths of the core. The crowd has core 1 at the least niceness, and goes as fast as
//! that lets it: up to two million lines a second. Clients that never read go slower. A node that keeps its core busy at such
//! a priority starves the kernel's own thread for packets, and the bench would measure that.
//! Exit status 1 when the node does not answer, or keeps over [`GROWTH_KIB_MAX`] of what a crowd made it take.

mod attacks;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use attacks::{ATTACKS, PHONE_ATTACKS, Target};
use herd_test_support::upstream::tls::Ca;
use herd_test_support::{Herd, Measured, free_addresses, has_two_cores, private_kib};

const EVERY: Duration = Duration::from_millis(2);
const ALONE: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(20);
/// What 4,096 connections and a full table take in a node, and some.
const GROWTH_KIB_MAX: u64 = 8 * 1024;

/// Hill, whose neighbour Smith is never there: a name that strangers can say. It runs until this is dropped.
struct Node {
    herd: Herd,
    at: Target,
}

/// Where a process runs, and before whom.
enum Place {
    Node,
    Honest,
    Crowd,
}

/// Words before a program that put it there.
fn placed(place: &Place) -> Vec<&'static str> {
    let may_be_first =
        || Command::new("chrt").args(["-f", "10", "true"]).status().is_ok_and(|status| status.success());
    let (mut words, core) = match place {
        Place::Honest if may_be_first() => (vec!["chrt", "-f", "10"], "0"),
        Place::Node if may_be_first() => (vec!["chrt", "-f", "5"], "0"),
        Place::Node | Place::Honest => (Vec::new(), "0"),
        Place::Crowd => (vec!["nice", "-n", "19"], "1"),
    };
    if has_two_cores() {
        words.extend(["taskset", "-c", core]);
    }
    words
}

fn command(place: &Place, program: &str, words: &[&str]) -> Command {
    let mut all = placed(place);
    all.push(program);
    all.extend(words);
    let mut command = Command::new(all[0]);
    command.args(&all[1..]);
    command
}

impl Node {
    fn start(has_tls: bool) -> Node {
        let measured = Measured { words: placed(&Place::Node), environment: vec![("MALLOC_ARENA_MAX", "1")] };
        let mut herd = Herd::pair().played("Smith").keyed().without_places().measured(measured).build();
        let phones = free_addresses(1)[0];
        herd.add_address("Hill", "phones", &phones.to_string());
        if has_tls {
            Ca::new().write(2000, 4000, &herd.folder.path("cert.pem"), &herd.folder.path("cert.key"));
            herd.add_member("Hill", "\"tls\": { \"cert_file\": \"cert.pem\", \"key_file\": \"cert.key\" }");
        }
        herd["Hill"].start();
        let at = Target { clients: herd["Hill"].clients, links: herd["Hill"].links, phones };
        if has_tls {
            attacks::start_tls(phones);
            lower_tls(herd["Hill"].pid());
        }
        Node { herd, at }
    }

    fn private_kib(&self) -> u64 {
        private_kib(self.herd["Hill"].pid()).expect("the node runs")
    }

    fn cpu_s(&self) -> f64 {
        self.herd["Hill"].cpu_s()
    }
}

/// Gives the thread of handshakes a lower priority than the node's. Its niceness would do that, and at a real-time priority the
/// kernel does not look at it.
fn lower_tls(pid: u32) {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the node runs");
    for task in tasks.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.trim_end() == "tls" {
            let id = task.file_name();
            let _ = Command::new("chrt").args(["-f", "-p", "1"]).arg(id).stderr(Stdio::null()).status();
        }
    }
}

/// The honest client, in a process of its own.
struct Honest {
    process: Child,
}

/// Microseconds, of so many answers.
#[derive(Clone, Copy)]
struct Times {
    p50: f64,
    p99: f64,
    max: f64,
    count: usize,
}

impl Honest {
    fn start(at: Target) -> Honest {
        let me = std::env::current_exe().expect("this program has a file");
        let me = me.to_str().expect("a plain path");
        let mut command = command(&Place::Honest, me, &["honest", &at.clients.to_string()]);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Honest { process: process.expect("this program can be started again") }
    }

    /// Ends it; gives what it measured. `Err` if it was not answered.
    fn end(mut self) -> Result<Times, String> {
        drop(self.process.stdin.take());
        let mut printed = String::new();
        let _ = self.process.stdout.take().expect("it is a pipe").read_to_string(&mut printed);
        let status = self.process.wait().map_err(|error| error.to_string())?;
        let numbers: Vec<f64> = printed.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
            [p50, p99, max, count] if status.success() => Ok(Times { p50, p99, max, count: count as usize }),
            _ => Err(format!("the honest client was not answered: {printed}")),
        }
    }
}

/// The life of the honest client: until its standard input ends.
fn honest(at: SocketAddr) -> std::io::Result<()> {
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(over);
    });
    let stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(stream);
    let (mut times, mut answer) = (Vec::new(), String::new());
    let mut due = Instant::now();
    while is_over.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
        due += EVERY;
        let pause = due.saturating_duration_since(Instant::now());
        std::thread::sleep(pause);
        // Late because of the answer before: then it counts from when it was due.
        let since = if pause.is_zero() { due } else { Instant::now() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = format!(
            "IAMAT honest.example.org +34.068930-118.445127 {}.{:09}\n",
            now.as_secs(),
            now.subsec_nanos()
        );
        stream.get_mut().write_all(line.as_bytes())?;
        answer.clear();
        stream.read_line(&mut answer)?;
        if !answer.starts_with("AT Hill ") || !answer.ends_with(&line["IAMAT ".len()..]) {
            return Err(std::io::Error::other(format!("{line:?} is answered by {answer:?}")));
        }
        times.push(since.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[times.len() * percent / 100];
    println!("{:.1} {:.1} {:.1} {}", at(50), at(99), times[times.len() - 1], times.len());
    Ok(())
}

/// One crowd: a row of the table.
fn row(node: &Node, (name, what, unit): (&str, &str, &str)) -> Result<(), String> {
    let client = Honest::start(node.at);
    std::thread::sleep(ALONE);
    let alone = client.end()?;
    let before_kib = node.private_kib();
    let client = Honest::start(node.at);
    std::thread::sleep(Duration::from_millis(200));
    let (begin, cpu_before) = (Instant::now(), node.cpu_s());
    let me = std::env::current_exe().expect("this program has a file");
    let [clients, links, phones] = [node.at.clients, node.at.links, node.at.phones].map(|at| at.to_string());
    let words = ["attack", name, &clients, &links, &phones];
    let mut crowd = command(&Place::Crowd, me.to_str().expect("a plain path"), &words);
    let output = crowd.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    let (seconds, cpu_s) = (begin.elapsed().as_secs_f64(), node.cpu_s() - cpu_before);
    let beside = client.end()?;
    let done: f64 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .map_err(|_| format!("{name}: the crowd failed"))?;
    // Connections that have gone are closed in the node's own time.
    std::thread::sleep(Duration::from_secs(1));
    let after_kib = node.private_kib();
    println!(
        "| {what} | {done} {unit} | {seconds:.1} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {} | {before_kib} | {after_kib} |",
        100.0 * cpu_s / seconds,
        cpu_s * 1e6 / done,
        alone.p50,
        beside.p50,
        alone.p99,
        beside.p99,
        beside.p99 / alone.p99,
        beside.max / 1e3,
        beside.count,
    );
    if after_kib > before_kib + GROWTH_KIB_MAX {
        return Err(format!(
            "{name}: {before_kib} KiB became {after_kib}; {GROWTH_KIB_MAX} more is the most"
        ));
    }
    Ok(())
}

fn measure(wanted: &[String]) -> Result<(), String> {
    let all = || ATTACKS.iter().chain(&PHONE_ATTACKS);
    if let Some(unknown) = wanted.iter().find(|word| !all().any(|(name, ..)| name == word)) {
        return Err(format!("no crowd is called {unknown}; --list names them"));
    }
    println!(
        "| crowd | how much | s | % of a core, node | us each, node | p50 alone, us | p50 beside | p99 alone | p99 beside | ratio | worst, ms | answers | KiB before | KiB after |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for attack in all().filter(|(name, ..)| wanted.is_empty() || wanted.iter().any(|word| word == name)) {
        let node = Node::start(attack.0.starts_with("tls-"));
        row(&node, *attack)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let address = |at: usize| words.get(at).and_then(|word| word.parse::<SocketAddr>().ok());
    let done = match (words.first().map(String::as_str), address(1), address(2), address(3), address(4)) {
        (Some("honest"), Some(at), ..) => honest(at).map_err(|error| {
            println!("{error}");
            error.to_string()
        }),
        (Some("attack"), _, Some(clients), Some(links), Some(phones)) => {
            let done = attacks::run(&words[1], Target { clients, links, phones });
            done.map(|done| println!("{done}")).ok_or("no such crowd".to_owned())
        }
        (Some("--list"), ..) => {
            ATTACKS.iter().chain(&PHONE_ATTACKS).for_each(|(name, what, _)| println!("{name:14} {what}"));
            Ok(())
        }
        _ => measure(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("overload: {why}");
            ExitCode::FAILURE
        }
    }
}
