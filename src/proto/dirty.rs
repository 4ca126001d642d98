//! The dirty bits: which entries have changed since the subscribers last got them.
//!
//! One bit for each slot, set only while the node has subscribers. Without subscribers this memory is never
//! touched. An entry that changes ten times between two reads is reported once, in its last state. The search
//! is cyclic, so an entry that changes all the time cannot hide the others.

use super::limits::TABLE_CLIENTS_MAX;

const WORD: usize = u64::BITS as usize;
const WORDS: usize = TABLE_CLIENTS_MAX / WORD;

/// A bit for each slot of the largest table.
#[derive(Debug)]
pub(super) struct Dirty {
    is_watched: bool,
    /// The slot where the next search begins.
    cursor: usize,
    bits: [u64; WORDS],
}

impl Dirty {
    pub(super) const fn new() -> Self {
        Dirty { is_watched: false, cursor: 0, bits: [0; WORDS] }
    }

    /// Starts or stops recording. All bits are clear afterwards.
    pub(super) fn watch(&mut self, is_watched: bool) {
        if self.is_watched || is_watched {
            self.bits.fill(0);
        }
        self.is_watched = is_watched;
    }

    /// Marks the entry at `slot` as changed.
    pub(super) fn set(&mut self, slot: usize) {
        if self.is_watched {
            self.bits[slot / WORD] |= 1 << (slot % WORD);
        }
    }

    /// Moves the bit of slot `from` to the free slot `to`. If the slots are equal, the entry was removed and
    /// the bit is cleared.
    pub(super) fn move_slot(&mut self, from: usize, to: usize) {
        if self.is_watched {
            let bit = self.bits[from / WORD] >> (from % WORD) & 1;
            self.bits[from / WORD] &= !(1 << (from % WORD));
            if from != to {
                let word = &mut self.bits[to / WORD];
                *word = *word & !(1 << (to % WORD)) | bit << (to % WORD);
            }
        }
    }

    /// Takes a slot whose entry has changed, and clears its bit.
    pub(super) fn take(&mut self) -> Option<usize> {
        // The search reads the cursor's word twice: first the bits at or after the cursor, last the bits before
        // it.
        let from = self.cursor / WORD;
        let behind = |step| if step == 0 { u64::MAX << (self.cursor % WORD) } else { u64::MAX };
        let (word, bits) = (0..=WORDS)
            .map(|step| ((from + step) % WORDS, behind(step)))
            .map(|(word, mask)| (word, self.bits[word] & mask))
            .find(|&(_, bits)| bits != 0)?;
        let bit = bits.trailing_zeros() as usize;
        self.bits[word] &= !(1 << bit);
        let slot = word * WORD + bit;
        self.cursor = (slot + 1) % (WORDS * WORD);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dirty: &mut Dirty) -> Vec<usize> {
        let mut slots: Vec<usize> = std::iter::from_fn(|| dirty.take()).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn a_change_is_reported_once_and_only_if_watched() {
        let mut dirty = Dirty::new();
        dirty.set(3);
        assert_eq!(dirty.take(), None, "changes are not recorded without subscribers");
        dirty.watch(true);
        for slot in [3, 64, 3, TABLE_CLIENTS_MAX - 1] {
            dirty.set(slot);
        }
        assert_eq!(all(&mut dirty), [3, 64, TABLE_CLIENTS_MAX - 1]);
        assert_eq!(dirty.take(), None);
        dirty.set(3);
        dirty.watch(false);
        dirty.watch(true);
        assert_eq!(dirty.take(), None, "changes before the start are not recorded");
    }

    #[test]
    fn a_change_moves_with_its_entry() {
        let mut dirty = Dirty::new();
        dirty.watch(true);
        for slot in [1, 2, 130] {
            dirty.set(slot);
        }
        dirty.move_slot(130, 1);
        dirty.move_slot(7, 2);
        assert_eq!(all(&mut dirty), [1]);
        dirty.set(9);
        dirty.move_slot(9, 9);
        assert_eq!(dirty.take(), None, "the entry was removed");
    }

    #[test]
    fn a_busy_slot_hides_no_other() {
        let mut dirty = Dirty::new();
        dirty.watch(true);
        for slot in [0, 1, 500] {
            dirty.set(slot);
        }
        for expected in [0, 1, 500, 0] {
            dirty.set(0);
            assert_eq!(dirty.take(), Some(expected));
        }
    }
}
