//! The five processes: started, stopped and ended, the ledger learns of each end before it comes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ledger::Ledger;
use crate::memory::{Look, look};
use crate::world::{NAMES, at_node, client_address};
use herd_test_support::{program, runs_beside};

/// How long a node may take to end when it is asked to, and to let clients in.
const END_MAX: Duration = Duration::from_secs(10);
const START_MAX: Duration = Duration::from_secs(30);

/// The ledger, as the threads share it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Ledger>>);

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared(Arc::new(Mutex::new(Ledger::new())))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().expect("no thread panics with the lock")
    }
}

pub(crate) struct Nodes {
    folder: PathBuf,
    map: PathBuf,
    ledger: Shared,
    children: [Option<Child>; 5],
}

impl Nodes {
    pub(crate) fn new(folder: &Path, map: PathBuf, ledger: Shared) -> Nodes {
        Nodes { folder: folder.to_owned(), map, ledger, children: Default::default() }
    }

    pub(crate) fn start(&mut self, node: usize) -> Result<(), String> {
        let mut command = at_node(node);
        command.arg(program()).args(["serve", NAMES[node], "--log-level", "info", "--config"]).arg(&self.map);
        command
            .env_remove("CREDENTIALS_DIRECTORY")
            .env_remove("JOURNAL_STREAM")
            .env_remove("RUNTIME_DIRECTORY");
        runs_beside(&mut command, &self.map);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("nsenter: {error}"))?;
        let log = child.stderr.take().expect("it is a pipe");
        let file =
            File::options().create(true).append(true).open(self.folder.join(format!("{}.log", NAMES[node])));
        let file = file.map_err(|error| format!("{}: {error}", self.folder.display()))?;
        let (ledger, life) = (self.ledger.clone(), self.ledger.lock().life(node));
        std::thread::spawn(move || follow(node, life, log, file, &ledger));
        self.children[node] = Some(child);
        self.ledger.lock().runs(node);
        Ok(())
    }

    /// Waits until a node lets clients in.
    pub(crate) fn wait_for(&self, node: usize) -> Result<(), String> {
        let begin = Instant::now();
        while std::net::TcpStream::connect_timeout(&client_address(node), END_MAX).is_err() {
            if begin.elapsed() > START_MAX {
                return Err(format!(
                    "{} does not let clients in; its log is in {}",
                    NAMES[node],
                    self.folder.display()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn signal(&self, node: usize, signal: Signal) {
        if let Some(child) = &self.children[node] {
            // One that has ended on its own is found out by `look_after`.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    pub(crate) fn is_there(&self, node: usize) -> bool {
        self.children[node].is_some()
    }

    pub(crate) fn stop(&self, node: usize) {
        self.ledger.lock().stops(node);
        self.signal(node, Signal::STOP);
    }

    pub(crate) fn go_on(&self, node: usize) {
        self.signal(node, Signal::CONT);
        self.ledger.lock().runs(node);
    }

    pub(crate) fn reload(&self, node: usize) {
        self.signal(node, Signal::HUP);
    }

    /// A power cut.
    pub(crate) fn kill(&mut self, node: usize) {
        self.look_after();
        self.ledger.lock().ends(node);
        if let Some(mut child) = self.children[node].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A stop in order: exit status 0, soon.
    pub(crate) fn terminate(&mut self, node: usize) {
        self.look_after();
        self.ledger.lock().ends(node);
        self.signal(node, Signal::TERM);
        let Some(mut child) = self.children[node].take() else { return };
        let begin = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(None) if begin.elapsed() < END_MAX => std::thread::sleep(Duration::from_millis(5)),
                Ok(status) => break status,
                Err(_) => break None,
            }
        };
        if !status.is_some_and(|status| status.success()) {
            let _ = child.kill();
            let _ = child.wait();
            self.ledger.lock().fault(format!("{} got SIGTERM and ended with {status:?}", NAMES[node]));
        }
    }

    /// Whether all that should run do.
    pub(crate) fn look_after(&mut self) {
        for (node, child) in self.children.iter_mut().enumerate() {
            if let Some(running) = child
                && let Ok(Some(status)) = running.try_wait()
            {
                *child = None;
                let mut ledger = self.ledger.lock();
                ledger.ends(node);
                ledger.fault(format!("{} ended on its own: {status}", NAMES[node]));
            }
        }
    }

    pub(crate) fn look(&self, node: usize) -> Option<Look> {
        look(self.children[node].as_ref()?.id())
    }
}

/// Reads a node's log to its end: into a file, and what it says of links and of its own faults into the ledger.
fn follow(node: usize, life: u64, log: ChildStderr, mut file: File, ledger: &Shared) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let _ = file.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        let mut ledger = ledger.lock();
        if text.contains("panicked") {
            ledger.fault(format!("{}: {}", NAMES[node], text.trim_end()));
        }
        if let Some((_, link)) = text.split_once("link to ")
            && let Some((other, how)) = link.split_once(" is ")
            && let Some(other) = NAMES.iter().position(|name| *name == other)
            && ledger.life(node) == life
        {
            ledger.link_is(node, other, how.starts_with("up"));
        }
        drop(ledger);
        line.clear();
    }
}
