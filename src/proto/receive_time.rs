//! The receive time of an update. It bounds the update's rank (see [`update`](super::update)).
//!
//! | this node's clock | receive time |
//! |---|---|
//! | trusted | this node's clock |
//! | not trusted, and some node of the herd has a trusted one | that node's clock, learned from its updates of the last minute |
//! | not trusted, and no node has a trusted one | this node's clock, but later than every rank that the node has seen |
//!
//! The last row is a hybrid logical clock (Kulkarni and others, "Logical Physical Clocks", 2014).
//!
//! The consequences for a client that sends a time ahead of the true time:
//! - If any node of the herd has a trusted clock, the update ranks by its arrival, to within a minute. The next
//!   update of that id replaces it.
//! - If no clock is trusted and all are right or behind, the same holds. This is normal for boards without a
//!   clock chip. An update that is ahead of every clock ranks just above all updates that the node has seen,
//!   and the next update ranks above it. The order is then the order of arrival.
//! - If no clock is trusted and one is ahead, a time up to that clock ranks unchanged. It holds the id for the
//!   lifetime of an entry, at most a day, and outranks other updates. No rank exceeds the clock that is
//!   farthest ahead.
//!
//! In each case, the updates of a client with correct times are ordered by these times.

use super::limits::LEARNED_CLOCK_NS_MAX;
use super::time::{Mono, Now, Timestamp};
use super::update::Sighting;

/// The time that this node has learned from updates.
#[derive(Debug)]
pub(super) struct ReceiveClock {
    /// The largest rank that the node has seen.
    newest: Timestamp,
    /// The time of a trusted clock of the herd at the start of this node's steady clock.
    trusted_start: Option<Timestamp>,
}

impl ReceiveClock {
    /// No update has been seen. All bytes are zero, so it fits a static.
    pub(super) const fn new() -> Self {
        ReceiveClock { newest: Timestamp(0), trusted_start: None }
    }

    /// The receive time of an update that a client sends now.
    pub(super) fn now(&self, now: &Now) -> Timestamp {
        if now.wall_is_trusted {
            return now.wall;
        }
        match self.trusted_start {
            Some(start) => {
                let learned = Timestamp(start.0.saturating_add(nanoseconds(now.mono)));
                let is_near = now.wall.0.saturating_sub(learned.0).saturating_abs() <= LEARNED_CLOCK_NS_MAX;
                if is_near { now.wall } else { learned }
            }
            None => now.wall.max(self.newest.next()),
        }
    }

    /// Learns from an update that the table has taken. Its origin heard it `age_s` seconds ago.
    pub(super) fn learn(&mut self, now: Mono, sighting: &Sighting, age_s: i32) {
        self.newest = self.newest.max(sighting.rank);
        // An error of the age can be as large as the age: a clock may have jumped while a board with a snapshot
        // was off.
        let age_ns = i64::from(age_s) * 1_000_000_000;
        if sighting.clock_was_trusted() && age_ns <= LEARNED_CLOCK_NS_MAX {
            let shows = sighting.heard.0.saturating_add(age_ns);
            let start = shows.saturating_sub(nanoseconds(now));
            // Ages are whole seconds, so samples differ by a few seconds. A much lower sample is from a clock
            // that was corrected.
            let is_better = self
                .trusted_start
                .is_none_or(|old| start > old.0 || old.0.saturating_sub(start) > LEARNED_CLOCK_NS_MAX);
            if is_better {
                self.trusted_start = Some(Timestamp(start));
            }
        }
    }

    /// Limits the learned state to present entries: their largest rank, and whether any has a trusted clock.
    pub(super) fn forget_beyond(&mut self, entries: impl Iterator<Item = (Timestamp, bool)>) {
        let none = (Timestamp(0), false);
        let (newest, has_trusted) = entries.fold(none, |(newest, has_trusted), (rank, is_trusted)| {
            (newest.max(rank), has_trusted | is_trusted)
        });
        self.newest = newest;
        self.trusted_start = self.trusted_start.filter(|_| has_trusted);
    }
}

fn nanoseconds(mono: Mono) -> i64 {
    i64::try_from(mono.0).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::tests::update;

    fn now(mono_s: u64, wall_s: i64, wall_is_trusted: bool) -> Now {
        Now { mono: Mono(mono_s * 1_000), wall: Timestamp(wall_s * 1_000_000_000), wall_is_trusted }
    }

    fn seconds(at: Timestamp) -> i64 {
        at.0 / 1_000_000_000
    }

    #[test]
    fn a_trusted_own_clock_is_the_receive_time() {
        let mut clock = ReceiveClock::new();
        clock.learn(Mono(0), &update("AT Hill +0.000000000 a +1+1 5000").sighting, 0);
        assert_eq!(clock.now(&now(9, 700, true)), Timestamp(700_000_000_000));
    }

    #[test]
    fn a_trusted_clock_of_another_node_is_learned() {
        let mut clock = ReceiveClock::new();
        // The origin heard it 10 s ago at 1,000 s. Its clock now shows 1,010 s, and this node has been up for
        // 30 s.
        clock.learn(Mono(30_000), &update("AT Hill +0.000000000 a +1+1 1000").sighting, 10);
        for (mono_s, wall_s, shows_s) in [
            (30, 5, 1_010),
            (40, 9_999, 1_020),
            // The node's own clock is close enough.
            (40, 1_003, 1_003),
            (40, 1_080, 1_080),
            (40, 1_081, 1_020),
        ] {
            assert_eq!(seconds(clock.now(&now(mono_s, wall_s, false))), shows_s, "{mono_s} {wall_s}");
        }
        // An older sample gives the same time minus a second. A sample of a corrected clock replaces the
        // learned time.
        clock.learn(Mono(40_000), &update("AT Hill +0.000000000 b +1+1 960").sighting, 59);
        assert_eq!(seconds(clock.now(&now(40, 0, false))), 1_020);
        // A sample older than a minute may be from a clock that jumped.
        clock.learn(Mono(40_000), &update("AT Hill +0.000000000 b +1+1 960").sighting, 61);
        assert_eq!(seconds(clock.now(&now(40, 0, false))), 1_020);
        clock.learn(Mono(40_000), &update("AT Hill +0.000000000 b +1+1 500").sighting, 0);
        assert_eq!(seconds(clock.now(&now(40, 0, false))), 500);
        clock.forget_beyond([(Timestamp(1), true)].into_iter());
        assert_eq!(seconds(clock.now(&now(40, 0, false))), 500);
        clock.forget_beyond([(Timestamp(1), false)].into_iter());
        assert_eq!(clock.now(&now(40, 0, false)), Timestamp(2));
    }

    #[test]
    fn without_a_trusted_clock_it_exceeds_all_ranks() {
        let mut clock = ReceiveClock::new();
        let seen = crate::update::Update::parse_ranked_line(
            b"4000000000 AT Hill -996.000000000 a +1+1 1000",
            &crate::update::tests::names(),
        );
        clock.learn(Mono(0), &seen.expect("a line").sighting, 0);
        assert_eq!(clock.now(&now(9, 3, false)), Timestamp(4_000_000_001));
        assert_eq!(clock.now(&now(9, 5, false)), Timestamp(5_000_000_000));
        clock.forget_beyond(core::iter::empty());
        assert_eq!(clock.now(&now(9, 3, false)), Timestamp(3_000_000_000));
    }
}
