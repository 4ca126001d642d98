//! The pending bits: which entries the node must still send to which neighbour. This is the send queue of the
//! whole node.
//!
//! It holds one bit for each (slot, neighbour). An entry that changes ten times before a slow link takes it is
//! sent once, in its last state. A dead link never costs more than its bits.
//!
//! Finding the next pending slot costs about the same for any table size. A summary bit stands for a word of 16
//! slots, so a search reads at most 32 summary words. The search is cyclic, so an entry that changes all the
//! time cannot delay the other entries.
//!
//! Invariants: `count[j]` is the number of bits set for neighbour j; a summary bit is set exactly if its word
//! is not 0.

use super::limits::NEIGHBOURS_MAX;

/// Slots a word holds.
const WORD: usize = u16::BITS as usize;
/// Words that a summary word covers.
const SUMMARY: usize = u64::BITS as usize;
/// Summary words for each neighbour: enough for 32,768 slots.
const SUMMARY_WORDS: usize = 32_768 / WORD / SUMMARY;

/// Pending bits for `SLOTS` slots and 16 neighbours.
///
/// Neighbour j's words are `bits[j * SLOTS / 16 ..][.. SLOTS / 16]`: as 16 neighbours of `SLOTS`
/// bits fill `SLOTS` words of 16 bits, the array needs no arithmetic in its type.
#[derive(Debug)]
pub struct Pending<const SLOTS: usize> {
    bits: [u16; SLOTS],
    summary: [[u64; SUMMARY_WORDS]; NEIGHBOURS_MAX],
    count: [u16; NEIGHBOURS_MAX],
    cursor: [u16; NEIGHBOURS_MAX],
}

impl<const SLOTS: usize> Pending<SLOTS> {
    const FITS: () = assert!(SLOTS >= WORD && SLOTS.is_power_of_two() && NEIGHBOURS_MAX == WORD);
    const WORDS: usize = SLOTS / WORD;

    /// No bit is set.
    pub(super) const fn new() -> Self {
        let () = Self::FITS;
        Pending {
            bits: [0; SLOTS],
            summary: [[0; SUMMARY_WORDS]; NEIGHBOURS_MAX],
            count: [0; NEIGHBOURS_MAX],
            cursor: [0; NEIGHBOURS_MAX],
        }
    }

    fn word(&mut self, neighbour: usize, slot: usize) -> &mut u16 {
        debug_assert!(slot < SLOTS && slot / WORD < SUMMARY_WORDS * SUMMARY);
        &mut self.bits[neighbour * Self::WORDS + slot / WORD]
    }

    /// Marks `slot` as pending for `neighbour`.
    pub(super) fn set(&mut self, neighbour: usize, slot: usize) {
        let bit = 1 << (slot % WORD);
        let word = self.word(neighbour, slot);
        if *word & bit == 0 {
            *word |= bit;
            self.count[neighbour] += 1;
            self.summary[neighbour][slot / WORD / SUMMARY] |= 1 << (slot / WORD % SUMMARY);
        }
    }

    /// Marks `slot` as not pending for `neighbour`.
    pub(super) fn clear(&mut self, neighbour: usize, slot: usize) {
        let bit = 1 << (slot % WORD);
        let word = self.word(neighbour, slot);
        if *word & bit != 0 {
            *word &= !bit;
            let empty = *word == 0;
            self.count[neighbour] -= 1;
            if empty {
                self.summary[neighbour][slot / WORD / SUMMARY] &= !(1 << (slot / WORD % SUMMARY));
            }
        }
    }

    /// Whether `slot` is pending for `neighbour`.
    #[must_use]
    pub fn is_set(&self, neighbour: usize, slot: usize) -> bool {
        self.bits[neighbour * Self::WORDS + slot / WORD] & (1 << (slot % WORD)) != 0
    }

    /// Entries pending for `neighbour`.
    #[must_use]
    pub fn count(&self, neighbour: usize) -> usize {
        usize::from(self.count[neighbour])
    }

    /// Moves the bits of slot `from` to slot `to`, after the entry itself has moved.
    pub(super) fn move_slot(&mut self, from: usize, to: usize) {
        for neighbour in 0..NEIGHBOURS_MAX {
            // A shortcut for the usual case that nothing is pending.
            if self.count[neighbour] == 0 {
                continue;
            }
            let pending = self.is_set(neighbour, from);
            self.clear(neighbour, from);
            if pending { self.set(neighbour, to) } else { self.clear(neighbour, to) }
        }
    }

    /// Moves all bits of neighbour `from` to neighbour `to`, and clears the bits of `from`.
    pub(super) fn move_neighbour(&mut self, from: usize, to: usize) {
        if from != to {
            self.bits.copy_within(from * Self::WORDS..(from + 1) * Self::WORDS, to * Self::WORDS);
            self.summary[to] = self.summary[from];
            self.count[to] = self.count[from];
            self.cursor[to] = self.cursor[from];
        }
        self.bits[from * Self::WORDS..][..Self::WORDS].fill(0);
        self.summary[from] = [0; SUMMARY_WORDS];
        self.count[from] = 0;
        self.cursor[from] = 0;
    }

