//! Stops queries to a failing upstream for a while, so that each query does not wait for a time-out.
//!
//! Plain state with the time as an argument. After [`BREAKER_FAILURES`] failures in a row, a pause begins and the breaker
//! refuses queries. After the pause it admits one query, the probe. The probe's success ends the pause for all queries; its
//! failure begins another pause. Queries admitted before the pause may end within it. Their success also ends the pause;
//! their failure changes nothing. Invariant: [`Breaker::succeeded`] or [`Breaker::failed`] follows every admission, so a
//! probe cannot be lost.

use crate::places::upstream::failure::Failure;
use std::time::{Duration, Instant};

/// Failures in a row that begin a pause.
pub const BREAKER_FAILURES: u32 = 3;

pub(crate) struct Breaker {
    pause: Duration,
    /// Failures in a row that count.
    failures: u32,
    /// The end of the current pause.
    paused_until: Option<Instant>,
    is_probing: bool,
    last: Option<Failure>,
}

/// A permission to ask the upstream. The caller returns it with the result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    is_probe: bool,
}

impl Breaker {
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, failures: 0, paused_until: None, is_probing: false, last: None }
    }

    /// Whether the caller may ask the upstream.
    ///
    /// # Errors
    /// The refusal for the client, and the status word of the failure that began the pause.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Admission, (Failure, &'static str)> {
        let Some(until) = self.paused_until else { return Ok(Admission { is_probe: false }) };
        if now >= until && !self.is_probing {
            self.is_probing = true;
            return Ok(Admission { is_probe: true });
        }
        // Rounded up: a message "in 0 s" during a probe would be wrong.
        let seconds = until.saturating_duration_since(now).as_secs() + 1;
        let (words, status) = self
            .last
            .as_ref()
            .map_or((String::new(), "UNKNOWN_ERROR"), |last| (last.to_string(), last.status()));
        Err((Failure::Paused(words, seconds), status))
    }

    /// Rest of the pause in seconds.
    pub(crate) fn paused_for_s(&self, now: Instant) -> Option<u64> {
        self.paused_until.and_then(|until| seconds_until(until, now))
    }

    /// Records an answer of the upstream. Returns whether it ends a row of failures.
    pub(crate) fn succeeded(&mut self) -> bool {
        let had_failed = self.failures > 0;
        *self = Self::new(self.pause);
        had_failed
    }

    /// Records a failure at `now`. Returns whether a pause begins.
    pub(crate) fn failed(&mut self, admission: Admission, failure: &Failure, now: Instant) -> bool {
        if self.paused_until.is_some() && !admission.is_probe {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        self.last = Some(failure.clone());
        self.is_probing = false;
        let begins = self.failures >= BREAKER_FAILURES;
        if begins {
            self.paused_until = Some(now + self.pause);
        }
        begins
    }
}

/// Whole seconds from `now` until `at`, rounded up. `None` if `at` has passed.
fn seconds_until(at: Instant, now: Instant) -> Option<u64> {
    at.checked_duration_since(now).map(|left| left.as_secs() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_pause_and_one_probe_decides() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut breaker = Breaker::new(Duration::from_secs(30));
        let failure = Failure::Quota("x".to_owned());
        let early = breaker.admit(at(0)).expect("nothing has failed");
        for _ in 0..2 {
            let admission = breaker.admit(at(0)).expect("not three yet");
            assert!(!breaker.failed(admission, &failure, at(0)));
        }
        let third = breaker.admit(at(0)).expect("not three yet");
        assert!(breaker.failed(third, &failure, at(0)));
        let (paused, status) = breaker.admit(at(29)).expect_err("paused");
        assert_eq!((paused.to_string().contains("in 2 s"), status), (true, "OVER_QUERY_LIMIT"));
        let probe = breaker.admit(at(30)).expect("the probe");
        assert!(breaker.admit(at(30)).is_err(), "only one");
        assert!(!breaker.failed(early, &failure, at(30)), "it was let through before the pause");
        assert!(breaker.admit(at(30)).is_err(), "still only one");
        assert!(breaker.failed(probe, &failure, at(31)));
        assert!(breaker.admit(at(60)).is_err());
        assert!(breaker.admit(at(61)).is_ok(), "another probe");
        assert!(breaker.succeeded());
        assert!(breaker.admit(at(61)).is_ok() && breaker.admit(at(61)).is_ok());
        assert!(!breaker.succeeded());
    }
}
