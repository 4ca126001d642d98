//! Decides which client is served next: sparse clients first, and in turn by address.
//!
//! There are two classes, sparse and busy, and in each a lane for every address, as far as 256 lanes tell them apart. Within a
//! class the lanes have turns: one client of each, in a cycle. So to clients at other addresses, a crowd at one address counts as
//! one client. The caller sets the class of a client, by the bytes of its last turn.
//!
//! Plain deficit round robin is not enough: an honest client with a request every 2 ms sends more than each of 4,000 clients
//! that send one byte at a time.
//!
//! Invariants: a client is in at most one lane, once; a lane is in its class' ring exactly when it is not empty. A key is
//! below [`KEYS_MAX`]. Links store a key plus one; zero is the end.

/// Keys that clients may have.
pub(super) const KEYS_MAX: usize = u16::MAX as usize;
const LANES: usize = 256;

/// How much a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Few bytes at a time, in whole lines, all of them answered at once.
    Sparse,
    /// More.
    Busy,
}

/// A list of numbers, each with a link to the one behind it: its first and its last, each and one.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    first: u16,
    last: u16,
}

impl List {
    fn is_empty(self) -> bool {
        self.first == 0
    }

    /// Appends `at`. `link` is the field with the next item.
    fn push<T>(&mut self, items: &mut [T], at: usize, link: fn(&mut T) -> &mut u16) {
        let number = u16::try_from(at + 1).expect("a key is below the limit");
        *link(&mut items[at]) = 0;
        match std::mem::replace(&mut self.last, number) {
            0 => self.first = number,
            last => *link(&mut items[usize::from(last) - 1]) = number,
        }
    }

    /// Takes the first.
    fn pop<T>(&mut self, items: &mut [T], link: fn(&mut T) -> &mut u16) -> Option<usize> {
        let at = usize::from(self.first).checked_sub(1)?;
        self.first = *link(&mut items[at]);
        if self.first == 0 {
            self.last = 0;
        }
        Some(at)
    }

    /// Removes `at`, with a search from the front.
    fn remove<T>(&mut self, items: &mut [T], at: usize, link: fn(&mut T) -> &mut u16) {
        let behind = *link(&mut items[at]);
        let (mut before, mut here) = (0, self.first);
        while usize::from(here) != at + 1 {
            debug_assert_ne!(here, 0, "it is in the list");
            (before, here) = (here, *link(&mut items[usize::from(here) - 1]));
        }
        match before {
            0 => self.first = behind,
            before => *link(&mut items[usize::from(before) - 1]) = behind,
        }
        if self.last == here {
            self.last = before;
        }
    }
}

/// What a client is to the queue.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The next in its lane, and one.
    next: u16,
    lane: u8,
    is_queued: bool,
    is_busy: bool,
}

#[derive(Debug)]
struct Lanes {
    clients: [List; LANES],
    /// By lane: the one behind it in the ring, and one.
    next: [u16; LANES],
    ring: List,
}

/// The clients that are to be served.
#[derive(Debug)]
pub(super) struct Turns {
    /// By key.
    places: Vec<Place>,
    /// Sparse and busy. Boxed and all zero: unused lanes cost no memory.
    classes: Box<[Lanes; 2]>,
}

impl Turns {
    pub(super) fn new() -> Self {
        let empty = || Lanes { clients: [List::default(); LANES], next: [0; LANES], ring: List::default() };
        Turns { places: Vec::new(), classes: Box::new([empty(), empty()]) }
    }

    /// A client has come, whose address has this hash.
    pub(super) fn come(&mut self, key: usize, address: u8) {
        debug_assert!(key < KEYS_MAX);
        if self.places.len() <= key {
            self.places.resize(key + 1, Place::default());
        }
        debug_assert!(!self.places[key].is_queued, "a client that disconnects is removed");
        self.places[key] = Place { lane: address, ..Place::default() };
    }

    /// All clients have gone: what a crowd took is given back.
    pub(super) fn shrink(&mut self) {
        debug_assert!(self.is_empty());
        self.places = Vec::new();
    }

    /// Whether no client waits for a turn.
    pub(super) fn is_empty(&self) -> bool {
        self.classes.iter().all(|lanes| lanes.ring.first == 0)
    }

    /// Says how much a client asks for; while it is queued it stays where it is.
    pub(super) fn set_class(&mut self, key: usize, class: Class) {
        let place = &mut self.places[key];
        if !place.is_queued {
            place.is_busy = class == Class::Busy;
        }
    }

    /// Queues a client, if it is not queued yet.
    pub(super) fn put(&mut self, key: usize) {
        let place = &mut self.places[key];
        if std::mem::replace(&mut place.is_queued, true) {
            return;
        }
        let (lane, class) = (usize::from(place.lane), usize::from(place.is_busy));
        let Lanes { clients, next, ring } = &mut self.classes[class];
        if clients[lane].is_empty() {
            ring.push(next, lane, |next| next);
        }
        clients[lane].push(&mut self.places, key, |place| &mut place.next);
    }

