//! Moves blocking work off the caller's thread: [`Places`], its bounded queue and its threads.
//!
//! This module must not know the content or the origin of an answer. Invariants:
//! - Every `done` is called exactly once, never under the lock, and never after the drop of the handle.
//! - Identical queries that wait or run are one flight, which asks once.
//! - At most `workers` threads run, and one after a time with little work. The first query starts the first thread.
//!
//! A query's time starts at [`Places::ask`]. Addresses take turns, and queries of one address begin in their order
//! ([`Lanes`]). Each thread ends its flight by the flight's deadline. A flight whose time is over is answered without a
//! call. So every query is answered in time, or within twice the time when several addresses overload an upstream.

use crate::places::counters::Counters;
use crate::places::error::PlacesError;
use crate::places::file::render::{error_form, tidy};
use crate::places::file::towns::{Rectangle, Town};
use crate::places::health::Health;
use crate::places::pool::engine::{Answer, Engine};
use crate::places::pool::lanes::Lanes;
use crate::places::settings::{PLACES_UPSTREAM_QUEUE_MAX, Settings, Source, WORKERS_MAX};
use crate::places::{Json, Places, Query};
use crate::threads::spawn;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId, current};
use std::time::{Duration, Instant};

/// Address space of a worker's stack; only touched pages use memory. Offline answers touch 28 KB in a release build and
/// 52 KB in a debug build (x86-64, `Rss` in smaps). TLS handshakes take more, in debug builds much more.
const STACK_BYTES: usize = 512 * 1024;

type Done = Box<dyn FnOnce(Json) + Send>;

pub(crate) struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    engine: Engine,
    queue_max: usize,
    workers_max: usize,
    timeout: Duration,
    idle: Duration,
}

struct State {
    /// Flights that wait for a worker.
    queue: Lanes<Flight>,
    /// Flights that do not wait for the upstream. They go first, because each takes only a read of the file.
    hurried: VecDeque<Flight>,
    /// Flights that workers handle now, each with its thread.
    running: Vec<(ThreadId, Flight)>,
    /// Waiting queries: all queries of the queue, and queries that joined a running flight.
    waiting: usize,
    /// Threads that have not ended.
    workers: Vec<JoinHandle<()>>,
    /// Threads without work.
    idle: usize,
    /// When all threads last had work.
    full_at: Instant,
    counters: Counters,
    is_stopping: bool,
}

/// A query, and the callbacks that wait for its answer.
struct Flight {
    query: Query,
    deadline: Instant,
    /// The fallback answers this flight.
    is_hurried: bool,
    dones: Vec<Done>,
    /// How many of `dones` count as waiting: all before the flight begins, then the ones that joined later.
    waiting: usize,
}

