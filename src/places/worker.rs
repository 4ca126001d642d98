//! The fence around blocking work: [`Places`], its bounded queue and its one thread.
//!
//! Must not know what an answer holds. Invariants: every `done` is called exactly once, never under the lock; a query
//! waits only for those before it in the queue; dropping the handle ends the thread.
//!
//! More workers would be more threads in `work` on the same queue (each opens the file for itself); another source
//! would be another arm in `Answerer::answer`. Neither exists: 64 offline queries are answered in a few milliseconds.

use super::dat::{Dat, Scratch};
use super::error::PlacesError;
use super::render::{answer, error_json};
use super::{Query, Settings, Source};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Most queries that wait, by default: a client has one at a time, so this is 64 clients in the same few milliseconds.
/// 64 slots take 3 KB, taken at start.
pub const PLACES_QUEUE_MAX: usize = 64;

/// The worker's stack, as address space; only what is touched is memory. After opening the committed file, a log line
/// and 200 answers of 20 results over 50 km, x86-64 had touched 28 KB in a release build and 52 KB in a debug build (its
/// `Rss` in smaps: `Scratch`, the thread's own data and libc's frames included). Twice the larger and a bit, for what
/// `done` and a logger may need. All told the release process grew by 72 KB, with MALLOC_ARENA_MAX=1.
const STACK_BYTES: usize = 128 * 1024;

/// A file that cannot be opened is tried again after this long: soon enough after the operator has put it right, and
/// seldom enough that reading 4 MB to check a bad one is no load.
const REOPEN_AFTER: Duration = Duration::from_secs(10);

type Done = Box<dyn FnOnce(Vec<u8>) + Send>;

/// What has been asked of a [`Places`] since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Queries, whatever became of them.
    pub asked: u64,
    /// Queries answered by the error form since the queue was full.
    pub refused_queue_full: u64,
    /// Queries answered by the error form for any other reason.
    pub failed: u64,
}

/// The handle to nearby answers. Dropping it ends its thread; queries that still wait get the error form.
pub struct Places {
    shared: Arc<Shared>,
    source: Source,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    queue_max: usize,
}

struct State {
    queue: VecDeque<Job>,
    counters: Counters,
    is_stopping: bool,
    worker: Option<JoinHandle<()>>,
}

struct Job {
    query: Query,
    done: Done,
}