    /// The next client of a class: the first of the lane whose turn it is.
    pub(super) fn take(&mut self, class: Class) -> Option<usize> {
        let Lanes { clients, next, ring } = &mut self.classes[usize::from(class == Class::Busy)];
        let lane = ring.pop(next, |next| next)?;
        let key = clients[lane].pop(&mut self.places, |place| &mut place.next);
        let key = key.expect("a lane in the ring is not empty");
        self.places[key].is_queued = false;
        if !clients[lane].is_empty() {
            ring.push(next, lane, |next| next);
        }
        Some(key)
    }

    /// Takes a client out, wherever it is.
    pub(super) fn remove(&mut self, key: usize) {
        if !std::mem::take(&mut self.places[key].is_queued) {
            return;
        }
        let Place { lane, is_busy, .. } = self.places[key];
        let (lane, class) = (usize::from(lane), usize::from(is_busy));
        let Lanes { clients, next, ring } = &mut self.classes[class];
        clients[lane].remove(&mut self.places, key, |place| &mut place.next);
        if clients[lane].is_empty() {
            ring.remove(next, lane, |next| next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Come(usize, u8),
        Class(usize, bool),
        Put(usize),
        Take(bool),
        Remove(usize),
    }

    /// Lanes as lists of clients; the next lane comes first.
    #[derive(Default)]
    struct Model {
        lanes: [VecDeque<(u8, VecDeque<usize>)>; 2],
        clients: [(u8, bool); KEYS],
    }

    impl Model {
        fn is_queued(&self, key: usize) -> bool {
            self.lanes.iter().flatten().any(|(_, clients)| clients.contains(&key))
        }

        fn put(&mut self, key: usize) {
            let (lane, is_busy) = self.clients[key];
            if self.is_queued(key) {
                return;
            }
            let lanes = &mut self.lanes[usize::from(is_busy)];
            match lanes.iter_mut().find(|(other, _)| *other == lane) {
                Some((_, clients)) => clients.push_back(key),
                None => lanes.push_back((lane, VecDeque::from([key]))),
            }
        }

        fn take(&mut self, is_busy: bool) -> Option<usize> {
            let lanes = &mut self.lanes[usize::from(is_busy)];
            let (lane, mut clients) = lanes.pop_front()?;
            let key = clients.pop_front();
            if !clients.is_empty() {
                lanes.push_back((lane, clients));
            }
            key
        }

        fn remove(&mut self, key: usize) {
            for lanes in &mut self.lanes {
                lanes.iter_mut().for_each(|(_, clients)| clients.retain(|other| *other != key));
                lanes.retain(|(_, clients)| !clients.is_empty());
            }
        }
    }

    const KEYS: usize = 8;

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            1 => (0..KEYS, prop_oneof![Just(0), Just(1), Just(255)]).prop_map(|(key, lane)| Op::Come(key, lane)),
            1 => (0..KEYS, any::<bool>()).prop_map(|(key, is_busy)| Op::Class(key, is_busy)),
            4 => (0..KEYS).prop_map(Op::Put),
            3 => any::<bool>().prop_map(Op::Take),
            1 => (0..KEYS).prop_map(Op::Remove),
        ]
    }

    proptest! {
        #[test]
        fn lanes_have_turns_as_plain_lists_would(ops in proptest::collection::vec(any_op(), 0..200)) {
            let (mut turns, mut model) = (Turns::new(), Model::default());
            (0..KEYS).for_each(|key| turns.come(key, 0));
            for op in ops {
                match op {
                    Op::Come(key, lane) if !model.is_queued(key) => {
                        turns.come(key, lane);
                        model.clients[key] = (lane, false);
                    }
                    Op::Come(..) => {}
                    Op::Class(key, is_busy) => {
                        turns.set_class(key, if is_busy { Class::Busy } else { Class::Sparse });
                        if !model.is_queued(key) {
                            model.clients[key].1 = is_busy;
                        }
                    }
                    Op::Put(key) => {
                        turns.put(key);
                        model.put(key);
                    }
                    Op::Take(is_busy) => {
                        let class = if is_busy { Class::Busy } else { Class::Sparse };
                        prop_assert_eq!(turns.take(class), model.take(is_busy));
                    }
                    Op::Remove(key) => {
                        turns.remove(key);
                        model.remove(key);
                    }
                }
                prop_assert_eq!(turns.is_empty(), model.lanes.iter().all(VecDeque::is_empty));
                prop_assert!((0..KEYS).all(|key| turns.places[key].is_queued == model.is_queued(key)));
            }
        }
    }

    #[test]
    fn one_behind_another_address_waits_for_one_turn_of_a_crowd() {
        let mut turns = Turns::new();
        for key in 0..4_000 {
            turns.come(key, 7);
            turns.put(key);
        }
        turns.come(4_000, 8);
        turns.put(4_000);
        let served: Vec<usize> = (0..3).filter_map(|_| turns.take(Class::Sparse)).collect();
        assert_eq!(served, [0, 4_000, 1]);
    }
}
