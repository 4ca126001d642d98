//! The supervisor, tried on shell scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use rustix::process::test_kill_process;

use super::super::output::Target;
use super::*;
use crate::files::testing::TestDir;

/// Names the folder of the test that kills its supervisor.
const FOLDER_VARIABLE: &str = "HERD_TEST_SUPERVISOR_FOLDER";

/// No test waits for longer than this; none needs a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A herd of shell scripts, its output, and its events.
struct Trial {
    dir: TestDir,
    output: Arc<Mutex<Vec<u8>>>,
    herd: Herd,
    events: Receiver<Event>,
}

fn quick() -> Policy {
    Policy {
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
        start_every: Duration::from_millis(1),
        startup: PATIENCE,
        ..Policy::default()
    }
}

fn job(name: &str, script: &str, folder: &Path, target: Target) -> Job {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(folder);
    Job {
        name: name.to_owned(),
        command,
        greeting: Zeroizing::new("secret\n".to_owned()),
        sink: Sink::named(name, 4, target),
    }
}

impl Trial {
    fn of(scripts: &[(&str, &str)], policy: Policy) -> Trial {
        let dir = TestDir::new();
        let output = Arc::new(Mutex::new(Vec::new()));
        let jobs: Vec<Job> =
            scripts.iter().map(|(name, script)| job(name, script, &dir.path(""), output.clone())).collect();
        let (sender, events) = sync_channel(jobs.len() + 1);
        let herd = Herd::start(jobs, policy, Sink::named("herd", 4, output.clone()), sender)
            .expect("threads can be had");
        Trial { dir, output, herd, events }
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&locked(&self.output)).into_owned()
    }
}

/// Waits until something holds.
fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The process number that a script has written to a file.
fn pid_in(file: &Path) -> Pid {
    until("a process number in a file", || {
        let text = fs::read_to_string(file).ok()?;
        Pid::from_raw(text.strip_suffix('\n')?.parse().ok()?)
    })
}