impl Places {
    /// Takes the queue's memory. Starts no thread and opens no file: a node that is never asked pays for neither.
    pub fn start(settings: Settings) -> Self {
        let Settings { source, queue_max } = settings;
        let state = State {
            queue: VecDeque::with_capacity(queue_max),
            counters: Counters::default(),
            is_stopping: false,
            worker: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new(), queue_max });
        Self { shared, source }
    }

    /// Asks; `done` gets the answer, JSON without a newline at its end: results, or the error form of
    /// [`error_json`](super::error_json).
    ///
    /// Never blocks (the lock is held for a push or a pop) and never panics. `done` is called exactly once: from the
    /// worker thread, or from within this call when the answer needs no file (no source, a query out of range, a full
    /// queue, no thread). It must not block, for others wait behind it, and must not panic.
    pub fn ask(&self, query: Query, done: impl FnOnce(Vec<u8>) + Send + 'static) {
        if let Err((error, done)) = self.enqueue(query, Box::new(done)) {
            done(error_form(&error));
        }
    }

    /// What has been asked so far.
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters
    }

    fn enqueue(&self, query: Query, done: Done) -> Result<(), (PlacesError, Done)> {
        let mut state = self.shared.lock();
        state.counters.asked += 1;
        let refusal = match (&self.source, query.check()) {
            (Source::Missing, _) => Some(PlacesError::NoSource),
            (_, Err(error)) => Some(error),
            (Source::Offline { .. }, Ok(())) => self.start_worker(&mut state).err(),
        };
        if let Some(error) = refusal {
            state.counters.failed += 1;
            return Err((error, done));
        }
        if state.queue.len() >= self.shared.queue_max {
            state.counters.refused_queue_full += 1;
            return Err((PlacesError::QueueFull(self.shared.queue_max), done));
        }
        state.queue.push_back(Job { query, done });
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Starts the thread unless it runs. One that could not be started is tried again at the next query.
    fn start_worker(&self, state: &mut State) -> Result<(), PlacesError> {
        if state.worker.is_some() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let mut answerer = Answerer { source: self.source.clone(), dat: None, failure: None };
        let thread = Builder::new().name("places".to_owned()).stack_size(STACK_BYTES);
        let worker = thread.spawn(move || shared.work(&mut answerer)).map_err(PlacesError::NoThread)?;
        state.worker = Some(worker);
        Ok(())
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let (waiting, worker) = {
            let mut state = self.shared.lock();
            state.is_stopping = true;
            state.counters.failed += state.queue.len() as u64;
            (std::mem::take(&mut state.queue), state.worker.take())
        };
        self.shared.wake.notify_all();
        for job in waiting {
            (job.done)(error_form(&PlacesError::Stopping));
        }
        // Joined, so that no `done` runs after the drop. A `done` that drops the handle itself cannot wait for itself.
        if let Some(worker) = worker
            && worker.thread().id() != std::thread::current().id()
        {
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// A panic cannot leave the state half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: answers until the handle is dropped. It waits without a time-out, so an idle node is not woken.
    fn work(&self, answerer: &mut Answerer) {
        let mut scratch = Scratch::new();
        while let Some(Job { query, done }) = self.next_job() {
            let json = answerer.answer(&query, &mut scratch).unwrap_or_else(|error| {
                self.lock().counters.failed += 1;
                error
            });
            done(json);
        }
    }

    /// Waits for a query; `None` when the handle is dropped.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.is_stopping {
                return None;
            }
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What the worker holds between queries.
struct Answerer {
    source: Source,
    /// The open file. Kept, so that a query costs no open and no checksum.
    dat: Option<Dat>,
    /// Why there is none, as the clients' answer, and when that was found.
    failure: Option<(Instant, Vec<u8>)>,
}

impl Answerer {
    /// The answer, or the error form when there is none.
    fn answer(&mut self, query: &Query, scratch: &mut Scratch) -> Result<Vec<u8>, Vec<u8>> {
        if let Some((at, form)) = &self.failure
            && at.elapsed() < REOPEN_AFTER
        {
            return Err(form.clone());
        }
        self.try_answer(query, scratch).map_err(|error| {
            let form = error_form(&error);
            if !matches!(error, PlacesError::BadQuery(_)) {
                log::warn!("{error}");
                // A file that failed is opened afresh: the card may be back, or the file made again.
                self.dat = None;
                self.failure = Some((Instant::now(), form.clone()));
            }
            form
        })
    }

    fn try_answer(&mut self, query: &Query, scratch: &mut Scratch) -> Result<Vec<u8>, PlacesError> {
        let Source::Offline { file } = &self.source else { return Err(PlacesError::NoSource) };
        if self.dat.is_none() {
            let dat = Dat::open(file)?;
            log::info!("places: {} places in {}", dat.places(), file.display());
            self.failure = None;
            self.dat = Some(dat);
        }
        self.dat.as_ref().map_or(Err(PlacesError::NoSource), |dat| answer(dat, query, scratch))
    }
}

fn error_form(error: &PlacesError) -> Vec<u8> {
    error_json(error.status(), &error.for_clients()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::encode::encode;
    use super::super::testing::{TempFile, some_places};
    use super::*;
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};

    const UCLA: Query =
        Query { latitude_deg: 34.06893, longitude_deg: -118.445127, radius_m: 10_000.0, items: 5 };

    fn offline(file: PathBuf, queue_max: usize) -> Places {
        Places::start(Settings { source: Source::Offline { file }, queue_max })
    }

    fn good_file() -> TempFile {
        TempFile::new(&encode(&mut some_places()).expect("in range").0)
    }

    fn ask(places: &Places, query: Query) -> Receiver<String> {
        let (sender, receiver) = channel();
        places.ask(query, move |json| {
            let _ = sender.send(String::from_utf8(json).expect("JSON is UTF-8"));
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
        assert_eq!(places.counters(), Counters { asked: 3, refused_queue_full: 0, failed: 0 });
    }

    #[test]
    fn no_source_and_bad_queries_are_answered_at_once_without_a_thread() {
        let missing = Places::start(Settings::new(Source::Missing));
        assert!(answered(&ask(&missing, UCLA)).contains("no places file"));
        let places = offline("/nowhere".into(), 8);
        let json = answered(&ask(&places, Query { radius_m: f64::NAN, ..UCLA }));
        assert!(json.contains("radius") && json.contains("INVALID_REQUEST"), "{json}");
        assert!(places.shared.lock().worker.is_none());
        assert_eq!(places.counters(), Counters { asked: 1, refused_queue_full: 0, failed: 1 });
    }

    #[test]
    fn a_file_that_fails_is_named_without_its_folders() {
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
        // The first query's `done` holds the worker until it is let go.
        let (let_go, held) = channel::<()>();
        let (begun, has_begun) = channel();
        places.ask(UCLA, move |_| {
            let _ = begun.send(());
            let _ = held.recv();
        });
        has_begun.recv().expect("the worker answers");
        let waiting = [ask(&places, UCLA), ask(&places, UCLA)];
        assert!(answered(&ask(&places, UCLA)).contains("2 queries are waiting"));
        drop(let_go);
        assert!(waiting.iter().all(|receiver| answered(receiver).contains("Westwood")));
        assert_eq!(places.counters(), Counters { asked: 4, refused_queue_full: 1, failed: 0 });
    }

    #[test]
    fn dropping_the_handle_answers_all_and_ends_the_thread() {
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
        places.ask(UCLA, move |_| {
            // Waits until the test has let go of the handle, so that this drop is the last.
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
