//! Events for subscribers of the table: each entry once, then each change.
//!
//! A line is an AT line followed by the entry's age. The server sends the lines and limits the number of
//! subscribers.

use super::Node;
use crate::limits::AT_LINE_BYTES_MAX;
use crate::out::Out;
use crate::update::UpdateRef;

/// Longest line of an entry, in bytes, without a newline: an AT line, a blank, seconds.
pub const WATCH_LINE_BYTES_MAX: usize = AT_LINE_BYTES_MAX + 1 + 10;

impl<const SLOTS: usize> Node<SLOTS> {
    /// Starts or stops recording changes for subscribers. Earlier changes are not reported.
    pub fn watch(&mut self, is_watched: bool) {
        self.table.watch(is_watched);
    }

    /// Appends the line of an entry that has changed since the last call wrote it: `AT Hill +0.26… kiwi
    /// +34…-118… 1621464827.95… 12`, without a newline. The last number is its age in seconds. Returns whether
    /// an entry had changed.
    pub fn put_changed(&mut self, now_s: i32, out: &mut Out) -> bool {
        let changed = self.table.take_changed(now_s);
        changed.map(|(update, age_s)| put_line(&update, age_s, &self.names, out)).is_some()
    }

    /// Appends the line of the next entry below `end`. Returns the next `end`, or `None` after the last entry.
    /// If it begins with [`usize::MAX`], the walk includes all entries although the table changes between calls
    /// ([`Table::below`]).
    ///
    /// [`Table::below`]: crate::table::Table::below
    pub fn put_below(&self, end: usize, now_s: i32, out: &mut Out) -> Option<usize> {
        let (slot, update, age_s) = self.table.below(end, now_s)?;
        put_line(&update, age_s, &self.names, out);
        Some(slot)
    }
}

fn put_line(update: &UpdateRef, age_s: u32, names: &crate::names::Names, out: &mut Out) {
    update.put_at_line(names, out);
    out.put_byte(b' ');
    out.put_u128(u128::from(age_s));
}
