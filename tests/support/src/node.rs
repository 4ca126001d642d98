//! One node: a process, its log, and what can be done to it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;
use super::process::{cpu_s, memory_kib};
use super::{PATIENCE, root, until, until_some};

/// The program under test.
pub fn program() -> PathBuf {
    std::env::var_os("HERD_BIN").map_or_else(|| built("herd"), PathBuf::from)
}

/// A program of the same build as this test or bench: Cargo puts it one folder above.
pub fn built(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("this program has a file");
    me.ancestors().nth(2).expect("it is two folders below").join(name)
}

/// A command of the program under test, with nothing of this machine's settings.
pub fn command(descriptors: Option<u32>) -> Command {
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
pub fn runs_beside<'a>(command: &'a mut Command, map: &Path) -> &'a mut Command {
    let folder = map.parent().expect("a configuration is in a folder");
    command.env("XDG_RUNTIME_DIR", folder).env("XDG_STATE_HOME", folder.join("state"))
}

/// What a program did: its status, its output, its messages.
pub fn ran(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program can be run");
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// The output of a program that does well and has no message.
pub fn printed(command: &mut Command) -> String {
    let (code, text, messages) = ran(command);
    assert_eq!((code, messages.as_str()), (Some(0), ""), "{command:?}: {text}");
    text
}

/// The lines that a process has written to its standard error. A line may be written and not yet here as long as the process
/// runs: a test that expects one waits for it.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    /// How many pipes are not read to their end.
    open: usize,
}

