//! `herd up` as a process, and the nodes that are its children.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::node::{command, runs_beside};
use super::{Herd, Log, hold, until, until_some};

/// A running `herd up`. Its end is its nodes' end, so nothing is left when this goes.
pub struct Up {
    child: Child,
    /// Its standard error: its own lines and the lines of the nodes.
    pub log: Log,
    /// Its standard output.
    pub printed: Log,
}

impl Up {
    /// Starts it on this configuration without waiting for anything.
    pub fn launch(map: &Path) -> Up {
        Up::launch_within(None, map)
    }

    /// The same; it and each node may have so many descriptors.
    pub fn launch_within(descriptors: Option<u32>, map: &Path) -> Up {
        let mut command = command(descriptors);
        runs_beside(&mut command, map);
        command.args(["up", "--config"]).arg(map).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let up = Log::default();
        let printed = Log::default();
        up.follow(child.stderr.take().expect("it is a pipe"));
        printed.follow(child.stdout.take().expect("it is a pipe"));
        Up { child, log: up, printed }
    }

    /// Starts it on the configuration of this herd, which has no process, and waits until it says what to type.
    pub fn start(herd: &Herd) -> Up {
        let up = Up::launch(herd.map("Hill"));
        up.printed.wait_for("Ctrl-C stops the herd.");
        up
    }

    /// The process of this node; `None` while there is none.
    pub fn pid_of(&self, name: &str) -> Option<i32> {
        let up = self.child.id();
        // A child is listed under the thread that started it.
        let threads = std::fs::read_dir(format!("/proc/{up}/task")).ok()?;
        let children = threads
            .flatten()
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        let pids: Vec<i32> = children
            .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            .collect();
        pids.into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.ends_with(format!("\0--\0{name}\0").as_bytes())
        })
    }

    /// Kills a node as a power cut would.
    pub fn kill_node(&self, name: &str) {
        let pid = self.pid_of(name).expect("it runs");
        kill_process(Pid::from_raw(pid).expect("a pid is not zero"), Signal::KILL)
            .expect("it is our child's child");
        until("there is another process", || self.pid_of(name).is_some_and(|other| other != pid));
    }

    /// Sends `herd up` itself a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our child");
    }

    /// Waits for its end, and for that of its nodes. What they printed is whole then.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let status = until_some("herd up ends", || self.child.try_wait().expect("it is our child"));
        self.log.wait_for_its_end();
        self.printed.wait_for_its_end();
        status
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- herd up printed\n{}\n--- its log\n{}", self.printed.tail(), self.log.tail());
        }
    }
}

/// Whether a process still runs; one that is dead and not yet reaped does not.
pub fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Whether another process could listen here at this moment.
pub fn is_free(address: SocketAddr) -> bool {
    // Bound and not listening: a copy of this in a process that another test starts at this moment disturbs no other process.
    hold(address).is_ok()
}
