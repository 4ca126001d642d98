//! The pace of a neighbour: how much of what it sends costs this node work, and when the node reads on.
//!
//! A neighbour has a key, and still may be a stolen board. What it sends too fast is not lost and ends no link: the
//! server reads it later. A correct node that is read later replaces its pending updates by newer ones meanwhile.

use super::limits::{LINK_PACE_MS, LINK_UPDATES_S_MIN, QUESTION_COST, QUESTION_ENTRIES};
use super::time::Mono;

/// What a neighbour has sent since this node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Updates.
    pub updates: u64,
    /// Digests.
    pub digests: u64,
    /// Questions of a census.
    pub questions: u64,
    /// Times that the node had to wait before it read on.
    pub waits: u64,
}

/// A rate limit: the generic cell rate algorithm (ITU-T I.371). It belongs to the neighbour and not to a link, so a new
/// link does not bring a new quota.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// When all that was taken has been worth its time, in microseconds of the steady clock.
    worked_off_us: u64,
    pub(crate) received: Received,
}

impl Pace {
    /// Nothing received. All bytes are zero.
    pub(crate) const NEW: Pace =
        Pace { worked_off_us: 0, received: Received { updates: 0, digests: 0, questions: 0, waits: 0 } };

    pub(crate) fn take_update(&mut self, now: Mono, capacity: usize) {
        self.received.updates += 1;
        self.spend(now, 1, capacity);
    }

    /// A question of a census, with so many entries in the table.
    pub(crate) fn take_question(&mut self, now: Mono, entries: usize, capacity: usize) {
        self.received.questions += 1;
        self.spend(now, QUESTION_COST.max(entries as u64 / QUESTION_ENTRIES), capacity);
    }

    /// Charges the work of `updates`. A table of `capacity` is worth a quarter of a second.
    fn spend(&mut self, now: Mono, updates: u64, capacity: usize) {
        let a_second = (4 * capacity as u64).max(LINK_UPDATES_S_MIN);
        let before = self.read_at();
        let start = self.worked_off_us.max(now.0.saturating_mul(1_000));
        self.worked_off_us = start.saturating_add(updates * 1_000_000 / a_second);
        if before <= now && self.read_at() > now {
            self.received.waits += 1;
        }
    }

    /// When the node reads on.
    pub(crate) fn read_at(&self) -> Mono {
        Mono((self.worked_off_us / 1_000).saturating_sub(LINK_PACE_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_that_sends_too_fast_is_read_later() {
        let mut pace = Pace::NEW;
        let now = Mono(50_000);
        // Two whole tables at once are within the pace.
        for _ in 0..8_192 {
            pace.take_update(now, 4_096);
        }
        assert!(pace.read_at() <= now);
        for _ in 0..100_000 {
            pace.take_update(now, 4_096);
        }
        let wait_ms = pace.read_at().since_ms(now);
        assert!((5_000..6_500).contains(&wait_ms), "{wait_ms} ms");
        assert_eq!(pace.received, Received { updates: 108_192, waits: 1, ..Received::default() });
        // Later it counts no more.
        assert!(pace.read_at() <= now.after_ms(wait_ms));
        pace.take_question(now.after_ms(60_000), 4_096, 4_096);
        assert!(pace.read_at() <= now.after_ms(60_000));
        // The clock of a node that runs for ever.
        pace.take_update(Mono(u64::MAX), 4_096);
        assert!(pace.read_at() > now);
    }

    /// The time of the answers to all the questions that are read does not grow with the table.
    #[test]
    fn a_question_costs_what_its_answer_does() {
        for entries in [4_096, 32_768] {
            let mut pace = Pace::NEW;
            let now = Mono(50_000);
            let taken = (0..1_000).take_while(|_| {
                pace.take_question(now, entries, entries);
                pace.read_at() <= now
            });
            assert!((25..40).contains(&taken.count()), "{entries} entries");
        }
    }

    #[test]
    fn a_small_table_does_not_slow_a_large_herd() {
        let mut pace = Pace::NEW;
        for second in 0..60 {
            for _ in 0..LINK_UPDATES_S_MIN {
                pace.take_update(Mono(second * 1_000), 16);
            }
            assert!(pace.read_at() <= Mono(second * 1_000), "in second {second}");
        }
        for _ in 0..100 {
            pace.take_question(Mono(60_000), 16, 16);
        }
        assert!(pace.read_at() > Mono(60_000) && pace.received.questions == 100);
    }
}
