//! Limits the rate of queries to an upstream that costs money, to a number in any 60 seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Highest limit. Each query takes 16 bytes for a minute.
pub const QUERIES_PER_MINUTE_MAX: u32 = 6_000;

const MINUTE: Duration = Duration::from_secs(60);

/// The queries of the last minute, and the limit. `None` means unlimited.
#[derive(Debug)]
pub(crate) struct Meter {
    per_minute: Option<u32>,
    made: VecDeque<Instant>,
}

impl Meter {
    pub(crate) fn new(per_minute: Option<u32>) -> Self {
        Meter { per_minute, made: VecDeque::new() }
    }

    /// Whether the caller may send a query now.
    ///
    /// # Errors
    /// The limit, if it is reached.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), u32> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        while self.made.front().is_some_and(|made| now.saturating_duration_since(*made) >= MINUTE) {
            self.made.pop_front();
        }
        if self.made.len() >= per_minute as usize { Err(per_minute) } else { Ok(()) }
    }

    /// Counts a query at `now`.
    pub(crate) fn count(&mut self, now: Instant) {
        if self.per_minute.is_some() {
            self.made.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_has_more_than_allowed() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let take = |meter: &mut Meter, s| meter.check(at(s)).map(|()| meter.count(at(s)));
        let mut meter = Meter::new(Some(2));
        assert_eq!(take(&mut meter, 0), Ok(()));
        assert_eq!(take(&mut meter, 59), Ok(()));
        assert_eq!(take(&mut meter, 59), Err(2));
        assert_eq!(take(&mut meter, 60), Ok(()), "the first is a minute old");
        assert_eq!(take(&mut meter, 118), Err(2), "two within the last minute");
        assert_eq!(take(&mut meter, 119), Ok(()));
        let mut free = Meter::new(None);
        assert!((0..10_000).all(|_| take(&mut free, 0).is_ok()));
        assert!(free.made.is_empty());
    }
}
