//! Which entries have changed since somebody looked: what those are told who watch a node.
//!
//! One bit a slot, set only while there is somebody: until then nothing here is ever touched. An entry that changes
//! ten times between two looks is told once, in its last state. The search goes round, so an entry that changes all the
//! time cannot hide the others.

use super::limits::TABLE_CLIENTS_MAX;

const WORD: usize = u64::BITS as usize;
const WORDS: usize = TABLE_CLIENTS_MAX / WORD;

/// A bit for each slot of the largest table.
#[derive(Debug)]
pub(super) struct Changed {
    is_watched: bool,
    /// The slot where the next search begins.
    cursor: usize,
    bits: [u64; WORDS],
}

impl Changed {
    pub(super) const fn new() -> Self {
        Changed { is_watched: false, cursor: 0, bits: [0; WORDS] }
    }

    /// Somebody watches from now on, or nobody. Nothing has changed yet.
    pub(super) fn watch(&mut self, is_watched: bool) {
        if self.is_watched || is_watched {
            self.bits.fill(0);
        }
        self.is_watched = is_watched;
    }

    /// The entry at `slot` is another now.
    pub(super) fn set(&mut self, slot: usize) {
        if self.is_watched {
            self.bits[slot / WORD] |= 1 << (slot % WORD);
        }
    }

    /// The entry at `from` moves to `to`, where there is none any more; or goes, if they are the same.
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

    /// A slot whose entry has changed; it counts as told from then on.
    pub(super) fn take(&mut self) -> Option<usize> {
        // The word of the cursor comes twice: what is at or behind it first, what is before it last.
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

    fn all(changed: &mut Changed) -> Vec<usize> {
        let mut slots: Vec<usize> = std::iter::from_fn(|| changed.take()).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn a_slot_is_told_once_and_only_to_those_who_watch() {
        let mut changed = Changed::new();
        changed.set(3);
        assert_eq!(changed.take(), None, "nobody watches");
        changed.watch(true);
        for slot in [3, 64, 3, TABLE_CLIENTS_MAX - 1] {
            changed.set(slot);
        }
        assert_eq!(all(&mut changed), [3, 64, TABLE_CLIENTS_MAX - 1]);
        assert_eq!(changed.take(), None);
        changed.set(3);
        changed.watch(false);
        changed.watch(true);
        assert_eq!(changed.take(), None, "what was before is told by whoever looks at all");
    }

    #[test]
    fn a_change_moves_with_its_entry() {
        let mut changed = Changed::new();
        changed.watch(true);
        for slot in [1, 2, 130] {
            changed.set(slot);
        }
        changed.move_slot(130, 1);
        changed.move_slot(7, 2);
        assert_eq!(all(&mut changed), [1]);
        changed.set(9);
        changed.move_slot(9, 9);
        assert_eq!(changed.take(), None, "it is gone");
    }

    #[test]
    fn one_that_changes_all_the_time_hides_no_other() {
        let mut changed = Changed::new();
        changed.watch(true);
        for slot in [0, 1, 500] {
            changed.set(slot);
        }
        for expected in [0, 1, 500, 0] {
            changed.set(0);
            assert_eq!(changed.take(), Some(expected));
        }
    }
}
