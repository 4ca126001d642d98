//! Answers one query: from the source, or from the fallback when the source cannot answer.
//!
//! This module does not know threads or queues. Several workers use one engine at once. Invariants: the node forwards or
//! caches an upstream's answer only when it is whole. No lock is held while an upstream is asked. The log gets a failure
//! when it begins, changes and ends, not for each query.

use crate::places::Query;
use crate::places::error::PlacesError;
use crate::places::file::offline::Offline;
use crate::places::file::render::{error_form, error_json};
use crate::places::file::towns::{Rectangle, Town};
use crate::places::health::source_word;
use crate::places::pool::cache::Shelf;
use crate::places::settings::{Settings, Source};
use crate::places::upstream::Upstream;
use crate::places::upstream::breaker::{Admission, Breaker};
use crate::places::upstream::failure::{Failure, Phase};
use crate::places::upstream::meter::Meter;
use crate::places::upstream::refusal::Refusal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A query with less time left than this is not begun, because no upstream answers in that time.
const LEFT_MIN: Duration = Duration::from_millis(20);

/// The log repeats an ongoing failure after this time, so that a recent part of the log shows it.
const LOG_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// The sources, and their state between queries.
pub(crate) struct Engine {
    settings: Settings,
    upstream: Mutex<Option<Arc<Upstream>>>,
    /// The source itself, or its fallback.
    offline: Option<Mutex<Offline>>,
    breaker: Mutex<Breaker>,
    meter: Mutex<Meter>,
    shelf: Option<Shelf>,
    /// The failure logged last, and when.
    last_logged: Mutex<Option<(String, Instant)>>,
}

/// An answer and its origin.
pub(crate) enum Answer {
    /// From the source.
    Whole(Vec<u8>),
    /// From the fallback.
    Fallback(Vec<u8>),
    /// The error form.
    Failed(Vec<u8>),
}

impl Engine {
    /// Does not open or read anything.
    pub(crate) fn new(settings: Settings) -> Self {
        let (file, cache_s) = match &settings.source {
            Source::Offline { file } => (Some(file.clone()), 0),
            Source::Missing => (None, 0),
            Source::Google(_) | Source::GoogleLegacy(_) => (settings.fallback.clone(), settings.cache_s),
        };
        Self {
            upstream: Mutex::new(None),
            offline: file.map(|file| Mutex::new(Offline::new(file))),
            breaker: Mutex::new(Breaker::new(Duration::from_millis(settings.pause_ms))),
            meter: Mutex::new(Meter::new(settings.queries_per_minute)),
            shelf: Shelf::new(cache_s),
            last_logged: Mutex::new(None),
            settings,
        }
    }

    /// Whether answers come from a server and so can be slow.
    pub(crate) fn is_online(&self) -> bool {
        matches!(self.settings.source, Source::Google(_) | Source::GoogleLegacy(_))
    }

