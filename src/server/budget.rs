//! Bytes that all connections together may hold: taken and given back, never more than a limit.
//!
//! It knows nothing of sockets. Invariant: what is held is the sum of all [`Held`] there are, and at
//! most the limit.

use std::cell::Cell;

/// A number of bytes that many share, on one thread.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    held: Cell<usize>,
}

/// Bytes of a [`Budget`] that are held until this is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Budget {
    /// A budget of which nothing is held.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Budget { bytes_max, held: Cell::new(0) }
    }

    /// `None` when all together would hold more than the limit.
    pub fn hold(&self, bytes: usize) -> Option<Held<'_>> {
        let all = self.held.get().checked_add(bytes).filter(|all| *all <= self.bytes_max)?;
        self.held.set(all);
        Some(Held { budget: self, bytes })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.held.set(self.budget.held.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_hold_the_limit_and_no_byte_more() {
        let budget = Budget::new(100);
        let first = budget.hold(60).expect("there is room");
        let second = budget.hold(40).expect("it is full now, and not over");
        assert!(budget.hold(1).is_none());
        assert!(budget.hold(usize::MAX).is_none());
        drop(first);
        assert!(budget.hold(61).is_none());
        let third = budget.hold(60).expect("what was given back can be had again");
        drop((second, third));
        assert!(budget.hold(100).is_some());
    }
}
