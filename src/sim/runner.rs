//! The program `herd-sim`: it runs one seed, or many seeds on all cores.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::hash::Hasher;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lexopt::{Arg, Parser, ValueExt};
use siphasher::sip::SipHasher13;

use super::{Failure, Options, Summary, run};
use crate::proto::limits::NODES_MAX;

const USAGE: &str = "usage: herd-sim --seed S [--nodes N] [--updates R] [--trace]
       herd-sim --seeds A..B [--keep-going] [--nodes N] [--updates R]
       herd-sim --from WORD --for SECONDS [--keep-going] [--nodes N] [--updates R]
       herd-sim --scale FILE.svg

Runs a herd under a false clock and false links, with the faults that a seed switches on, and checks what must
hold. The same seed gives the same run. --from takes the first of many seeds from a word, such as a commit's hash, and
--for ends after so many seconds. --keep-going runs all seeds and prints every one that fails; without it the first is
printed. --scale measures what an update costs in herds of 5 to 1,000 nodes, and writes a picture. Exit status: 0 all
held, 1 something did not, 2 wrong usage.";

/// The range of first seeds that `--from` selects. A run never reaches its end.
const FRESH_SEEDS: u64 = 1 << 48;

thread_local! {
    static RUNNING: Cell<Option<u64>> = const { Cell::new(None) };
}

enum Task {
    Seeds(Asked),
    Scale(PathBuf),
}

struct Asked {
    first: u64,
    end: u64,
    /// The time after which no further seed starts.
    until: Option<Duration>,
    keeps_going: bool,
    options: Options,
}

impl Asked {
    fn is_over(&self, began: Instant) -> bool {
        self.until.is_some_and(|until| began.elapsed() >= until)
    }
}

