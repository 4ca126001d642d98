//! Bytes that all connections together may hold: taken and given back, never more than a limit.
//!
//! It knows nothing of sockets. Invariant: what is held is the sum of all [`Held`] there are, and at
//! most the limit.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crate::places::Json;

/// A number of bytes that many share, on one thread.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    held: Cell<usize>,
    /// What was held last for several clients. The answers to one query come together.
    last_places: RefCell<Weak<SharedPlaces>>,
}

/// Bytes of a [`Budget`] that are held until this is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    budget: &'a Budget,
    bytes: usize,
}

/// The places of an answer, for all clients that have not read it. Its bytes count once.
#[derive(Debug)]
pub struct SharedPlaces {
    json: Json,
    _held: Held<'static>,
}

impl SharedPlaces {
    /// The JSON.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }
}

impl Budget {
    /// A budget of which nothing is held.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Budget { bytes_max, held: Cell::new(0), last_places: RefCell::new(Weak::new()) }
    }

    /// `None` when all together would hold more than the limit.
    pub fn hold(&self, bytes: usize) -> Option<Held<'_>> {
        let all = self.held.get().checked_add(bytes).filter(|all| *all <= self.bytes_max)?;
        self.held.set(all);
        Some(Held { budget: self, bytes })
    }

    /// Holds places for one client more. `None` when all together would hold more than the limit.
    pub fn hold_places(&'static self, json: &Json) -> Option<Rc<SharedPlaces>> {
        let last = self.last_places.borrow().upgrade().filter(|last| Arc::ptr_eq(&last.json, json));
        last.or_else(|| {
            let held = self.hold(json.capacity())?;
            let places = Rc::new(SharedPlaces { json: json.clone(), _held: held });
            self.last_places.replace(Rc::downgrade(&places));
            Some(places)
        })
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

    #[test]
    fn shared_places_count_once() {
        let budget: &'static Budget = Box::leak(Box::new(Budget::new(100)));
        let json = Json::new(vec![b'x'; 60]);
        let crowd: Vec<_> = (0..50).map(|_| budget.hold_places(&json).expect("it counts once")).collect();
        assert_eq!(Rc::strong_count(&crowd[0]), 50);
        assert!(budget.hold(41).is_none());
        let other = Json::new(vec![b'x'; 60]);
        assert!(budget.hold_places(&other).is_none(), "equal bytes of another answer take their own memory");
        drop(crowd);
        assert!(budget.hold_places(&other).is_some());
        assert!(budget.hold(100).is_some(), "all is given back");
    }
}
