//! Entries that survive a restart: the node exports them one by one and takes them back at its next start. The
//! server decides where they are stored meanwhile.
//!
//! The server reads entries by slot, from the highest down, and the table may change between two reads. The
//! server misses no entry: a removal moves the last entry into the hole, and that entry was read already or
//! stays below the current slot. New entries take higher slots and count as
//! [`Counters::updates_new`](crate::counters::Counters::updates_new). The slots only decrease, so the server
//! reads at most as many entries as the table held at the start. It may read a moved entry twice; restoring it
//! twice is harmless.
//!
//! A restored entry passes the same checks as an update of a neighbour, with its age at that time. It is
//! pending for no neighbour, because the first digest of each link finds what the other end lacks. After a
//! power cut of a whole herd, each link therefore compares one line instead of sending its table.

use super::Node;
use crate::table::{Admission, Source};
use crate::time::Now;
use crate::update::{Update, UpdateRef};

impl<const SLOTS: usize> Node<SLOTS> {
    /// The entry at `slot`, below [`Table::len`](crate::table::Table::len), and its age in seconds, for a
    /// snapshot.
    #[must_use]
    pub fn entry_at(&self, now: &Now, slot: usize) -> Option<(UpdateRef<'_>, u32)> {
        self.table.aged(slot, now.mono.seconds())
    }

    /// Restores an entry, `age_s` seconds after its origin heard the client. Returns whether the table took it.
    /// The server calls this after the start and before any link.
    pub fn restore_entry(&mut self, now: &Now, update: &Update, age_s: u32) -> bool {
        let taken = !self.is_ahead(now, update.sighting.rank) && {
            let now_s = now.mono.seconds();
            let heard_s = now_s.saturating_sub(i32::try_from(age_s).unwrap_or(i32::MAX));
            let admission = self.table.admit(update, heard_s, now_s, Source::Restored);
            if matches!(admission, Admission::News | Admission::Newcomer) {
                // Only an accepted entry may set the receive clock. The age of an expired one may result from a
                // clock that jumped.
                self.receive_clock.learn(now.mono, &update.sighting, now_s.saturating_sub(heard_s));
            }
            matches!(admission, Admission::News | Admission::Newcomer | Admission::Duplicate)
        };
        *(if taken { &mut self.counters.snapshot_restored } else { &mut self.counters.snapshot_rejected }) +=
            1;
        taken
    }

    /// Counts a stored entry that the server cannot restore: the configuration does not list its origin.
    pub fn reject_entry(&mut self) {
        self.counters.snapshot_rejected += 1;
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
