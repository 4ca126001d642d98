//! Child processes that are kept running: started, started again when they die, and stopped together.
//!
//! Knows nothing of nodes: what is run is a [`Job`], so that tests run shell scripts. One thread a job, the *minder*,
//! starts the child, copies its standard error line by line, reaps it and waits out the back-off. Invariants:
//! - A child's standard input stays open as long as this process lives, and its other end is here alone (pipes are
//!   closed on exec). So a child that stops at the end of its input never outlives this process, however that ends.
//! - A child is signalled only under the lock under which it is reaped, so no signal ever reaches a stranger that got
//!   its number.
//! - Each child leads a process group of its own: Ctrl-C on the terminal reaches this process alone, which then stops
//!   the children, and does not take their ends for deaths.

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use rustix::process::{Pid, Signal, kill_process_group};

use super::output::Sink;

/// The stack of a minder, in bytes: it holds a buffer of 1 KB and starts processes. With 1,024 minders the default of
/// 2 MB would ask for 2 GB of addresses, more than a 32-bit board has.
const MINDER_STACK_BYTES: usize = 256 * 1024;

/// How often a child that has closed its standard error, and so is about to end, is asked whether it has.
const REAP_EVERY: Duration = Duration::from_millis(10);

/// A child to keep running.
pub(super) struct Job {
    /// How messages call it.
    pub(super) name: String,
    /// The program and its arguments; its standard streams are set here.
    pub(super) command: Command,
    /// What each start of the child finds on its standard input; less than a pipe holds, 4 KB on any system.
    pub(super) greeting: Vec<u8>,
    /// Where its standard error goes.
    pub(super) sink: Sink,
}

/// When a child is started again, and how long it has to stop.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// The wait before the first new start; doubles with each further one.
    pub(super) first_wait: Duration,
    /// The longest wait.
    pub(super) longest_wait: Duration,
    /// After a life as long as this the wait starts over.
    pub(super) forgiven_after: Duration,
    /// A child that ends by itself with status 1 or 2 within this time of its very first start cannot run at all.
    pub(super) startup: Duration,
    /// How long the children have to stop before they are killed.
    pub(super) stop_limit: Duration,
    /// The wait between the first starts, so that a thousand of them do not come at once.
    pub(super) start_every: Duration,
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

/// What the owner of the children has to act on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Somebody wants all to stop.
    Stop,
    /// This child cannot run, and is not started again: why, and its last line, which may be empty.
    CannotStart { name: String, why: String, last_line: String },
}

/// Children that are kept running until [`Herd::stop`], or until this process ends.
pub(super) struct Herd {
    shared: Arc<Shared>,
    minders: Vec<JoinHandle<()>>,
}

/// What the owner and the minders share.
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

/// A job's child, while there is one, and the pipe that holds it.
#[derive(Default)]
struct Slot {
    child: Option<Child>,
    stdin: Option<ChildStdin>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks leaves a half-made state behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Herd {
    /// Starts every job. `own` gets a line for each new start. `events` must have room for one event a job: a minder
    /// that had to wait for room could not be stopped.
    ///
    /// # Errors
    /// No thread could be had for a minder. Those that were started are stopped again.
    pub(super) fn start(
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

    /// Stops every child: closes its standard input and sends SIGTERM; kills it when the limit of the policy is over.
    /// Returns when all are gone.
    pub(super) fn stop(self) {
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
            shared.own.line(format!("{left} did not stop in time and will be killed").as_bytes());
            shared.signal_all(Signal::KILL);
        }
        for minder in self.minders {
            let _ = minder.join();
        }
    }
}

impl Shared {
    /// Waits, and gives true when that was cut short because all is to stop.
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
                // The child may be dead and not yet reaped; then there is nobody to hear it.
                let _ = kill_process_group(Pid::from_child(child), signal);
            }
        }
    }

    /// The life of a minder.
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
                // No room would mean more events than jobs, which the contract of `start` rules out.
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

    /// Starts the child, or gives `None` when all is to stop.
    fn spawn(&self, job: &mut Job, index: usize) -> io::Result<Option<ChildStderr>> {
        // `stop` says that it is stopping and only then goes through the slots: whoever has this lock and is not told to
        // stop will be seen by it.
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
            // A child that is dead already is found when it is reaped.
            let _ = stdin.write_all(&job.greeting);
        }
        Ok(stderr)
    }

    /// Waits for the end of a child that has closed its standard error. `None` if the system does not know it.
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

/// How a child ended, in a few words.
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