impl Log {
    /// Collects lines on a thread of its own until the other end is closed.
    pub fn follow(&self, from: impl std::io::Read + Send + 'static) {
        let log = self.clone();
        log.lock().open += 1;
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                log.lock().lines.push(text);
                line.clear();
            }
            log.lock().open -= 1;
        });
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().expect("no thread panics with the lock")
    }

    /// Forgets all lines.
    pub fn clear(&self) {
        self.lock().lines.clear();
    }

    /// Waits until all that processes wrote that have ended is here.
    pub fn wait_for_its_end(&self) {
        until("the log is read to its end", || self.lock().open == 0);
    }

    /// Lines with these words.
    pub fn count(&self, words: &str) -> usize {
        self.lock().lines.iter().filter(|line| line.contains(words)).count()
    }

    /// Whether there is a line with these words.
    pub fn has(&self, words: &str) -> bool {
        self.count(words) > 0
    }

    /// Waits for a line with these words.
    pub fn wait_for(&self, words: &str) {
        until(&format!("the log says {words:?}"), || self.has(words));
    }

    /// The last line with these words.
    pub fn last(&self, words: &str) -> Option<String> {
        self.lock().lines.iter().rfind(|line| line.contains(words)).cloned()
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// The last 60 lines.
    pub fn tail(&self) -> String {
        let lines = &self.lock().lines;
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// How a node is started.
#[derive(Clone)]
pub struct Launch {
    /// Its map file.
    pub map: PathBuf,
    /// From which level on it logs.
    pub log_level: &'static str,
    /// How many descriptors it may have.
    pub descriptors: Option<u32>,
    /// Further flags, and what is set in its environment.
    pub flags: Vec<&'static str>,
    /// See `flags`.
    pub environment: Vec<(&'static str, OsString)>,
    /// What reads its log.
    pub log_reader: LogReader,
    /// For a bench: what counts in its figures.
    pub measured: Option<Measured>,
}

/// How a node is started that is measured: nothing of the shell's environment counts as its memory.
#[derive(Clone, Default)]
pub struct Measured {
    /// Words before the program, such as `taskset -c 0`.
    pub words: Vec<&'static str>,
    /// All of its environment.
    pub environment: Vec<(&'static str, &'static str)>,
}

impl Measured {
    /// The command that starts the program.
    fn command(&self) -> Command {
        let mut command = match self.words.split_first() {
            None => Command::new(program()),
            Some((first, words)) => {
                let mut command = Command::new(first);
                command.args(words).arg(program());
                command
            }
        };
        let path = std::env::var_os("PATH").filter(|_| !self.words.is_empty());
        command.env_clear().envs(self.environment.iter().copied()).envs(path.map(|path| ("PATH", path)));
        command.stdin(Stdio::null());
        command
    }
}

/// The reader of a node's log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LogReader {
    /// A reader that keeps up.
    Follows,
    /// A reader that has stopped reading and has not closed the pipe.
    Stalls,
    /// No reader: the pipe is closed.
    Gone,
}

/// A node of a herd, running or not.
pub struct Node {
    /// Its name in the map.
    pub name: &'static str,
    /// Where it listens to clients.
    pub clients: SocketAddr,
    /// Where it listens to neighbours.
    pub links: SocketAddr,
    /// How it is started.
    pub launch: Launch,
    /// What it has logged since it was last started.
    pub log: Log,
    /// The log of a node whose reader stalls.
    unread_log: Option<ChildStderr>,
    child: Option<Child>,
}

impl Node {
    /// A node that does not run yet.
    pub fn new(name: &'static str, clients: SocketAddr, links: SocketAddr, launch: Launch) -> Node {
        Node { name, clients, links, launch, log: Log::default(), unread_log: None, child: None }
    }

    /// Starts the process without waiting for it. The log begins anew.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        self.log = Log::default();
        let mut command = match &self.launch.measured {
            Some(measured) => measured.command(),
            None => command(self.launch.descriptors),
        };
        command.args(["serve", self.name, "--log-level", self.launch.log_level, "--config"]);
        runs_beside(&mut command, &self.launch.map).envs(self.launch.environment.iter().cloned());
        let is_measured = self.launch.measured.is_some();
        let log = if is_measured { Stdio::null() } else { Stdio::piped() };
        command.arg(&self.launch.map).args(&self.launch.flags).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().expect("the program can be run");
        match (child.stderr.take(), self.launch.log_reader) {
            (Some(stderr), LogReader::Follows) => self.log.follow(stderr),
            (Some(stderr), LogReader::Stalls) => self.unread_log = Some(stderr),
            (None, _) | (_, LogReader::Gone) => {}
        }
        self.child = Some(child);
    }

    /// The stalled reader reads on.
    pub fn read_log_on(&mut self) {
        self.log.follow(self.unread_log.take().expect("its reader stalls"));
    }

    /// Waits until the node answers a line; `Err` with its log if it has ended instead.
    pub fn try_wait_until_it_serves(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let child = self.child.as_mut().expect("it was launched");
            if let Some(status) = child.try_wait().expect("it is our child") {
                self.child = None;
                // Its pipe is closed by now, and the log is read to its end in a moment.
                let has_log = self.launch.measured.is_none();
                until("the log of a node that ended", || !has_log || !self.log.tail().is_empty());
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
    pub fn start(&mut self) {
        self.launch();
        self.try_wait_until_it_serves().unwrap_or_else(|why| panic!("{why}"));
    }

    /// Whether its process was started and not ended by the test.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// A client of its own.
    pub fn client(&self) -> Client {
        Client::connect(self.clients)
    }

    /// The answer of one line to one command, on a connection of its own.
    pub fn ask(&self, line: &str) -> String {
        self.client().ask(line)
    }

    /// The AT line that this node holds for a client; `None` if it knows nothing of it.
    pub fn at(&self, id: &str) -> Option<String> {
        let (at, _) = self.client().whatsat(&format!("WHATSAT {id} 0 0"));
        (!at.starts_with("? ")).then_some(at)
    }

    /// Waits until the node holds this AT line.
    pub fn wait_for_at(&self, id: &str, at: &str) {
        until(&format!("{} holds {at}", self.name), || self.at(id).as_deref() == Some(at));
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is our child");
    }

    /// Lets the process read its configuration again, and waits until it has.
    pub fn reload(&self) {
        let before = self.log.count("configuration reloaded");
        self.signal(Signal::HUP);
        until("it has read its configuration", || self.log.count("configuration reloaded") > before);
    }

    /// Ends the process as a power cut would. Its log is whole then.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        self.log.wait_for_its_end();
    }

    /// Ends the process as a power cut would, and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Waits for the process to end on its own. Its log is whole then.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let status = until_some("the node ends", || child.try_wait().expect("it is our child"));
        self.log.wait_for_its_end();
        status
    }

    /// Whether the last that the log says of the link to this neighbour is that it is up.
    pub fn is_linked_to(&self, neighbour: &str) -> bool {
        let last = self.log.last(&format!("link to {neighbour} is "));
        last.is_some_and(|line| line.contains("is up"))
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What `/proc` says of the process in this file, NUL and all.
    pub fn proc(&self, file: &str) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/{file}", self.pid())).expect("it is our child")
    }

    /// The process's threads at this moment.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it is our child").count()
    }

    /// Private memory in KiB: what would have to be swapped out, the program file not counted. Of a node without keys: one
    /// that has keys shows it to root alone, and in a container not even to root.
    pub fn anonymous_kib(&self) -> u64 {
        memory_kib(self.pid(), "Anonymous").expect("it is our child")
    }

    /// Seconds on a processor, of all threads.
    pub fn cpu_s(&self) -> f64 {
        cpu_s(self.pid())
    }

    /// How much more private memory it has than before, in KiB. Under an emulator, which translates more code as the node reaches it,
    /// what that may take is left out.
    pub fn grown_kib(&self, before_kib: u64) -> u64 {
        const EMULATOR_KIB: u64 = 4 * 1024;
        let is_emulated =
            std::env::var_os("HERD_BIN").is_some_and(|bin| Path::new(&bin).ends_with("emulated"));
        let left_out_kib = if is_emulated { EMULATOR_KIB } else { 0 };
        self.anonymous_kib().saturating_sub(before_kib + left_out_kib)
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
pub fn answers(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else { return false };
    let limited = stream.set_read_timeout(Some(PATIENCE)).is_ok();
    let mut answer = [0; 3];
    let answered = stream.write_all(b"\n").and_then(|()| std::io::Read::read_exact(&mut stream, &mut answer));
    limited && answered.is_ok() && answer == *b"? \n"
}

/// Whether there is a second core, for the clients of a node that is measured.
pub fn has_two_cores() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

/// The repository's places file.
pub fn places_file() -> PathBuf {
    root().join("data/places.dat")
}