    /// The source in one word, for the status.
    pub(crate) fn source_word(&self) -> &'static str {
        source_word(&self.settings.source)
    }

    /// The rest of the pause in seconds, and the failure logged last with its age in seconds.
    pub(crate) fn troubles(&self) -> (Option<u64>, Option<(String, u64)>) {
        let paused_s = lock(&self.breaker).paused_for_s(Instant::now());
        let last_logged =
            lock(&self.last_logged).as_ref().map(|(words, at)| (words.clone(), at.elapsed().as_secs()));
        (paused_s, last_logged)
    }

    /// Whether there is anything to ask.
    pub(crate) fn has_source(&self) -> bool {
        self.settings.source != Source::Missing
    }

    /// The cached answer to `query`.
    pub(crate) fn cached(&self, query: &Query) -> Option<Vec<u8>> {
        self.shelf.as_ref()?.get(query)
    }

    /// Answers `query`. An upstream has until `deadline`.
    pub(crate) fn answer(&self, query: &Query, deadline: Instant) -> Answer {
        if !self.is_online() {
            let answer = self.offline_answer(query, None);
            return answer
                .map_or_else(|| Answer::Failed(error_form(&PlacesError::NoSource)), whole_or_failed);
        }
        match self.ask_upstream(query, deadline) {
            Ok(body) => {
                if let Some(shelf) = &self.shelf {
                    shelf.put(query, &body);
                }
                Answer::Whole(body)
            }
            Err(refusal) => self.fall_back(query, refusal),
        }
    }

    /// Whether a query can be answered without the upstream.
    pub(crate) fn has_fallback(&self) -> bool {
        self.is_online() && self.offline.is_some()
    }

    /// Answers from the fallback, because too many queries wait for the upstream.
    pub(crate) fn answer_hurried(&self, query: &Query) -> Answer {
        self.fall_back(query, Failure::TooMany.into())
    }

    /// The fallback's answer with the cause in it. The error form without a fallback.
    fn fall_back(&self, query: &Query, refusal: Refusal) -> Answer {
        let Refusal { failure, status, text } = refusal;
        if let Some(Ok(answer)) = self.offline_answer(query, Some(&failure)) {
            return Answer::Fallback(answer);
        }
        let error = PlacesError::Upstream(failure);
        Answer::Failed(text.unwrap_or_else(|| {
            error_json(status.as_deref().unwrap_or(error.status()), &error.for_clients()).into_bytes()
        }))
    }

    fn offline_answer(&self, query: &Query, because: Option<&Failure>) -> Option<Result<Vec<u8>, Vec<u8>>> {
        let mut offline = lock(self.offline.as_ref()?);
        let info = because.map(|failure| format!("places: answered from {}; {failure}", offline.name()));
        Some(offline.answer(query, info.as_deref()))
    }

    /// The towns of a rectangle, from the places file. `None` without a file, or if it cannot be read.
    pub(crate) fn towns(&self, area: &Rectangle) -> Option<Vec<Town>> {
        lock(self.offline.as_ref()?).towns(area).ok()
    }

    /// Whether there is a places file.
    pub(crate) fn has_file(&self) -> bool {
        self.offline.is_some()
    }

    fn ask_upstream(&self, query: &Query, deadline: Instant) -> Result<Vec<u8>, Refusal> {
        let upstream = self.upstream().inspect_err(|failure| self.log_failure(failure))?;
        if deadline.saturating_duration_since(Instant::now()) < LEFT_MIN {
            let failure = Failure::TimedOut(Phase::Queue);
            log::debug!("places: {failure}");
            return Err(failure.into());
        }
        let admission = self.admit()?;
        let answer = upstream.ask(query, deadline, &|| self.count_query().is_ok());
        self.learn(admission, answer.as_ref().err().map(|refusal| &refusal.failure));
        answer
    }

    /// Counts a request to the upstream.
    ///
    /// # Errors
    /// The limit of requests per minute, if it is reached.
    fn count_query(&self) -> Result<(), u32> {
        let (now, mut meter) = (Instant::now(), lock(&self.meter));
        meter.check(now).map(|()| meter.count(now))
    }

    /// Whether the node may ask the upstream now. Counts the query if so.
    fn admit(&self) -> Result<Admission, Refusal> {
        let (now, mut meter) = (Instant::now(), lock(&self.meter));
        if let Err(per_minute) = meter.check(now) {
            let failure = Failure::OverRate(per_minute);
            self.log_failure(&failure);
            return Err(failure.into());
        }
        let admission = lock(&self.breaker).admit(now).map_err(|(failure, status)| {
            log::debug!("places: {failure}");
            Refusal { failure, status: Some(status.to_owned()), text: None }
        })?;
        meter.count(now);
        Ok(admission)
    }

    /// Records the result of a call.
    fn learn(&self, admission: Admission, failure: Option<&Failure>) {
        let Some(failure) = failure.filter(|failure| failure.is_upstreams()) else {
            // A refused query is the client's error, so it is not a warning.
            if let Some(failure) = failure {
                log::debug!("places: {failure}");
            }
            // An upstream that refuses a query works, so this ends a row of failures.
            if lock(&self.breaker).succeeded() && lock(&self.last_logged).take().is_some() {
                log::info!("places: the upstream answers again");
            }
            return;
        };
        self.log_failure(failure);
        if lock(&self.breaker).failed(admission, failure, Instant::now()) {
            let pause_ms = self.settings.pause_ms;
            log::debug!("places: repeated failures; the node does not ask the upstream for {pause_ms} ms");
        }
    }

    /// Logs a failure unless it was also the last one logged.
    fn log_failure(&self, failure: &Failure) {
        let words = failure.to_string();
        let mut last_logged = lock(&self.last_logged);
        if last_logged.as_ref().is_some_and(|(last, at)| *last == words && at.elapsed() < LOG_AGAIN_AFTER) {
            return;
        }
        log::warn!("places: {words}");
        *last_logged = Some((words, Instant::now()));
    }

    /// The upstream. The first query makes it, and so does the next query after [`Engine::cool_down`].
    fn upstream(&self) -> Result<Arc<Upstream>, Failure> {
        let mut upstream = lock(&self.upstream);
        if let Some(upstream) = upstream.as_ref() {
            return Ok(Arc::clone(upstream));
        }
        let made = Arc::new(Upstream::new(&self.settings)?);
        *upstream = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Whether [`Engine::cool_down`] would free memory.
    pub(crate) fn is_warm(&self) -> bool {
        lock(&self.upstream).is_some()
    }

    /// Closes connections and frees the memory of TLS: an idle node saves 300 KB.
    pub(crate) fn cool_down(&self) {
        lock(&self.upstream).take();
    }

    /// Ends calls in flight as far as another thread can.
    pub(crate) fn stop(&self) {
        if let Some(upstream) = lock(&self.upstream).take() {
            upstream.stop();
        }
    }
}

fn whole_or_failed(answer: Result<Vec<u8>, Vec<u8>>) -> Answer {
    answer.map_or_else(Answer::Failed, Answer::Whole)
}

/// Ignores poison: each critical section leaves its data valid even if it panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
