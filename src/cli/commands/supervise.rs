//! A supervisor of child processes: starts them, restarts them when they exit, and stops them together.
//!
//! It does not know nodes: it runs a [`Job`], and tests run shell scripts. Each job has one thread, the *minder*. The
//! minder starts the child, copies its standard error line by line, reaps it and waits for the back-off. Invariants:
//! - Only this process holds the write end of a child's standard input (pipes are closed on exec). So a child that stops
//!   at the end of its input stops when this process ends, even by SIGKILL.
//! - One lock protects both signalling and reaping a child. So a signal never reaches another process that got the
//!   child's process number.
//! - Each child leads its own process group. Ctrl-C on the terminal reaches only this process, which then stops the
//!   children and does not restart them.

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::output::Sink;

/// The stack of a minder, in bytes: it holds a buffer of 1 KB and starts processes. With 1,024 minders the default of
/// 2 MB would ask for 2 GB of addresses, more than a 32-bit board has.
const MINDER_STACK_BYTES: usize = 256 * 1024;

/// How often the minder checks whether a child that closed its standard error has exited.
const REAP_EVERY: Duration = Duration::from_millis(10);

/// A child to run.
pub(in crate::cli) struct Job {
    /// Its name in messages.
    pub(in crate::cli) name: String,
    /// The program and its arguments; its standard streams are set here.
    pub(in crate::cli) command: Command,
    /// The first bytes of the child's standard input; shorter than a pipe's buffer, which is at least 4 KB.
    pub(in crate::cli) greeting: Zeroizing<String>,
    /// The destination of its standard error.
    pub(in crate::cli) sink: Sink,
}

/// The times of restarting and stopping.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Policy {
    /// The wait before the first restart. It doubles with each further restart.
    pub(in crate::cli) first_wait: Duration,
    /// The longest wait.
    pub(in crate::cli) longest_wait: Duration,
    /// After a run of this length, the wait is `first_wait` again.
    pub(in crate::cli) forgiven_after: Duration,
    /// A child that exits with status 1 or 2 within this time of its first start cannot run at all.
    pub(in crate::cli) startup: Duration,
    /// The time from SIGTERM to SIGKILL.
    pub(in crate::cli) stop_limit: Duration,
    /// The wait between first starts: a thousand simultaneous starts would overload the machine.
    pub(in crate::cli) start_every: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(10),
            forgiven_after: Duration::from_secs(60),
            startup: Duration::from_secs(2),
            stop_limit: Duration::from_secs(3),
            start_every: Duration::from_millis(10),
        }
    }
}

/// An event that the owner of the children must handle.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Event {
    /// The user stops all children.
    Stop,
    /// This child cannot run and is not restarted: the reason, and its last line, which may be empty.
    CannotStart { name: String, why: String, last_line: String },
}

/// Children that run until [`Herd::stop`], or until this process ends.
pub(in crate::cli) struct Herd {
    shared: Arc<Shared>,
    minders: Vec<JoinHandle<()>>,
}

/// State that the owner and the minders share.
struct Shared {
    policy: Policy,
    own: Sink,
    events: SyncSender<Event>,
    state: Mutex<State>,
    changed: Condvar,
    slots: Vec<Mutex<Slot>>,
}

struct State {
    is_stopping: bool,
    minders_left: usize,
}