    /// Clears the bits of a slot that is now empty.
    pub(super) fn clear_slot(&mut self, slot: usize) {
        for neighbour in 0..NEIGHBOURS_MAX {
            if self.count[neighbour] > 0 {
                self.clear(neighbour, slot);
            }
        }
    }

    /// The next slot pending for `neighbour`, cyclically after the last result.
    pub(super) fn next(&mut self, neighbour: usize) -> Option<usize> {
        if self.count[neighbour] == 0 {
            return None;
        }
        let start = usize::from(self.cursor[neighbour]);
        let slot = self.first_from(neighbour, start).or_else(|| self.first_from(neighbour, 0));
        debug_assert!(slot.is_some(), "a bit is set if the count is not 0");
        let next = (slot? + 1) % SLOTS;
        self.cursor[neighbour] = u16::try_from(next).expect("a table has at most 32,768 entries");
        slot
    }

    /// The first slot pending for `neighbour` at or after `start`.
    fn first_from(&self, neighbour: usize, start: usize) -> Option<usize> {
        let words = &self.bits[neighbour * Self::WORDS..][..Self::WORDS];
        let first = start / WORD;
        let in_first = words[first] & (u16::MAX << (start % WORD));
        if in_first != 0 {
            return Some(first * WORD + in_first.trailing_zeros() as usize);
        }
        let after = first + 1;
        let summary = &self.summary[neighbour];
        for (i, &bits) in summary.iter().enumerate().take(Self::WORDS.div_ceil(SUMMARY)).skip(after / SUMMARY)
        {
            let bits = if i == after / SUMMARY { bits & (u64::MAX << (after % SUMMARY)) } else { bits };
            if bits != 0 {
                let word = i * SUMMARY + bits.trailing_zeros() as usize;
                return Some(word * WORD + words[word].trailing_zeros() as usize);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SLOTS: usize = 4096;

    #[derive(Clone, Debug)]
    enum Step {
        Set(usize, usize),
        Clear(usize, usize),
        Move(usize, usize),
        ClearSlot(usize),
        MoveNeighbour(usize, usize),
        Next(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // A few slots far apart cover words, summary words and the wrap-around.
        let slot = || prop_oneof![0..20_usize, 1020..1030_usize, 4080..SLOTS];
        let neighbour = || prop_oneof![Just(0_usize), Just(7), Just(15)];
        let step = prop_oneof![
            4 => (neighbour(), slot()).prop_map(|(n, s)| Step::Set(n, s)),
            1 => (neighbour(), slot()).prop_map(|(n, s)| Step::Clear(n, s)),
            1 => (slot(), slot()).prop_map(|(a, b)| Step::Move(a, b)),
            1 => slot().prop_map(Step::ClearSlot),
            1 => (neighbour(), neighbour()).prop_map(|(a, b)| Step::MoveNeighbour(a, b)),
            2 => neighbour().prop_map(Step::Next),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(steps in steps()) {
            let mut pending = Pending::<SLOTS>::new();
            let mut model: BTreeSet<(usize, usize)> = BTreeSet::new();
            let mut cursor = [0; NEIGHBOURS_MAX];
            for step in steps {
                match step {
                    Step::Set(n, s) => { pending.set(n, s); model.insert((n, s)); }
                    Step::Clear(n, s) => { pending.clear(n, s); model.remove(&(n, s)); }
                    Step::Move(a, b) if a != b => {
                        pending.move_slot(a, b);
                        for n in 0..NEIGHBOURS_MAX {
                            model.remove(&(n, b));
                            if model.remove(&(n, a)) { model.insert((n, b)); }
                        }
                    }
                    Step::Move(..) => {}
                    Step::MoveNeighbour(a, b) => {
                        pending.move_neighbour(a, b);
                        model.retain(|&(n, _)| n != b || a == b);
                        let moved: Vec<usize> = model.extract_if(.., |&(n, _)| n == a).map(|(_, s)| s).collect();
                        if a != b {
                            model.extend(moved.into_iter().map(|s| (b, s)));
                            cursor[b] = cursor[a];
                        }
                        cursor[a] = 0;
                    }
                    Step::ClearSlot(s) => { pending.clear_slot(s); model.retain(|&(_, slot)| slot != s); }
                    Step::Next(n) => {
                        let mine = || model.iter().filter(|&&(m, _)| m == n).map(|&(_, s)| s);
                        let expected = mine().find(|&s| s >= cursor[n]).or_else(|| mine().next());
                        prop_assert_eq!(pending.next(n), expected);
                        if let Some(slot) = expected { cursor[n] = (slot + 1) % SLOTS; }
                    }
                }
                for n in 0..NEIGHBOURS_MAX {
                    prop_assert_eq!(pending.count(n), model.iter().filter(|&&(m, _)| m == n).count());
                }
            }
        }
    }
}