/// Waits until a process has ended. An orphan may remain as a zombie if no process reaps it.
fn until_gone(pid: Pid) {
    until("the end of a process", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        (test_kill_process(pid).is_err() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn a_child_gets_its_greeting_and_its_lines_come_out() {
    let trial = Trial::of(&[("a", "read key; echo got $key >&2; cat; exit 0")], quick());
    until("the greeting", || trial.output().contains("a    | got secret\n").then_some(()));
    trial.herd.stop();
}

#[test]
fn a_child_that_dies_is_started_again() {
    // The first life ends in a signal, the second with a status; the third stays.
    let script =
        "echo x >> lives; case $(wc -l < lives) in 1) kill -9 $$;; 2) exit 3;; *) echo up >&2; cat;; esac";
    let trial = Trial::of(&[("a", script)], quick());
    until("a third life", || trial.output().contains("a    | up\n").then_some(()));
    let output = trial.output();
    assert!(output.contains("herd | a ended (signal 9); starting it again in 0.005 s\n"), "{output}");
    assert!(output.contains("herd | a ended (status 3); starting it again in 0.01 s\n"), "{output}");
    assert!(trial.events.try_recv().is_err());
    trial.herd.stop();
}

#[test]
fn the_wait_has_a_limit_and_starts_over_after_a_long_life() {
    let trial = Trial::of(&[("a", "exit 3")], quick());
    until("a long wait", || {
        trial
            .output()
            .contains("again in 0.02 s\nherd | a ended (status 3); starting it again in 0.02 s")
            .then_some(())
    });
    trial.herd.stop();
    let always_forgiven = Policy { forgiven_after: Duration::ZERO, ..quick() };
    let trial = Trial::of(&[("a", "echo x >> lives; exit 3")], always_forgiven);
    until("five lives", || {
        (fs::read_to_string(trial.dir.path("lives")).ok()?.lines().count() >= 5).then_some(())
    });
    assert!(!trial.output().contains("0.01 s"));
    trial.herd.stop();
}

#[test]
fn a_child_that_cannot_start_is_reported_once_with_its_last_line() {
    let trial = Trial::of(
        &[
            ("bad", "echo x >> lives; echo one >&2; echo port taken >&2; exit 1"),
            ("good", "echo $$ > pid; cat"),
        ],
        quick(),
    );
    let pid = pid_in(&trial.dir.path("pid"));
    let event = trial.events.recv_timeout(PATIENCE).expect("the child cannot start");
    let (name, why, last_line) = ("bad".to_owned(), "status 1".to_owned(), "port taken".to_owned());
    assert_eq!(event, Event::CannotStart { name, why, last_line });
    trial.herd.stop();
    assert_eq!(fs::read_to_string(trial.dir.path("lives")).expect("the child wrote it"), "x\n");
    until_gone(pid);
}

#[test]
fn a_missing_program_is_reported() {
    let target: Target = Arc::new(Mutex::new(Vec::new()));
    let mut absent = job("a", "", Path::new("/"), target.clone());
    absent.command = Command::new("/nowhere/herd");
    let (sender, events) = sync_channel(2);
    let herd = Herd::start(vec![absent], quick(), Sink::plain(target), sender).expect("threads can be had");
    let Ok(Event::CannotStart { why, .. }) = events.recv_timeout(PATIENCE) else { panic!("no event") };
    assert_eq!(why, "/nowhere/herd: No such file or directory (os error 2)");
    herd.stop();
}

#[test]
fn stopping_ends_the_deaf_too() {
    let deaf = "trap '' TERM; echo $$ > pid; while :; do sleep 1; done";
    let trial = Trial::of(
        &[("deaf", deaf), ("good", "cat")],
        Policy { stop_limit: Duration::from_millis(50), ..quick() },
    );
    let pid = pid_in(&trial.dir.path("pid"));
    trial.herd.stop();
    until_gone(pid);
    let output = String::from_utf8_lossy(&locked(&trial.output)).into_owned();
    assert!(output.contains("did not stop in time; killing them"), "{output}");
    assert!(!output.contains("starting it again"), "{output}");
}

#[test]
fn stopping_does_not_wait_out_the_back_off() {
    let slow = Policy { first_wait: PATIENCE * 10, ..quick() };
    let trial = Trial::of(&[("a", "exit 3")], slow);
    until("the back-off", || trial.output().contains("starting it again").then_some(()));
    // Without the interruption this takes ten times PATIENCE.
    trial.herd.stop();
}

#[test]
fn no_child_outlives_a_killed_supervisor() {
    let dir = TestDir::new();
    // This test program again, running the function below.
    let mut supervisor = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "cli::commands::supervise::tests::a_supervisor_to_be_killed", "--ignored"])
        .env(FOLDER_VARIABLE, dir.path(""))
        .stdout(Stdio::null())
        .spawn()
        .expect("this program can be run");
    let children = ["a", "b"].map(|name| pid_in(&dir.path(name)));
    supervisor.kill().expect("the supervisor runs");
    supervisor.wait().expect("the supervisor is ours");
    children.into_iter().for_each(until_gone);
}

/// Not a test: `no_child_outlives_a_killed_supervisor` runs it and kills it.
#[test]
#[ignore = "run by no_child_outlives_a_killed_supervisor"]
fn a_supervisor_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from) else { return };
    let target: Target = Arc::new(Mutex::new(Vec::new()));
    // Deaf to SIGTERM, so that only the end of its input can end it.
    let script = |name: &str| format!("trap '' TERM HUP; echo $$ > {name}; while read line; do :; done");
    let jobs = ["a", "b"].map(|name| job(name, &script(name), &folder, target.clone()));
    let (sender, _events) = sync_channel(3);
    let _herd = Herd::start(jobs.into(), quick(), Sink::plain(target), sender).expect("threads can be had");
    thread::sleep(PATIENCE);
}