/// Runs the task of the arguments.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let asked = match parse(args) {
        Ok(Some(Task::Seeds(asked))) => asked,
        Ok(Some(Task::Scale(file))) => return scale(&file),
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("herd-sim: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A failed assertion of the core is a finding too: the hook reports its seed.
    let (before, options, keeps_going) = (panic::take_hook(), asked.options.clone(), asked.keeps_going);
    panic::set_hook(Box::new(move |info| {
        before(info);
        if let Some(seed) = RUNNING.get() {
            eprintln!("seed {seed} panicked; once more: {}", replay(seed, &options));
            if !keeps_going {
                std::process::exit(1);
            }
        }
    }));
    if asked.end == asked.first + 1 { one(&asked) } else { many(&asked) }
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Task>, lexopt::Error> {
    let mut parser = Parser::from_args(args);
    let (mut seeds, mut options) = (None, Options::default());
    let (mut from, mut until, mut keeps_going) = (None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("seed") => {
                let seed: u64 = parser.value()?.parse()?;
                seeds = Some((seed, seed.checked_add(1).ok_or("--seed: this one is too large")?));
            }
            Arg::Long("seeds") => {
                let value = parser.value()?.string()?;
                let ends = value.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                let rising = ends.filter(|(first, end): &(u64, u64)| first < end);
                seeds = Some(rising.ok_or("--seeds: give a range such as 0..2000")?);
            }
            Arg::Long("from") => {
                let word = parser.value()?.string()?;
                let mut hasher = SipHasher13::new();
                hasher.write(word.as_bytes());
                from = Some(hasher.finish() % FRESH_SEEDS);
            }
            Arg::Long("for") => {
                let seconds: u32 = parser.value()?.parse()?;
                until = Some(Duration::from_secs(seconds.into()));
            }
            Arg::Long("keep-going") => keeps_going = true,
            Arg::Long("nodes") => {
                let nodes: usize = parser.value()?.parse()?;
                let fits = (2..=NODES_MAX).contains(&nodes);
                options.nodes = Some(Some(nodes).filter(|_| fits).ok_or("--nodes: give 2 to 1024")?);
            }
            Arg::Long("updates") => {
                options.updates = Some(parser.value()?.parse()?);
            }
            Arg::Long("scale") => {
                let file = PathBuf::from(parser.value()?);
                return match parser.next()? {
                    None if seeds.is_none() => Ok(Some(Task::Scale(file))),
                    _ => Err("--scale: give nothing else".into()),
                };
            }
            Arg::Long("trace") => options.trace = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let (first, end) = match (seeds, from, until) {
        (Some(seeds), None, None) => seeds,
        (None, Some(first), Some(_)) => (first, u64::MAX),
        (None, None, None) => return Err("give --seed, --seeds, or --from and --for".into()),
        _ => return Err("--from and --for: give both, and neither --seed nor --seeds".into()),
    };
    if options.trace && end != first + 1 {
        return Err("--trace: give one --seed".into());
    }
    Ok(Some(Task::Seeds(Asked { first, end, until, keeps_going, options })))
}

fn scale(file: &Path) -> ExitCode {
    let measured = super::scale::run().map_err(|failure| failure.to_string());
    let written = measured.and_then(|series| {
        print!("{}", super::scale::table(&series));
        fs::write(file, super::plot::picture(&series))
            .map_err(|error| format!("herd-sim: {}: {error}", file.display()))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The command that runs the seed again, with the options of this program.
fn replay(seed: u64, options: &Options) -> String {
    let profile = if cfg!(debug_assertions) { "--profile sim" } else { "--release" };
    let nodes = options.nodes.map_or(String::new(), |nodes| format!(" --nodes {nodes}"));
    let updates = options.updates.map_or(String::new(), |updates| format!(" --updates {updates}"));
    format!("cargo run {profile} --features sim --bin herd-sim -- --seed {seed}{nodes}{updates} --trace")
}

fn one(asked: &Asked) -> ExitCode {
    RUNNING.set(Some(asked.first));
    match run(asked.first, &asked.options) {
        Ok(Summary { plan, hash, simulated_ms, lines, updates, connections, converged_ms, .. }) => {
            println!("{plan}");
            println!(
                "seed {}: all held. {simulated_ms} ms simulated, {connections} connections, {lines} lines, {updates} \
                 of them updates, one table {converged_ms} ms after the healing; trace {hash:016x}",
                asked.first
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The results of many seeds.
#[derive(Default)]
struct Tally {
    ran: AtomicU64,
    lines: AtomicU64,
    slowest_ms: AtomicU64,
    panicked: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

impl Tally {
    /// The smallest seed that has failed so far.
    fn first_failed(&self) -> Option<u64> {
        self.failures
            .lock()
            .expect("the lock is not held during a panic")
            .iter()
            .map(|failure| failure.seed)
            .min()
    }

    fn take(&self, outcome: Result<Summary, Box<Failure>>) {
        match outcome {
            Ok(summary) => {
                self.lines.fetch_add(summary.lines, Ordering::Relaxed);
                self.slowest_ms.fetch_max(summary.converged_ms, Ordering::Relaxed);
            }
            Err(failure) => self.failures.lock().expect("the lock is not held during a panic").push(*failure),
        }
        self.ran.fetch_add(1, Ordering::Relaxed);
    }
}

fn many(asked: &Asked) -> ExitCode {
    let began = Instant::now();
    let (next, tally) = (AtomicU64::new(asked.first), Tally::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // Seeds below a failed one still run, because the program reports the smallest failing seed.
            let end = if asked.keeps_going { asked.end } else { tally.first_failed().unwrap_or(asked.end) };
            if seed >= end || asked.is_over(began) {
                return;
            }
            RUNNING.set(Some(seed));
            // The hook has reported the seed. Without --keep-going it has also ended the program.
            match panic::catch_unwind(|| run(seed, &asked.options)) {
                Ok(outcome) => tally.take(outcome),
                Err(_) => drop(tally.panicked.fetch_add(1, Ordering::Relaxed)),
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    update(asked, tally, cores, began.elapsed().as_secs_f64())
}

fn update(asked: &Asked, tally: Tally, cores: usize, seconds: f64) -> ExitCode {
    let (ran, panicked) = (tally.ran.into_inner(), tally.panicked.into_inner());
    let first = asked.first;
    let rate = format!("{ran} seeds from {first} in {seconds:.1} s on {cores} cores");
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_s = ran as f64 / seconds;
    let mut failures = tally.failures.into_inner().expect("the lock is not held during a panic");
    if failures.is_empty() && panicked == 0 {
        let (lines, slowest) = (tally.lines.into_inner(), tally.slowest_ms.into_inner());
        println!("{rate}, {per_s:.0} a second: all held. {lines} lines; slowest to one table: {slowest} ms");
        return ExitCode::SUCCESS;
    }
    failures.sort_by_key(|failure| failure.seed);
    failures.truncate(if asked.keeps_going { usize::MAX } else { 1 });
    for failure in &failures {
        eprintln!("{failure}\n  once more: {}", replay(failure.seed, &asked.options));
    }
    let failed = failures.len() as u64 + panicked;
    eprintln!(
        "{rate}: {failed} failed{}",
        if asked.keeps_going { "" } else { ", and the others were not run" }
    );
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Option<Asked>, String> {
        let task = parse(args.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())?;
        Ok(task.map(|task| match task {
            Task::Seeds(asked) => asked,
            Task::Scale(file) => panic!("{}", file.display()),
        }))
    }

    #[test]
    fn arguments_are_parsed_or_rejected() {
        let asked =
            parsed("--seeds 3..9 --nodes 5 --updates 0").ok().flatten().expect("the arguments are valid");
        assert_eq!((asked.first, asked.end), (3, 9));
        assert_eq!((asked.options.nodes, asked.options.updates), (Some(5), Some(0)));
        let one = parsed("--seed 7 --trace").ok().flatten().expect("the arguments are valid");
        assert_eq!((one.first, one.end, one.options.trace), (7, 8, true));
        let fresh = |word| {
            parsed(&format!("--from {word} --for 60 --keep-going"))
                .ok()
                .flatten()
                .expect("the arguments are valid")
        };
        assert!(fresh("a").first != fresh("b").first && fresh("a").first < FRESH_SEEDS);
        assert_eq!((fresh("a").until, fresh("a").keeps_going), (Some(Duration::from_secs(60)), true));
        assert!(matches!(parsed("--help"), Ok(None)));
        for wrong in [
            "",
            "--seed",
            "--seed x",
            "--seed 18446744073709551615",
            "--seeds 9..3",
            "--seeds 3",
            "--seeds 3..9 --trace",
            "--from x",
            "--for 3",
            "--from x --for 3 --seed 1",
            "--seed 1 --nodes 1",
            "--seed 1 --nodes 1025",
            "--seed 1 more",
            "--scale",
            "--seed 1 --scale x.svg",
            "--scale x.svg --trace",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
