//! One node: a process, its log, and what can be done to it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;
use super::{PATIENCE, until, until_some};

/// The program under test. Tests of another package find it beside their own program: build it first, `cargo build`.
pub(crate) fn program() -> PathBuf {
    let built = || match option_env!("CARGO_BIN_EXE_herd") {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe().expect("this test has a path").with_file_name("../herd"),
    };
    std::env::var_os("HERD_BIN").map_or_else(built, PathBuf::from)
}

/// A command of the program under test, with nothing of this machine's settings.
pub(crate) fn command(descriptors: Option<u32>) -> Command {
    let mut command = match descriptors {
        None => Command::new(program()),
        Some(limit) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\"")).arg(program());
            shell
        }
    };
    command.env_remove("CREDENTIALS_DIRECTORY").env_remove("JOURNAL_STREAM").stdin(Stdio::null());
    // Whose nodes are to be asked how they are says where: see `runs_beside`.
    command.env_remove("RUNTIME_DIRECTORY").env("XDG_RUNTIME_DIR", "/dev/null");
    command.env_remove("STATE_DIRECTORY").env_remove("XDG_STATE_HOME");
    command
}

/// Has the nodes of this command make their control sockets beside their configuration, and keep there what they keep: in `state`.
pub(crate) fn runs_beside<'a>(command: &'a mut Command, map: &Path) -> &'a mut Command {
    let folder = map.parent().expect("a configuration is in a folder");
    command.env("XDG_RUNTIME_DIR", folder).env("XDG_STATE_HOME", folder.join("state"))
}

/// The lines that a process has written to its standard error.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Collects lines on a thread of its own until the other end is closed.
    pub(crate) fn follow(&self, from: impl std::io::Read + Send + 'static) {
        let lines = self.0.clone();
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.lock().expect("nobody panics with it").push(text);
                line.clear();
            }
        });
    }

    pub(crate) fn clear(&self) {
        self.0.lock().expect("nobody panics with it").clear();
    }

    pub(crate) fn count(&self, words: &str) -> usize {
        self.0.lock().expect("nobody panics with it").iter().filter(|line| line.contains(words)).count()
    }

    pub(crate) fn has(&self, words: &str) -> bool {
        self.count(words) > 0
    }

    pub(crate) fn wait_for(&self, words: &str) {
        until(&format!("the log says {words:?}"), || self.has(words));
    }

    pub(crate) fn last(&self, words: &str) -> Option<String> {
        self.0.lock().expect("nobody panics with it").iter().rfind(|line| line.contains(words)).cloned()
    }

    pub(crate) fn tail(&self) -> String {
        let lines = self.0.lock().expect("nobody panics with it");
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// How a node is started.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) map: PathBuf,
    pub(crate) log_level: &'static str,
    pub(crate) descriptors: Option<u32>,
    pub(crate) log_reader: LogReader,
}

/// Who reads the log of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogReader {
    /// Somebody who keeps up.
    Follows,
    /// Somebody who has stopped reading and is still there.
    Stalls,
    /// Nobody: the pipe is closed.
    Gone,
}

/// A node of a herd, running or not.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) clients: SocketAddr,
    pub(crate) links: SocketAddr,
    pub(crate) launch: Launch,
    pub(crate) log: Log,
    /// The log of a node whose reader stalls.
    unread_log: Option<ChildStderr>,
    child: Option<Child>,
}

impl Node {
    pub(crate) fn new(name: &'static str, clients: SocketAddr, links: SocketAddr, launch: Launch) -> Node {
        Node { name, clients, links, launch, log: Log::default(), unread_log: None, child: None }
    }

    /// Starts the process without waiting for it. The log begins anew.
    pub(crate) fn launch(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        self.log = Log::default();
        let mut command = command(self.launch.descriptors);
        command.args(["serve", self.name, "--log-level", self.launch.log_level, "--config"]);
        runs_beside(&mut command, &self.launch.map);
        command.arg(&self.launch.map).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let stderr = child.stderr.take().expect("it is a pipe");
        match self.launch.log_reader {
            LogReader::Follows => self.log.follow(stderr),
            LogReader::Stalls => self.unread_log = Some(stderr),
            LogReader::Gone => drop(stderr),
        }
        self.child = Some(child);
    }