/// A job's child, if it runs, and its standard input.
#[derive(Default)]
struct Slot {
    child: Option<Child>,
    stdin: Option<ChildStdin>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks can leave an inconsistent state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Herd {
    /// Starts every job. `own` gets a line for each new start. `events` must have room for one event a job: a minder
    /// that had to wait for room could not be stopped.
    ///
    /// # Errors
    /// The system starts no thread for a minder. The children that already run are stopped.
    pub(in crate::cli) fn start(
        jobs: Vec<Job>,
        policy: Policy,
        own: Sink,
        events: SyncSender<Event>,
    ) -> io::Result<Herd> {
        let slots = jobs.iter().map(|_| Mutex::default()).collect();
        let state = Mutex::new(State { is_stopping: false, minders_left: 0 });
        let shared = Arc::new(Shared { policy, own, events, state, changed: Condvar::new(), slots });
        let mut herd = Herd { shared: shared.clone(), minders: Vec::new() };
        for (index, job) in jobs.into_iter().enumerate() {
            if index > 0 && shared.sleeps(shared.policy.start_every) {
                break;
            }
            let shared = shared.clone();
            locked(&shared.state).minders_left += 1;
            let minder = thread::Builder::new().name(job.name.clone()).stack_size(MINDER_STACK_BYTES);
            let for_minder = shared.clone();
            match minder.spawn(move || for_minder.mind(job, index)) {
                Ok(handle) => herd.minders.push(handle),
                Err(error) => {
                    locked(&shared.state).minders_left -= 1;
                    herd.stop();
                    return Err(error);
                }
            }
        }
        Ok(herd)
    }

    /// Stops every child: closes its standard input and sends SIGTERM, and SIGKILL after the policy's limit.
    /// Returns when all have exited.
    pub(in crate::cli) fn stop(self) {
        let shared = &self.shared;
        locked(&shared.state).is_stopping = true;
        shared.changed.notify_all();
        shared.signal_all(Signal::TERM);
        let limit = shared.policy.stop_limit;
        let state = locked(&shared.state);
        let waited = shared.changed.wait_timeout_while(state, limit, |state| state.minders_left > 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let left = state.minders_left;
        drop(state);
        if left > 0 {
            shared.own.line(format!("{left} of the nodes did not stop in time; killing them").as_bytes());
            shared.signal_all(Signal::KILL);
        }
        for minder in self.minders {
            let _ = minder.join();
        }
    }
}

impl Shared {
    /// Waits for this time. Returns true, perhaps early, if all children must stop.
    fn sleeps(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(locked(&self.state), time, |state| !state.is_stopping);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_stopping
    }

    fn signal_all(&self, signal: Signal) {
        for slot in &self.slots {
            let mut slot = locked(slot);
            drop(slot.stdin.take());
            if let Some(child) = &slot.child {
                // The child may have exited but not been reaped; the signal then has no effect.
                let _ = kill_process_group(Pid::from_child(child), signal);
            }
        }
    }

    /// The thread of a minder.
    fn mind(&self, mut job: Job, index: usize) {
        self.keep_running(&mut job, index);
        locked(&self.state).minders_left -= 1;
        self.changed.notify_all();
    }

    fn keep_running(&self, job: &mut Job, index: usize) {
        let policy = &self.policy;
        let mut wait = policy.first_wait;
        let mut is_first = true;
        loop {
            let began = Instant::now();
            let (why, last_line, cannot_run) = match self.spawn(job, index) {
                Ok(None) => return,
                Ok(Some(stderr)) => {
                    let last_line = job.sink.copy_lines(stderr);
                    let status = self.reap(index);
                    let is_refusal = matches!(status.and_then(|status| status.code()), Some(1 | 2));
                    (described(status), last_line, is_refusal && began.elapsed() < policy.startup)
                }
                Err(error) => {
                    (format!("{}: {error}", job.command.get_program().display()), String::new(), true)
                }
            };
            if locked(&self.state).is_stopping {
                return;
            }
            if mem::take(&mut is_first) && cannot_run {
                // The channel has room: the caller of `start` guarantees it.
                let _ = self.events.try_send(Event::CannotStart { name: job.name.clone(), why, last_line });
                return;
            }
            if began.elapsed() >= policy.forgiven_after {
                wait = policy.first_wait;
            }
            let seconds = wait.as_secs_f64();
            self.own.line(format!("{} ended ({why}); starting it again in {seconds} s", job.name).as_bytes());
            if self.sleeps(wait) {
                return;
            }
            wait = (wait * 2).min(policy.longest_wait);
        }
    }

    /// Starts the child. Returns `None` if all children must stop.
    fn spawn(&self, job: &mut Job, index: usize) -> io::Result<Option<ChildStderr>> {
        // `stop` sets `is_stopping` before it locks the slots. So if the flag is not set under this lock, `stop` will
        // find this child.
        let mut slot = locked(&self.slots[index]);
        if locked(&self.state).is_stopping {
            return Ok(None);
        }
        let command =
            job.command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let stderr = child.stderr.take();
        slot.stdin = child.stdin.take();
        slot.child = Some(child);
        if let Some(stdin) = &mut slot.stdin {
            // If the child has exited already, `reap` finds out.
            let _ = stdin.write_all(job.greeting.as_bytes());
        }
        Ok(stderr)
    }

    /// Waits until a child that closed its standard error exits. `None` if its status is unknown.
    fn reap(&self, index: usize) -> Option<ExitStatus> {
        loop {
            let mut slot = locked(&self.slots[index]);
            let ended = match slot.child.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => None,
                Some(Ok(Some(status))) => Some(Some(status)),
                Some(Err(_)) | None => Some(None),
            };
            if let Some(status) = ended {
                *slot = Slot::default();
                return status;
            }
            drop(slot);
            thread::sleep(REAP_EVERY);
        }
    }
}

/// A child's exit status as text.
fn described(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("status {code}"),
        Some((None, Some(signal))) => format!("signal {signal}"),
        _ => "status unknown".to_owned(),
    }
}

#[cfg(test)]
#[path = "supervise_tests.rs"]
mod tests;
