//! The eviction heap: it finds the smallest entry, which a full table evicts next.
//!
//! It is a heap with four children for each parent over the table's slots, the smallest at the top. The heap
//! stores the ranks itself. It reads the entries, which are ten times larger, only if two ranks are equal. So
//! an insertion into a full table costs little more than one into a half-full table.
//!
//! Invariants: no child is smaller than its parent; `places[slots[p]] == p` for every place in use.

use core::cmp::Ordering;

const CHILDREN: usize = 4;

/// A heap of slots. `tie` compares the entries of two slots whose ranks are equal.
#[derive(Debug)]
pub(super) struct EvictionHeap<const SLOTS: usize> {
    /// Rank in nanoseconds, by place.
    ranks: [i64; SLOTS],
    /// Slot, by place.
    slots: [u16; SLOTS],
    /// Place, by slot.
    places: [u16; SLOTS],
    len: usize,
}

impl<const SLOTS: usize> EvictionHeap<SLOTS> {
    pub(super) const fn new() -> Self {
        EvictionHeap { ranks: [0; SLOTS], slots: [0; SLOTS], places: [0; SLOTS], len: 0 }
    }

    /// The slot of the smallest entry.
    pub(super) fn smallest(&self) -> Option<usize> {
        (self.len > 0).then(|| usize::from(self.slots[0]))
    }

    /// Adds `slot`, whose entry has the rank `rank`.
    pub(super) fn push(&mut self, slot: usize, rank: i64, tie: impl Fn(usize, usize) -> Ordering) {
        let place = self.len;
        self.len += 1;
        self.put(place, slot, rank);
        self.rise(place, &tie);
    }

    /// Restores the order after the entry of `slot` got the rank `rank`.
    pub(super) fn update(&mut self, slot: usize, rank: i64, tie: impl Fn(usize, usize) -> Ordering) {
        let place = self.place(slot);
        self.ranks[place] = rank;
        let place = self.rise(place, &tie);
        self.sink(place, &tie);
    }

    /// Removes `slot`. Its entry must still exist for comparisons.
    pub(super) fn remove(&mut self, slot: usize, tie: impl Fn(usize, usize) -> Ordering) {
        let place = self.place(slot);
        self.len -= 1;
        if place < self.len {
            self.put(place, usize::from(self.slots[self.len]), self.ranks[self.len]);
            let place = self.rise(place, &tie);
            self.sink(place, &tie);
        }
    }

    /// Records that the entry at slot `from` has moved to slot `to`.
    pub(super) fn move_slot(&mut self, from: usize, to: usize) {
        let place = self.place(from);
        self.put(place, to, self.ranks[place]);
    }

    fn place(&self, slot: usize) -> usize {
        let place = usize::from(self.places[slot]);
        debug_assert!(place < self.len, "the slot is in the heap");
        debug_assert_eq!(usize::from(self.slots[place]), slot);
        place
    }

    fn put(&mut self, place: usize, slot: usize, rank: i64) {
        let narrow = |n: usize| u16::try_from(n).expect("a table has at most 32,768 entries");
        self.ranks[place] = rank;
        self.slots[place] = narrow(slot);
        self.places[slot] = narrow(place);
    }

    fn less(&self, a: usize, b: usize, tie: &impl Fn(usize, usize) -> Ordering) -> bool {
        let ranks = self.ranks[a].cmp(&self.ranks[b]);
        ranks.then_with(|| tie(usize::from(self.slots[a]), usize::from(self.slots[b]))).is_lt()
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (slot, rank) = (usize::from(self.slots[a]), self.ranks[a]);
        self.put(a, usize::from(self.slots[b]), self.ranks[b]);
        self.put(b, slot, rank);
    }

    fn rise(&mut self, mut place: usize, tie: &impl Fn(usize, usize) -> Ordering) -> usize {
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if !self.less(place, parent, tie) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize, tie: &impl Fn(usize, usize) -> Ordering) {
        loop {
            let first = place * CHILDREN + 1;
            let mut smallest = place;
            for child in first..(first + CHILDREN).min(self.len) {
                if self.less(child, smallest, tie) {
                    smallest = child;
                }
            }
            if smallest == place {
                return;
            }
            self.swap(place, smallest);
            place = smallest;
        }
    }
}