    /// Whoever has stalled reads on.
    pub(crate) fn read_log_on(&mut self) {
        self.log.follow(self.unread_log.take().expect("its reader stalls"));
    }

    /// Waits until the node answers a line; `Err` with its log if it has ended instead.
    pub(crate) fn try_wait_until_it_serves(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let child = self.child.as_mut().expect("it was launched");
            if let Some(status) = child.try_wait().expect("it is our child") {
                self.child = None;
                // Its pipe is closed by now, and what it said will be read in a moment.
                until("the log of a node that ended", || !self.log.tail().is_empty());
                return Err(format!("{} ended with {status}: {}", self.name, self.log.tail()));
            }
            if answers(self.clients) {
                return Ok(());
            }
            assert!(begin.elapsed() < PATIENCE, "{} does not answer: {}", self.name, self.log.tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the process and waits until it serves clients.
    pub(crate) fn start(&mut self) {
        self.launch();
        self.try_wait_until_it_serves().unwrap_or_else(|why| panic!("{why}"));
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.clients)
    }

    /// The answer of one line to one command, on a connection of its own.
    pub(crate) fn ask(&self, line: &str) -> String {
        self.client().ask(line)
    }

    /// The AT line that this node holds for a client; `None` if it knows nothing of it.
    pub(crate) fn at(&self, id: &str) -> Option<String> {
        let (at, _) = self.client().whatsat(&format!("WHATSAT {id} 0 0"));
        (!at.starts_with("? ")).then_some(at)
    }

    /// Waits until the node holds this AT line.
    pub(crate) fn wait_for_at(&self, id: &str, at: &str) {
        until(&format!("{} holds {at}", self.name), || self.at(id).as_deref() == Some(at));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is our child");
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }

    /// Waits for the process to end on its own.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        until_some("the node ends", || child.try_wait().expect("it is our child"))
    }

    /// Whether the last that the log says of the link to this neighbour is that it is up.
    pub(crate) fn is_linked_to(&self, neighbour: &str) -> bool {
        let last = self.log.last(&format!("link to {neighbour} is "));
        last.is_some_and(|line| line.contains("is up"))
    }

    /// What `/proc` says of the process in this file, NUL and all.
    pub(crate) fn proc(&self, file: &str) -> Vec<u8> {
        let pid = self.child.as_ref().expect("it runs").id();
        std::fs::read(format!("/proc/{pid}/{file}")).expect("it is our child")
    }

    /// The process's threads at this moment.
    pub(crate) fn threads(&self) -> usize {
        let pid = self.child.as_ref().expect("it runs").id();
        std::fs::read_dir(format!("/proc/{pid}/task")).expect("it is our child").count()
    }

    /// Private memory in KiB: what would have to be swapped out, the program file not counted.
    pub(crate) fn anonymous_kib(&self) -> u64 {
        let pid = self.child.as_ref().expect("it runs").id();
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is our child");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("Linux says it");
        line.trim().trim_end_matches("kB").trim().parse().expect("it is a number")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log.tail());
        }
    }
}

/// Whether a node answers a blank line here.
pub(crate) fn answers(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else { return false };
    let limited = stream.set_read_timeout(Some(PATIENCE)).is_ok();
    let mut answer = [0; 3];
    let answered = stream.write_all(b"\n").and_then(|()| std::io::Read::read_exact(&mut stream, &mut answer));
    limited && answered.is_ok() && answer == *b"? \n"
}

/// The repository's places file.
pub(crate) fn places_file() -> PathBuf {
    // A package in a folder of the project uses this module as well.
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut files = folders.map(|folder| folder.join("data/places.dat"));
    files.find(|file| file.is_file()).expect("the project has a places file")
}
