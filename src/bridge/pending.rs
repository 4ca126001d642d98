//! Pending positions, the newest of each client, and the last published position of each client.
//!
//! Invariant: at most one position of a client is pending, and at most [`PENDING_MAX`] in all; at most twice [`KNOWN_MAX`]
//! clients are known.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap, RandomState};
use std::hash::BuildHasher;

use super::limits::{KNOWN_MAX, PENDING_MAX};

type Id = Box<[u8]>;

/// The result of [`Pending::put`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is pending.
    Waits,
    /// It replaces an older pending position.
    Replaced,
    /// It equals the last published position.
    Unchanged,
    /// The queue is full.
    Full,
}

/// The pending positions, in the order in which their clients came.
#[derive(Debug, Default)]
pub struct Pending {
    lines: HashMap<Id, Id>,
    order: VecDeque<Id>,
    /// A hash of what the bridge last published of each client: recent clients, and older ones.
    known: [HashMap<Id, u64>; 2],
    hasher: RandomState,
    known_max: Option<usize>,
}

impl Pending {
    /// Takes what the node sent about a client: its line without the age.
    pub fn put(&mut self, id: &[u8], content: &[u8]) -> Put {
        if let Some(line) = self.lines.get_mut(id) {
            *line = content.into();
            return Put::Replaced;
        }
        if self.is_known(id, self.hasher.hash_one(content)) {
            return Put::Unchanged;
        }
        if self.lines.len() >= PENDING_MAX {
            return Put::Full;
        }
        self.lines.insert(id.into(), content.into());
        self.order.push_back(id.into());
        Put::Waits
    }

    /// The next position to publish, and how many clients the bridge forgot for it. The position counts as published.
    pub fn take(&mut self) -> Option<(Id, usize)> {
        let id = self.order.pop_front()?;
        let line = self.lines.remove(&id)?;
        let hash = self.hasher.hash_one(&*line);
        let forgotten = self.remember(id, hash);
        Some((line, forgotten))
    }

    /// How many more clients can have a pending position.
    #[must_use]
    pub fn room(&self) -> usize {
        PENDING_MAX - self.lines.len()
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Forgets all, for a new connection to the broker.
    pub fn clear(&mut self) {
        *self = Pending { known_max: self.known_max, ..Pending::default() };
    }

    /// Whether the bridge last published this of the client. If so, the client becomes a recent one.
    fn is_known(&mut self, id: &[u8], hash: u64) -> bool {
        if self.known[0].get(id) == Some(&hash) {
            return true;
        }
        let is_same = self.known[1].get(id) == Some(&hash);
        if is_same && self.known[0].len() < self.known_max() {
            self.known[1].remove(id);
            self.known[0].insert(id.into(), hash);
        }
        is_same
    }

    fn remember(&mut self, id: Id, hash: u64) -> usize {
        let known_max = self.known_max();
        self.known[1].remove(&id);
        let len = self.known[0].len();
        match self.known[0].entry(id) {
            Entry::Occupied(mut entry) => {
                entry.insert(hash);
                0
            }
            Entry::Vacant(entry) if len < known_max => {
                entry.insert(hash);
                0
            }
            Entry::Vacant(entry) => {
                let id = entry.into_key();
                let recent = std::mem::replace(&mut self.known[0], HashMap::from([(id, hash)]));
                std::mem::replace(&mut self.known[1], recent).len()
            }
        }
    }

    fn known_max(&self) -> usize {
        self.known_max.unwrap_or(KNOWN_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_newest_position_of_each_client_waits_and_none_is_published_twice() {
        let mut pending = Pending::default();
        for (id, content, expected) in
            [("a", "1", Put::Waits), ("b", "1", Put::Waits), ("a", "2", Put::Replaced)]
        {
            assert_eq!(pending.put(id.as_bytes(), content.as_bytes()), expected, "{id} {content}");
        }
        let mut taken = || pending.take().map(|(line, _)| line);
        assert_eq!((taken(), taken(), taken()), (Some(b"2"[..].into()), Some(b"1"[..].into()), None));
        assert_eq!(pending.put(b"a", b"2"), Put::Unchanged);
        assert_eq!(pending.put(b"a", b"1"), Put::Waits, "the node's current position counts");
        pending.clear();
        assert_eq!((pending.put(b"b", b"1"), pending.room()), (Put::Waits, PENDING_MAX - 1));
    }

    #[test]
    fn a_full_queue_refuses_a_new_client() {
        let mut pending = Pending::default();
        for number in 0..PENDING_MAX {
            assert_eq!(pending.put(format!("{number}").as_bytes(), b"1"), Put::Waits);
        }
        assert_eq!((pending.put(b"x", b"1"), pending.put(b"0", b"2")), (Put::Full, Put::Replaced));
        pending.take();
        assert_eq!(pending.put(b"x", b"1"), Put::Waits);
    }

    #[test]
    fn the_oldest_clients_are_forgotten() {
        let mut pending = Pending { known_max: Some(3), ..Pending::default() };
        let mut forgotten = 0;
        for number in 0..6 {
            pending.put(format!("{number}").as_bytes(), b"1");
            forgotten += pending.take().expect("it waits").1;
        }
        assert_eq!((forgotten, pending.put(b"0", b"1")), (0, Put::Unchanged));
        pending.put(b"6", b"1");
        assert_eq!(pending.take().map(|(_, forgotten)| forgotten), Some(3));
        assert_eq!((pending.put(b"5", b"1"), pending.put(b"0", b"1")), (Put::Unchanged, Put::Waits));
    }

    proptest! {
        #[test]
        fn what_is_taken_last_is_what_was_put_last(puts in prop::collection::vec((0u8..12, 0u8..4, any::<bool>()), 0..200)) {
            let mut pending = Pending { known_max: Some(5), ..Pending::default() };
            let (mut put, mut published) = (HashMap::new(), HashMap::new());
            let mut take = |pending: &mut Pending| {
                let Some((line, _)) = pending.take() else { return false };
                published.insert(line[0], line[1]);
                true
            };
            for (id, content, takes) in puts {
                put.insert(id, content);
                pending.put(&[id], &[id, content]);
                if takes {
                    take(&mut pending);
                }
                prop_assert!(pending.known.iter().all(|known| known.len() <= 5));
                prop_assert_eq!(pending.lines.len(), pending.order.len());
            }
            while take(&mut pending) {}
            prop_assert_eq!(put, published);
        }
    }
}
