//! Caches answers of an upstream for a while, if the configuration enables it (`places.cache_s`).
//!
//! The cache is off by default. It must stay off for Google, whose terms of service forbid to store its content. Use it with
//! a service of your own. The cache stores only whole answers (`OK`, `ZERO_RESULTS`) after truncation. The key is position,
//! radius and count, so a cached answer equals the first one to the byte.
//!
//! This module does not know HTTP or JSON. Its memory is fixed at build time. It is a static of zeroes, so a node without
//! a cache never touches it. An `Instant` is not zeroes, so times are milliseconds. When the cache is full, a new answer
//! replaces the oldest one. An answer longer than a slot is not cached.

use crate::places::Query;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Most cached answers.
pub const CACHE_ENTRIES: usize = 16;

/// Longest cached answer in bytes: two of Google's results or ten offline results.
pub const CACHE_ENTRY_BYTES: usize = 4096;

static CACHE: Mutex<Cache> = Mutex::new(Cache::new());

/// The part of the process's only cache that belongs to one [`Places`](crate::places::Places).
pub(crate) struct Shelf {
    /// Separates the answers of several handles in one process.
    owner: u64,
    lifetime_ms: u64,
}

impl Shelf {
    /// `None` when the cache is off. The cache's memory then stays untouched.
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

/// Milliseconds since the first call.
fn now_ms() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    u64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Ignores poison: a slot is marked expired during a write, so a panic leaves no half-written slot in use.
fn lock() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owners count from 1, so no key equals a slot of zeroes.
type Key = (u64, [u64; 4]);

struct Cache {
    slots: [Slot; CACHE_ENTRIES],
}

struct Slot {
    /// Zero in an unused slot.
    key: Key,
    /// When the answer was stored, and when it expires.
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
        // Prefer the same key's slot, then an expired slot, then the oldest slot.
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
    fn the_oldest_is_replaced_and_answers_expire() {
        let key = |n: u64| (1, [n, 0, 0, 0]);
        let mut cache = Box::new(Cache::new());
        for n in 0..=CACHE_ENTRIES as u64 {
            cache.put(key(n), format!("answer {n}").as_bytes(), n, 1_000 + n);
        }
        assert_eq!(cache.get(&key(0), 50), None, "the oldest was replaced");
        assert_eq!(cache.get(&key(1), 50), Some(&b"answer 1"[..]));
        assert_eq!(cache.get(&(2, [1, 0, 0, 0]), 50), None, "another handle's");
        assert_eq!(cache.get(&key(1), 1_001), None, "it has expired");
        cache.put(key(1), b"again", 1_001, 2_000);
        assert_eq!(cache.get(&key(1), 1_500), Some(&b"again"[..]));
        cache.put(key(99), &vec![b'x'; CACHE_ENTRY_BYTES + 1], 0, 9_000);
        assert_eq!(cache.get(&key(99), 1), None, "too long for a slot");
        assert_eq!(cache.get(&key(2), 50), Some(&b"answer 2"[..]));
    }

    #[test]
    fn nothing_is_cached_by_default() {
        assert!(Shelf::new(0).is_none());
        let query = Query { latitude_deg: 1.0, longitude_deg: 2.0, radius_m: 3.0, items: 4 };
        let (mine, others) =
            (Shelf::new(60).expect("the cache is on"), Shelf::new(u64::MAX).expect("the cache is on"));
        mine.put(&query, b"mine");
        others.put(&query, b"others");
        assert_eq!(mine.get(&query).as_deref(), Some(&b"mine"[..]));
        assert_eq!(others.get(&query).as_deref(), Some(&b"others"[..]));
        assert_eq!(mine.get(&Query { items: 5, ..query }), None);
    }
}