impl Places {
    /// Starts no thread, opens no file and connects nowhere, so a node without queries pays almost nothing. `workers` and
    /// `queue_max` of 0 count as 1.
    pub fn start(settings: Settings) -> Self {
        let queue_max = settings.queue_max.max(1);
        // One worker is enough: it reads a file faster than a second thread starts.
        let is_offline = matches!(settings.source, Source::Offline { .. } | Source::Missing);
        let workers_max = if is_offline { 1 } else { settings.workers.clamp(1, WORKERS_MAX) };
        let state = State {
            queue: Lanes::new(),
            hurried: VecDeque::new(),
            running: Vec::new(),
            waiting: 0,
            workers: Vec::new(),
            idle: 0,
            full_at: Instant::now(),
            counters: Counters::default(),
            is_stopping: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            wake: Condvar::new(),
            queue_max,
            workers_max,
            timeout: Duration::from_millis(settings.timeout_ms),
            idle: Duration::from_millis(settings.idle_ms),
            engine: Engine::new(settings),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Asks; `done` gets the answer: results, or the error form of [`error_json`](crate::places::error_json).
    ///
    /// This function does not block (the lock is held for a push or a pop) and does not panic. It calls `done` exactly once.
    /// A worker thread calls `done`, or this call does when the answer needs no file and no upstream: no source, a query out
    /// of range, a full queue, no thread, a cached answer. `done` must not block, because other queries wait, and must not
    /// panic.
    ///
    /// `lane` stands for the client's address: lanes take turns.
    pub fn ask(&self, query: Query, lane: u8, done: impl FnOnce(Json) + Send + 'static) {
        let cached = query.check().ok().and_then(|()| self.shared.engine.cached(&query));
        if let Some(answer) = cached {
            let mut state = self.shared.lock();
            state.counters.asked += 1;
            state.counters.from_cache += 1;
            drop(state);
            return done(tidied(answer));
        }
        if let Err((error, done)) = self.shared.enqueue(query, lane, Box::new(done)) {
            done(tidied(error_form(&error)));
        }
    }

    /// Finds the towns of a rectangle in the places file, on a thread of its own. `done` gets `None` if the file cannot be
    /// read. Returns whether there is a file and a thread; without them `done` is not called. The caller bounds the number
    /// of threads.
    pub fn towns(&self, area: Rectangle, done: impl FnOnce(Option<Vec<Town>>) + Send + 'static) -> bool {
        if !self.shared.engine.has_file() {
            return false;
        }
        let shared = Arc::clone(&self.shared);
        spawn("towns", STACK_BYTES, Box::new(move || done(shared.engine.towns(&area)))).is_ok()
    }

    /// The counters since the start.
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters
    }

    /// The state at this moment.
    #[must_use]
    pub fn health(&self) -> Health {
        let (paused_s, last_failure) = self.shared.engine.troubles();
        let state = self.shared.lock();
        Health {
            source: self.shared.engine.source_word(),
            waiting: state.waiting,
            queue_max: self.shared.queue_max,
            workers: state.workers.len(),
            paused_s,
            last_failure,
            counters: state.counters,
        }
    }

    /// The number of threads, and the number of threads without work.
    pub fn workers(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.workers.len(), state.idle)
    }
}

impl Drop for Places {
    /// Answers all waiting queries, queued or in flight, and ends the threads. The drop does not wait for a thread that answers
    /// one: a card may hang, and a reload drops the handle on the thread that serves clients. The engine stops a call of an
    /// upstream, or the call ends at its time limit; the answer is discarded.
    fn drop(&mut self) {
        let (unanswered, workers) = {
            let mut state = self.shared.lock();
            state.is_stopping = true;
            let mut unanswered: Vec<Flight> = state.queue.drain().collect();
            unanswered.extend(state.hurried.drain(..));
            let mut workers = std::mem::take(&mut state.workers);
            let running = std::mem::take(&mut state.running);
            // A thread whose handle is dropped is detached.
            workers.retain(|worker| running.iter().all(|(thread, _)| *thread != worker.thread().id()));
            unanswered.extend(running.into_iter().map(|(_, flight)| flight));
            state.counters.failed += unanswered.iter().map(|flight| flight.dones.len() as u64).sum::<u64>();
            (unanswered, workers)
        };
        self.shared.wake.notify_all();
        self.shared.engine.stop();
        let stopping = tidied(error_form(&PlacesError::Stopping));
        for done in unanswered.into_iter().flat_map(|flight| flight.dones) {
            done(stopping.clone());
        }
        // The join ensures that no `done` runs after the drop. A `done` that drops the handle cannot join its own thread.
        for worker in workers {
            if worker.thread().id() != current().id() {
                let _ = worker.join();
            }
        }
    }
}

impl Shared {
    /// Ignores poison: each critical section leaves the state valid even if it panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(self: &Arc<Self>, query: Query, lane: u8, done: Done) -> Result<(), (PlacesError, Done)> {
        let mut state = self.lock();
        state.counters.asked += 1;
        let refusal = if !self.engine.has_source() { Err(PlacesError::NoSource) } else { query.check() };
        if let Err(error) = refusal {
            state.counters.failed += 1;
            return Err((error, done));
        }
        if state.waiting >= self.queue_max {
            state.counters.refused_queue_full += 1;
            return Err((PlacesError::QueueFull(self.queue_max), done));
        }
        if let Some(flight) = state.flight(&query) {
            flight.dones.push(done);
            flight.waiting += 1;
            state.waiting += 1;
            state.counters.joined += 1;
            return Ok(());
        }
        if state.queue.len() + state.hurried.len() >= state.idle
            && let Err(error) = self.start_worker(&mut state)
        {
            state.counters.failed += 1;
            return Err((PlacesError::NoThread(error), done));
        }
        state.waiting += 1;
        let is_hurried =
            self.engine.has_fallback() && state.queue.has_its_share(lane, PLACES_UPSTREAM_QUEUE_MAX);
        let deadline = Instant::now() + self.timeout;
        let flight = Flight { query, deadline, is_hurried, dones: vec![done], waiting: 1 };
        match is_hurried {
            true => state.hurried.push_back(flight),
            false => state.queue.push(lane, flight),
        }
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Starts another thread if the limit allows it. A failed start is an error only when no thread runs, because a running
    /// thread also gets to the query.
    fn start_worker(self: &Arc<Self>, state: &mut State) -> Result<(), std::io::Error> {
        if state.workers.len() >= self.workers_max {
            return Ok(());
        }
        let shared = Arc::clone(self);
        state.full_at = Instant::now();
        match spawn("places", STACK_BYTES, Box::new(move || shared.work())) {
            Ok(worker) => state.workers.push(worker),
            Err(error) if state.workers.is_empty() => return Err(error),
            Err(error) => log::debug!("places: cannot start another worker thread: {error}"),
        }
        Ok(())
    }

