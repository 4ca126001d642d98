//! Answers of an upstream kept for a while, where the configuration asks for it (`places.cache_s`).
//!
//! Off by default, and to be left off with Google: its terms of service forbid storing its content. Of use with a service
//! of one's own, whose answers are its owner's to keep. Only whole answers (`OK`, `ZERO_RESULTS`), already cut, are kept;
//! keyed by place, radius and count, so an answer is given again to the byte.
//!
//! Knows neither HTTP nor JSON. Its memory is fixed at build time and lies in a static of zeroes (an `Instant` would not be
//! one, so times are milliseconds): a node that keeps no answers never touches it. What when full: the oldest answer makes
//! room; one that is too long for a slot is not kept.

use crate::places::Query;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Answers kept at most.
pub const CACHE_ENTRIES: usize = 16;

/// Longest answer kept, in bytes: two of Google's results or ten of the offline ones.
pub const CACHE_ENTRY_BYTES: usize = 4096;

/// Bytes of the static that holds the answers, touched or not.
pub const CACHE_BYTES: usize = size_of::<Mutex<Cache>>();

static CACHE: Mutex<Cache> = Mutex::new(Cache::new());

/// One [`Places`](super::Places)' part of the process's only cache.
pub(crate) struct Shelf {
    /// Parts the answers of several handles in a process.
    owner: u64,
    lifetime_ms: u64,
}

impl Shelf {
    /// `None` when nothing is to be kept: then the cache's memory is never touched.
    pub(crate) fn new(cache_s: u64) -> Option<Self> {
        static OWNERS: AtomicU64 = AtomicU64::new(1);
        (cache_s > 0).then(|| Self {
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            lifetime_ms: cache_s.saturating_mul(1_000),
        })
    }

    pub(crate) fn get(&self, query: &Query) -> Option<Vec<u8>> {
        lock().get(&self.key(query), now_ms()).map(<[u8]>::to_vec)
    }

    pub(crate) fn put(&self, query: &Query, answer: &[u8]) {
        let now = now_ms();
        lock().put(self.key(query), answer, now, now.saturating_add(self.lifetime_ms));
    }

    fn key(&self, query: &Query) -> Key {
        (self.owner, query.bits())
    }
}

/// Milliseconds since the first answer was asked for.
fn now_ms() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    u64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A panic cannot leave a slot that is half written and counts: while it is written, it has run out.
fn lock() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owners count from 1, so that no key is a slot of zeroes.
type Key = (u64, [u64; 4]);

struct Cache {
    slots: [Slot; CACHE_ENTRIES],
}

struct Slot {
    /// Zero for a slot that was never used.
    key: Key,
    /// When the answer was put here, and until when it holds.
    since_ms: u64,
    until_ms: u64,
    answer: heapless::Vec<u8, CACHE_ENTRY_BYTES>,
}

impl Slot {
    const fn new() -> Self {
        Self { key: (0, [0; 4]), since_ms: 0, until_ms: 0, answer: heapless::Vec::new() }
    }
}

impl Cache {
    const fn new() -> Self {
        Self { slots: [const { Slot::new() }; CACHE_ENTRIES] }
    }

    fn get(&self, key: &Key, now_ms: u64) -> Option<&[u8]> {
        let is_it = |slot: &&Slot| slot.key == *key && now_ms < slot.until_ms;
        self.slots.iter().find(is_it).map(|slot| slot.answer.as_slice())
    }

    fn put(&mut self, key: Key, answer: &[u8], now_ms: u64, until_ms: u64) {
        if answer.len() > CACHE_ENTRY_BYTES {
            return;
        }
        // The same key's slot, else one that holds nothing any more, else the oldest.
        let rank = |slot: &Slot| match slot {
            slot if slot.key == key => (0, 0),
            slot if slot.until_ms <= now_ms => (1, 0),
            slot => (2, slot.since_ms),
        };
        if let Some(slot) = self.slots.iter_mut().min_by_key(|slot| rank(slot)) {
            slot.until_ms = 0;
            slot.answer.clear();
            if slot.answer.extend_from_slice(answer).is_ok() {
                (slot.key, slot.since_ms, slot.until_ms) = (key, now_ms, until_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_answers_run_out() {
        let key = |n: u64| (1, [n, 0, 0, 0]);
        let mut cache = Box::new(Cache::new());
        for n in 0..=CACHE_ENTRIES as u64 {
            cache.put(key(n), format!("answer {n}").as_bytes(), n, 1_000 + n);
        }
        assert_eq!(cache.get(&key(0), 50), None, "the oldest made room");
        assert_eq!(cache.get(&key(1), 50), Some(&b"answer 1"[..]));
        assert_eq!(cache.get(&(2, [1, 0, 0, 0]), 50), None, "another handle's");
        assert_eq!(cache.get(&key(1), 1_001), None, "it has run out");
        cache.put(key(1), b"again", 1_001, 2_000);
        assert_eq!(cache.get(&key(1), 1_500), Some(&b"again"[..]));
        cache.put(key(99), &vec![b'x'; CACHE_ENTRY_BYTES + 1], 0, 9_000);
        assert_eq!(cache.get(&key(99), 1), None, "too long to be kept");
        assert_eq!(cache.get(&key(2), 50), Some(&b"answer 2"[..]));
    }

    #[test]
    fn nothing_is_kept_unless_asked_for() {
        assert!(Shelf::new(0).is_none());
        let query = Query { latitude_deg: 1.0, longitude_deg: 2.0, radius_m: 3.0, items: 4 };
        let (mine, others) = (Shelf::new(60).expect("kept"), Shelf::new(u64::MAX).expect("kept"));
        mine.put(&query, b"mine");
        others.put(&query, b"others");
        assert_eq!(mine.get(&query).as_deref(), Some(&b"mine"[..]));
        assert_eq!(others.get(&query).as_deref(), Some(&b"others"[..]));
        assert_eq!(mine.get(&Query { items: 5, ..query }), None);
    }
}
