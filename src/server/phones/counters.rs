//! What all requests of phones share: counters, and the one large buffer.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{Format, IGNORED, Ignored, IgnoredCounts, Rejected};

/// One part in so many of the time is for the decisions about large bodies: of clients, one line in a hundred may be late.
const LARGE_SHARE: u32 = 256;

/// But no longer than this, so a large body that waits gets the buffer.
const LARGE_PAUSE_MAX: Duration = Duration::from_secs(2);

/// What all requests of phones share.
#[derive(Debug, Default)]
pub(crate) struct Phones {
    pub(crate) counters: PhoneCounters,
    /// Whether a connection has the large buffer.
    large_is_taken: Cell<bool>,
    /// When the large buffer may be taken again.
    large_from: Cell<Option<Instant>>,
    /// Whether a request is being decided.
    is_deciding: Cell<bool>,
}

/// A right that one connection has, until this is dropped.
pub(crate) struct Turn<'a>(&'a Cell<bool>);

impl Phones {
    /// The right to the large buffer, if no connection has it.
    pub(crate) fn take_large(&self, now: Instant) -> Option<Turn<'_>> {
        let is_early = self.large_from.get().is_some_and(|from| now < from);
        (!is_early && !self.large_is_taken.replace(true)).then(|| Turn(&self.large_is_taken))
    }

    /// A large body took so long to decide: the next waits until that was one part in [`LARGE_SHARE`] of the time.
    pub(crate) fn count_large(&self, began: Instant, ended: Instant) {
        let pause = (ended - began) * (LARGE_SHARE - 1);
        self.large_from.set(Some(ended + pause.min(LARGE_PAUSE_MAX)));
    }

    /// The right to decide, if no other request has it.
    pub(crate) fn take_decision(&self) -> Option<Turn<'_>> {
        (!self.is_deciding.replace(true)).then(|| Turn(&self.is_deciding))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Counters of requests since the start.
#[derive(Debug, Default)]
pub struct PhoneCounters {
    updates: [Cell<u64>; FORMATS.len()],
    rejected: [Cell<u64>; REJECTED.len()],
    ignored: [Cell<u64>; IGNORED.len()],
}

/// The formats, in the order of [`Format`].
pub const FORMATS: [&str; 3] = ["owntracks", "traccar", "overland"];
/// The refusals, in the order of [`Rejected`].
pub const REJECTED: [&str; 5] = ["token", "browser", "large", "busy", "malformed"];

/// The values of [`PhoneCounters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhoneStats {
    /// Updates that the node took, by format.
    pub updates: [u64; FORMATS.len()],
    /// Requests that were refused, by reason.
    pub rejected: [u64; REJECTED.len()],
    /// Points that were not used, by reason.
    pub ignored: [u64; IGNORED.len()],
}

impl PhoneStats {
    /// Updates, points that were not used, and requests that were refused.
    #[must_use]
    pub fn sums(&self) -> [u64; 3] {
        [&self.updates[..], &self.ignored, &self.rejected].map(|counts| counts.iter().sum())
    }
}

impl PhoneCounters {
    /// Counts an update that the node took.
    pub fn count_update(&self, format: Format) {
        add(&self.updates[format as usize], 1);
    }

    /// Counts a refusal.
    pub fn count_rejected(&self, why: Rejected, times: u64) {
        add(&self.rejected[why as usize], times);
    }

    /// Counts points that were not used.
    pub fn count_ignored(&self, counts: IgnoredCounts) {
        self.ignored.iter().zip(counts.0).for_each(|(counter, count)| add(counter, count));
    }

    /// Counts an update that the node refused: its time is too far ahead.
    pub fn count_ahead(&self) {
        add(&self.ignored[Ignored::Time as usize], 1);
    }

    /// All values.
    #[must_use]
    pub fn stats(&self) -> PhoneStats {
        PhoneStats {
            updates: self.updates.each_ref().map(Cell::get),
            rejected: self.rejected.each_ref().map(Cell::get),
            ignored: self.ignored.each_ref().map(Cell::get),
        }
    }
}

fn add(counter: &Cell<u64>, times: u64) {
    counter.set(counter.get() + times);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_name() {
        let names =
            [Ignored::Json, Ignored::Id, Ignored::Position, Ignored::Time, Ignored::Type, Ignored::Encrypted]
                .map(|why| (format!("{why:?}").to_lowercase(), IGNORED[why as usize]));
        assert!(names.iter().all(|(name, shown)| name == shown), "{names:?}");
        let names =
            [Rejected::Token, Rejected::Browser, Rejected::Large, Rejected::Busy, Rejected::Malformed]
                .map(|why| (format!("{why:?}").to_lowercase(), REJECTED[why as usize]));
        assert!(names.iter().all(|(name, shown)| name == shown), "{names:?}");
        let names = [Format::OwnTracks, Format::Traccar, Format::Overland]
            .map(|format| (format!("{format:?}").to_lowercase(), FORMATS[format as usize]));
        assert!(names.iter().all(|(name, shown)| name == shown), "{names:?}");
    }

    #[test]
    fn a_right_is_one_connections() {
        let (phones, now) = (Phones::default(), Instant::now());
        let large = phones.take_large(now).expect("no connection has it");
        let decision = phones.take_decision().expect("no request is decided");
        for _ in 0..2 {
            assert!(phones.take_large(now).is_none() && phones.take_decision().is_none());
        }
        drop((large, decision));
        assert!(phones.take_decision().is_some() && phones.take_large(now).is_some());
        let ended = now + Duration::from_millis(1);
        phones.count_large(now, ended);
        assert!(phones.take_large(ended + Duration::from_millis(254)).is_none(), "it has a pause");
        assert!(phones.take_large(ended + Duration::from_millis(255)).is_some());
    }
}