    /// A worker thread: answers queries until it is idle for too long or the handle is dropped.
    fn work(&self) {
        let mut counts_as_idle = false;
        while let Some((query, deadline, is_hurried)) = self.next_flight(counts_as_idle) {
            let answer = match is_hurried {
                true => self.engine.answer_hurried(&query),
                false => self.engine.answer(&query, deadline),
            };
            counts_as_idle = self.land(answer);
        }
    }

    /// Waits for a flight and begins it. `None` when this thread must end.
    fn next_flight(&self, counts_as_idle: bool) -> Option<(Query, Instant, bool)> {
        let mut state = self.lock();
        state.idle -= usize::from(counts_as_idle);
        loop {
            if state.is_stopping {
                return None;
            }
            let hurried = state.hurried.pop_front();
            if let Some(mut flight) = hurried.or_else(|| state.queue.pop()) {
                state.waiting -= std::mem::take(&mut flight.waiting);
                let begun = (flight.query, flight.deadline, flight.is_hurried);
                state.running.push((current().id(), flight));
                if state.idle == 0 {
                    state.full_at = Instant::now();
                }
                return Some(begun);
            }
            let is_last = state.workers.len() <= 1;
            let left = self.idle.saturating_sub(state.full_at.elapsed());
            if left.is_zero() && !is_last {
                // The handle goes too: the drop does not wait for this thread, which makes no more calls.
                state.workers.retain(|worker| worker.thread().id() != current().id());
                return None;
            }
            if left.is_zero() && is_last && self.engine.is_warm() {
                drop(state);
                self.engine.cool_down();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            // The last thread waits without a time-out when there is nothing to free, so an idle node does not wake.
            state = if is_last && !self.engine.is_warm() {
                self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            };
            state.idle -= 1;
        }
    }

    /// Delivers the answer of this thread's flight. The flight is gone if the handle was dropped meanwhile.
    ///
    /// The thread counts as idle before the delivery, and the result reports that. A client that asks again at once then
    /// does not start another thread.
    fn land(&self, answer: Answer) -> bool {
        let mut state = self.lock();
        let running = state.running.iter().position(|(thread, _)| *thread == current().id());
        let Some((_, flight)) = running.map(|at| state.running.swap_remove(at)) else {
            return false;
        };
        state.idle += 1;
        state.waiting -= flight.waiting;
        let joined = flight.dones.len() as u64;
        let json = match answer {
            Answer::Whole(json) => json,
            Answer::Fallback(json) => {
                state.counters.from_fallback += joined;
                json
            }
            Answer::Failed(json) => {
                state.counters.failed += joined;
                json
            }
        };
        drop(state);
        let json = tidied(json);
        for done in flight.dones {
            done(json.clone());
        }
        true
    }
}

impl State {
    /// The flight of the same query, if it exists.
    fn flight(&mut self, query: &Query) -> Option<&mut Flight> {
        let bits = query.bits();
        let running = self.running.iter_mut().map(|(_, flight)| flight);
        let waiting = self.queue.iter_mut().chain(&mut self.hurried);
        running.chain(waiting).find(|flight| flight.query.bits() == bits)
    }
}

/// An answer for all that wait for it. An upstream's text may end in newlines.
fn tidied(mut json: Vec<u8>) -> Json {
    tidy(&mut json);
    Arc::new(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::file::encode::encode;
    use crate::places::testing::{TempFile, some_places};
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};

    const UCLA: Query =
        Query { latitude_deg: 34.06893, longitude_deg: -118.445127, radius_m: 10_000.0, items: 5 };

    fn offline(file: PathBuf, queue_max: usize) -> Places {
        Places::start(Settings { queue_max, ..Settings::new(Source::Offline { file }) })
    }

    fn good_file() -> TempFile {
        TempFile::new(&encode(&mut some_places()).expect("in range"))
    }

    fn ask(places: &Places, query: Query) -> Receiver<String> {
        let (sender, receiver) = channel();
        places.ask(query, 0, move |json| {
            let _ = sender.send(String::from_utf8(json.to_vec()).expect("JSON is UTF-8"));
        });
        receiver
    }

    fn answered(receiver: &Receiver<String>) -> String {
        let answer = receiver.recv().expect("done is called");
        assert!(receiver.recv().is_err(), "done is called once");
        answer
    }

    #[test]
    fn queries_are_answered_from_the_file() {
        let file = good_file();
        let places = offline(file.path().into(), 8);
        for _ in 0..3 {
            assert!(answered(&ask(&places, UCLA)).contains("Westwood"));
        }
        assert_eq!(places.counters(), Counters { asked: 3, ..Counters::default() });
    }

    #[test]
    fn queries_without_a_source_start_no_thread() {
        let missing = Places::start(Settings::new(Source::Missing));
        assert!(answered(&ask(&missing, UCLA)).contains("no places file"));
        let places = offline("/nowhere".into(), 8);
        let json = answered(&ask(&places, Query { radius_m: f64::NAN, ..UCLA }));
        assert!(json.contains("radius") && json.contains("INVALID_REQUEST"), "{json}");
        assert_eq!(places.workers(), (0, 0));
        assert_eq!(places.counters(), Counters { asked: 1, failed: 1, ..Counters::default() });
    }

    #[test]
    fn errors_name_the_file_without_folders() {
        let places = offline("/nowhere/at/all.dat".into(), 8);
        for _ in 0..2 {
            let json = answered(&ask(&places, UCLA));
            assert!(json.contains("cannot open all.dat") && json.contains("UNKNOWN_ERROR"), "{json}");
        }
        assert_eq!(places.counters().failed, 2);
    }

    #[test]
    fn a_full_queue_answers_at_once() {
        let file = good_file();
        let places = offline(file.path().into(), 2);
        // The first query's `done` blocks the worker until the test releases it.
        let (let_go, held) = channel::<()>();
        let (begun, has_begun) = channel();
        places.ask(UCLA, 0, move |_| {
            let _ = begun.send(());
            let _ = held.recv();
        });
        has_begun.recv().expect("the worker answers");
        let waiting = [ask(&places, UCLA), ask(&places, UCLA)];
        assert!(answered(&ask(&places, UCLA)).contains("2 queries are waiting"));
        drop(let_go);
        assert!(waiting.iter().all(|receiver| answered(receiver).contains("Westwood")));
        assert_eq!(
            places.counters(),
            Counters { asked: 4, refused_queue_full: 1, joined: 1, ..Counters::default() }
        );
    }

    #[test]
    fn drop_answers_all_and_ends_the_thread() {
        let file = good_file();
        let places = offline(file.path().into(), 64);
        let receivers: Vec<_> = (0..50).map(|_| ask(&places, UCLA)).collect();
        let shared = Arc::clone(&places.shared);
        drop(places);
        assert_eq!(Arc::strong_count(&shared), 1, "the thread holds its share until it ends");
        for receiver in receivers {
            let json = answered(&receiver);
            assert!(json.contains("Westwood") || json.contains("stopping"), "{json}");
        }
    }

    #[test]
    fn done_may_drop_the_handle() {
        let file = good_file();
        let places = Arc::new(offline(file.path().into(), 4));
        let own = Arc::clone(&places);
        let (sender, receiver) = channel();
        places.ask(UCLA, 0, move |_| {
            // Waits until the test has dropped its handle, so that this drop is the last.
            while Arc::strong_count(&own) > 1 {
                std::thread::yield_now();
            }
            drop(own);
            let _ = sender.send(());
        });
        drop(places);
        receiver.recv().expect("dropping from within does not hang");
    }
}
