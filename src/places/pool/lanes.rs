//! A queue with a lane for each address. Lanes take turns; each lane is first in, first out.
//!
//! An address with many queries delays only itself: a query of another address waits for one query of each address at most.

use std::collections::VecDeque;

/// The waiting items by lane. The lane with the next turn comes first. No lane is empty.
#[derive(Debug)]
pub(crate) struct Lanes<T>(VecDeque<(u8, VecDeque<T>)>);

impl<T> Lanes<T> {
    pub(crate) const fn new() -> Self {
        Lanes(VecDeque::new())
    }

    pub(crate) fn push(&mut self, lane: u8, item: T) {
        match self.0.iter_mut().find(|(other, _)| *other == lane) {
            Some((_, items)) => items.push_back(item),
            None => self.0.push_back((lane, VecDeque::from([item]))),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let (lane, mut items) = self.0.pop_front()?;
        let item = items.pop_front();
        if !items.is_empty() {
            self.0.push_back((lane, items));
        }
        item
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|(_, items)| items.len()).sum()
    }

    /// Whether a lane has its fair share of `places` among the waiting lanes, itself included.
    pub(crate) fn has_its_share(&self, lane: u8, places: usize) -> bool {
        let own = self.0.iter().find(|(other, _)| *other == lane).map_or(0, |(_, items)| items.len());
        let lanes = self.0.len() + usize::from(own == 0);
        self.len() >= places && own >= (places / lanes).max(1)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flat_map(|(_, items)| items)
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.0).into_iter().flat_map(|(_, items)| items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lanes_have_turns_and_keep_their_order(ops in prop::collection::vec(prop::option::of(0..4_u8), 0..200)) {
            let mut lanes = Lanes::new();
            // For each lane: its items, and how many other items left since its last turn or since it was empty.
            let mut model: [(VecDeque<usize>, usize); 4] = Default::default();
            for (number, op) in ops.into_iter().enumerate() {
                match op {
                    Some(lane) => {
                        lanes.push(lane, (lane, number));
                        model[usize::from(lane)].0.push_back(number);
                    }
                    None => match lanes.pop() {
                        None => prop_assert!(model.iter().all(|(items, _)| items.is_empty())),
                        Some((lane, number)) => {
                            prop_assert_eq!(model[usize::from(lane)].0.pop_front(), Some(number));
                            for (other, (items, passed)) in model.iter_mut().enumerate() {
                                let waits = !items.is_empty() && other != usize::from(lane);
                                *passed = if waits { *passed + 1 } else { 0 };
                                prop_assert!(*passed < 4, "lane {other} was passed over {passed} times");
                            }
                        }
                    },
                }
                prop_assert_eq!(lanes.len(), model.iter().map(|(items, _)| items.len()).sum::<usize>());
            }
        }
    }

    #[test]
    fn a_share_is_of_the_lanes_that_wait() {
        let mut lanes = Lanes::new();
        (0..8).for_each(|number| lanes.push(1, number));
        assert!(lanes.has_its_share(1, 8), "all of it is its own");
        assert!(!lanes.has_its_share(2, 8), "a new lane has none yet");
        (0..4).for_each(|number| lanes.push(2, number));
        assert!(lanes.has_its_share(2, 8));
        assert!(!lanes.has_its_share(1, 16), "there is room");
        assert_eq!(lanes.drain().count(), 12);
        assert_eq!(lanes.len(), 0);
    }
}
