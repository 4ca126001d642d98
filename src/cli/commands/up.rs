//! `herd up`: runs every node of a configuration on this machine, one process each.
//!
//! This process holds no node and no table, so it may use threads and block. A node gets its key and its standard input
//! from this process; that input ends when this process ends.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use log::LevelFilter;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::output::{PatientStderr, Sink, Target};
use super::supervise::{Event, Herd, Job, Policy};
use super::terminal::shell_word;
use crate::cli::Failure;
use crate::config::{Checked, Config, Keys};

/// The time limit of a probe that checks whether a node listens; all nodes are on this machine.
const PROBE_LIMIT: Duration = Duration::from_millis(100);

/// How often to probe the nodes that do not listen yet.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// The prefix of this process's own log lines.
const OWN_NAME: &str = "herd";

/// The flags of `herd up`.
pub(in crate::cli) struct Options {
    pub(in crate::cli) config: Option<PathBuf>,
    pub(in crate::cli) log_dir: Option<PathBuf>,
    pub(in crate::cli) log_level: LevelFilter,
}

/// Runs the herd until SIGINT or SIGTERM.
pub(in crate::cli) fn run(config: &Config, checked: &Checked, options: &Options) -> Result<(), Failure> {
    let could_not = |message: String| Failure::CouldNotRun(format!("up: {message}"));
    allow_many_files();
    let program = std::env::current_exe()
        .map_err(|error| could_not(format!("cannot find the path of this program: {error}")))?;
    let keys = match &checked.keys {
        Some(keys) => keys.clone(),
        None => Keys::fresh().map_err(|error| could_not(format!("cannot generate a key: {error}")))?,
    };
    let terminal: Target = Arc::new(Mutex::new(PatientStderr::default()));
    let width = checked.nodes.iter().map(|node| node.name.len()).max().unwrap_or(0).max(OWN_NAME.len());
    let own = Sink::named(OWN_NAME, width, terminal.clone());
    let mut jobs = Vec::new();
    for name in config.names() {
        let sink = match &options.log_dir {
            Some(folder) => Sink::plain(log_file(folder, name).map_err(could_not)?),
            None => Sink::named(name, width, terminal.clone()),
        };
        let greeting = keys.to_line();
        jobs.push(Job { name: name.to_owned(), command: command(&program, name, options), greeting, sink });
    }
    // Room for one event per node and one Ctrl-C.
    let (sender, events) = sync_channel(jobs.len() + 1);
    watch_signals(sender.clone()).map_err(|error| could_not(format!("cannot wait for signals: {error}")))?;
    let herd = Herd::start(jobs, Policy::default(), own.clone(), sender)
        .map_err(|error| could_not(format!("cannot start a thread: {error}")))?;
    let addresses = config.names().filter_map(|name| config.client_address_on_board(name)).collect();
    let outcome = watch(&events, addresses, || announce(config, options.config.as_deref()));
    if outcome.is_ok() {
        own.line(b"stopping");
    }
    herd.stop();
    outcome.map_err(could_not)
}

/// Raises the descriptor limit. Each node uses two or three here, and the usual limit is 1,024. A small herd runs even
/// if this fails.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// The command line of a node.
fn command(program: &Path, name: &str, options: &Options) -> Command {
    let mut command = Command::new(program);
    // The service manager, if there is one, knows this process alone.
    for variable in
        ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]
    {
        command.env_remove(variable);
    }
    command.arg("serve").arg("--supervised");
    command.args(["--log-level", &options.log_level.as_str().to_ascii_lowercase()]);
    if let Some(file) = &options.config {
        command.arg("--config").arg(file);
    }
    command.arg("--").arg(name);
    command
}

