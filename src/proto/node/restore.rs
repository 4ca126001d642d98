//! What outlives the node: its entries, given out one by one, and taken back at the next start.
//!
//! Part of [`Node`]; apart from it because no decision of the herd rests on it. Where entries lie meanwhile is the server's.
//!
//! They are given out by their slots, from the highest down, and the table may change between two of them. That loses
//! nothing: a removal moves the last entry into the hole, and the last one has been given out already, or lies below the walk
//! before and after. What comes in anew stands behind all others, and is news to whoever keeps entries: it counts
//! [`Counters::updates_new`](crate::counters::Counters::updates_new). The walk only ever goes down, so it gives out no
//! more entries than the table held when it began; an entry that was moved may come twice, which the taking does not mind.
//!
//! Taken back, an entry goes through the same admission as an update of a neighbour, with the age that it has by then. It is
//! pending for no neighbour: the first digest of each link finds what the other end lacks, and a herd that lost its power as a whole
//! and kept the same everywhere compares a line a link, where it would send whole tables otherwise.

use super::Node;
use crate::table::{Admission, Source};
use crate::time::Now;
use crate::update::{Update, UpdateRef};

impl<const SLOTS: usize> Node<SLOTS> {
    /// The entry at `slot`, below [`Table::len`](crate::table::Table::len), and its age in seconds.
    #[must_use]
    pub fn kept(&self, now: &Now, slot: usize) -> Option<(UpdateRef<'_>, u32)> {
        self.table.aged(slot, now.mono.seconds())
    }

    /// Takes back an entry that was kept, `age_s` seconds after its origin heard the client; says whether the table took it.
    /// To be called after the start and before any link.
    pub fn take_kept(&mut self, now: &Now, update: &Update, age_s: u32) -> bool {
        let taken = !self.is_ahead(now, update.sighting.rank) && {
            let now_s = now.mono.seconds();
            let heard_s = now_s.saturating_sub(i32::try_from(age_s).unwrap_or(i32::MAX));
            let admission = self.table.admit(update, heard_s, now_s, Source::Kept);
            if matches!(admission, Admission::News | Admission::Newcomer) {
                // One that has died meanwhile tells nothing: its age is what a clock that jumped makes of it.
                self.receive_clock.learn(now.mono, &update.sighting, now_s.saturating_sub(heard_s));
            }
            matches!(admission, Admission::News | Admission::Newcomer | Admission::Duplicate)
        };
        *(if taken { &mut self.counters.snapshot_restored } else { &mut self.counters.snapshot_rejected }) +=
            1;
        taken
    }

    /// Counts an entry that was kept and cannot be taken back, as the configuration does not list its origin any more.
    pub fn refuse_kept(&mut self) {
        self.counters.snapshot_rejected += 1;
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