/// The log file of a node, opened for appending.
fn log_file(folder: &Path, name: &str) -> Result<Target, String> {
    let path = folder.join(format!("{name}.log"));
    let file =
        fs::create_dir_all(folder).and_then(|()| OpenOptions::new().append(true).create(true).open(&path));
    match file {
        Ok(file) => Ok(Arc::new(Mutex::new(file))),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Turns SIGINT and SIGTERM into events, on a separate thread.
fn watch_signals(events: SyncSender<Event>) -> io::Result<()> {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    // Blocks them in this thread and in threads that it starts. Child processes start with none blocked.
    signals.thread_block()?;
    let listener = thread::Builder::new().name("signals".to_owned());
    listener.spawn(move || {
        while signals.wait().is_ok() {
            // A full channel already holds an event that stops the herd.
            let _ = events.try_send(Event::Stop);
        }
    })?;
    Ok(())
}

/// Waits for an event. Meanwhile probes each node, and calls `announce` when all nodes accept connections.
fn watch(events: &Receiver<Event>, mut missing: Vec<SocketAddr>, announce: impl Fn()) -> Result<(), String> {
    let mut is_announced = false;
    loop {
        let event = if is_announced {
            events.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            events.recv_timeout(PROBE_EVERY)
        };
        match event {
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(Event::CannotStart { name, why, last_line }) => {
                let colon = if last_line.is_empty() { "" } else { ": " };
                return Err(format!("{name} cannot start ({why}){colon}{last_line}"));
            }
            Err(RecvTimeoutError::Timeout) => {
                // Stops at the first node that does not listen: one refused probe per turn is enough.
                while let Some(address) = missing.last()
                    && TcpStream::connect_timeout(address, PROBE_LIMIT).is_ok()
                {
                    missing.pop();
                }
                if missing.is_empty() {
                    announce();
                    is_announced = true;
                }
            }
        }
    }
}

/// Prints the next commands to type, with the herd's real names and addresses.
fn announce(config: &Config, file: Option<&Path>) {
    let program =
        std::env::args_os().next().map_or_else(|| "herd".to_owned(), |name| name.display().to_string());
    let flag =
        file.map(|file| format!(" --config {}", shell_word(&file.display().to_string()))).unwrap_or_default();
    // The herd continues even if standard output is closed.
    let _ = io::stdout().write_all(next_steps(config, &shell_word(&program), &flag).as_bytes());
}

fn next_steps(config: &Config, program: &str, flag: &str) -> String {
    let names: Vec<&str> = config.names().collect();
    let (Some(first), Some(last)) = (names.first(), names.last()) else { return String::new() };
    let address = config.client_address_on_board(first);
    let address = address.map(|address| format!("{} {}", address.ip(), address.port()));
    let page = config.page(first).filter(|_| cfg!(feature = "page"));
    let page = page.map(|page| format!("See the herd at {page}\n")).unwrap_or_default();
    let (herd, nodes) =
        if names.len() == 1 { ("", "1 node is") } else { ("all ", &*format!("{} nodes are", names.len())) };
    format!(
        "{herd}{nodes} up. {page}In another terminal:\n  \
         {program} send{flag} --to {first} \"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 $(date +%s)\"\n  \
         {program} send{flag} --to {last} \"WHATSAT kiwi.cs.ucla.edu 10 5\"\n  \
         nc {}        (then type lines)\nCtrl-C stops the herd.\n",
        address.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::net::TcpListener;

    #[test]
    fn what_to_type_next_is_real() {
        let text = next_steps(&config::builtin(), "herd", "");
        assert_eq!(
            text,
            "all 5 nodes are up. See the herd at http://127.0.0.1:8011/\nIn another terminal:\n  \
             herd send --to Hill \"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 $(date +%s)\"\n  \
             herd send --to Campbell \"WHATSAT kiwi.cs.ucla.edu 10 5\"\n  \
             nc 127.0.0.1 8001        (then type lines)\nCtrl-C stops the herd.\n"
        );
    }

    #[test]
    fn a_node_is_started_with_the_flags_of_the_herd() {
        let options = Options { config: Some("m.json".into()), log_dir: None, log_level: LevelFilter::Debug };
        let command = command(Path::new("/bin/herd"), "Hill", &options);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        assert_eq!(
            args,
            ["serve", "--supervised", "--log-level", "debug", "--config", "m.json", "--", "Hill"]
        );
    }

    #[test]
    fn the_herd_is_announced_once_when_all_nodes_listen() {
        let node = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = node.local_addr().expect("the listener is bound");
        let (sender, events) = sync_channel(1);
        let announced = std::cell::Cell::new(0);
        let outcome = watch(&events, vec![address, address], || {
            announced.set(announced.get() + 1);
            sender.send(Event::Stop).expect("`watch` receives");
        });
        assert_eq!((outcome, announced.get()), (Ok(()), 1));
    }

    #[test]
    fn a_node_that_cannot_start_ends_the_watch_with_its_last_line() {
        let (sender, events) = sync_channel(1);
        let (name, why, last_line) = ("Hill".to_owned(), "status 1".to_owned(), "port taken".to_owned());
        sender.send(Event::CannotStart { name, why, last_line }).expect("there is room");
        let outcome = watch(&events, Vec::new(), || panic!("nothing is up"));
        assert_eq!(outcome, Err("Hill cannot start (status 1): port taken".to_owned()));
    }
}
