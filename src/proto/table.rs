//! The table: the newest update of each client, and the updates pending for each neighbour.
//!
//! The table holds one entry for each client. Of two updates of a client, the larger in the strict order stays
//! ([`Sighting::compare`]). When the table is full, a new client's update is compared with the smallest entry
//! of all ([`UpdateRef::compare`]). If the update is larger, the table evicts that entry. If it is smaller, the
//! table refuses the update and the node does not flood it. So the table holds the newest K updates in whatever
//! order they arrive, and a node with K entries holds exactly the newest K of a larger node.
//!
//! An entry lives for a day, or less by the configuration, by the node's steady clock. The node does not advertise it in the last tenth of its
//! life. So a node that has dropped the entry does not get it back from a node whose clock runs slower.
//!
//! Remote clients choose the ids, so the hash is keyed: a client cannot choose ids that collide. A `heapless`
//! map cannot hold a keyed hasher in a `const`. Therefore the key stores its keyed hash, and the map's unkeyed
//! hash only spreads that.
//!
//! Invariants: the table holds at most `capacity` entries; every entry is in the eviction heap; a pending bit
//! implies an entry. `swap_remove` moves the last entry into the hole, so heap and bits move with it.

use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

use heapless::index_map::FnvIndexMap;
use siphasher::sip::SipHasher13;

use super::dirty::Dirty;
use super::eviction_heap::EvictionHeap;
use super::fields::ClientId;
use super::limits::NEIGHBOURS_MAX;
use super::names::NodeId;
use super::pending::Pending;
use super::quota::{QuotaKey, Quotas};
use super::time::Timestamp;
use super::update::{Sighting, Update, UpdateRef};

/// A client id and its keyed hash, of which the map uses 16 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    hash: u16,
    client: ClientId,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u16(self.hash);
    }
}

/// Packed like its fields, so that only one byte is padding.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(2))]
struct Entry {
    sighting: Sighting,
    /// When the origin heard the client, in seconds of this node's steady clock. Negative before this node's
    /// start.
    heard_s: i32,
    /// The quota that the entry counts against.
    holder: QuotaKey,
}

/// Bytes of an entry with its key in the map: two bytes of hash, the key, the entry, padding.
const ENTRY_BYTES: usize = size_of::<(u16, Key, Entry)>();
const _: () = assert!(ENTRY_BYTES <= 146, "an entry has grown: look at the layout of Sighting");

/// The result of offering an update to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The update replaced an older one of its client. It is now pending for all other neighbours.
    News,
    /// Like [`Admission::News`], for a client that the table did not hold.
    Newcomer,
    /// The table holds an identical update. Nothing has changed.
    Duplicate,
    /// The table holds a larger update of this client. Nothing has changed.
    Stale,
    /// The table is full of larger updates. Nothing has changed.
    BelowFloor,
    /// It has outlived its age; nothing has changed.
    TooOld,
    /// Its address holds as many clients as it may, and this is none of them; nothing has changed.
    OverQuota,
}

/// Where an update came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client of this node.
    Client {
        /// Whose quota the entry counts against.
        quota_key: QuotaKey,
    },
    /// The neighbour of this number.
    Neighbour(usize),
    /// A snapshot or the node before a restart. The entry is pending for no neighbour: links are not up yet,
    /// and the first digest on each link finds what the other end lacks.
    Restored,
}

impl Source {
    fn quota_key(self) -> QuotaKey {
        match self {
            Source::Client { quota_key } => quota_key,
            Source::Neighbour(_) | Source::Restored => QuotaKey::EXEMPT,
        }
    }
}

/// The newest update of each client, for at most `SLOTS / 2` clients.
#[derive(Debug)]
pub struct Table<const SLOTS: usize> {
    map: FnvIndexMap<Key, Entry, SLOTS>,
    heap: EvictionHeap<SLOTS>,
    pending: Pending<SLOTS>,
    quotas: Quotas,
    dirty: Dirty,
    /// The largest number of entries.
    capacity: usize,
    /// An entry's life, in seconds.
    age_s_max: i32,
    /// The secret of the map's hash.
    hash_key: (u64, u64),
    /// One bit for each neighbour.
    neighbours: u16,
    evicted: u64,
}

impl<const SLOTS: usize> Table<SLOTS> {
    /// An empty table of capacity 0. All bytes are zero, so it fits a static.
    pub(super) const fn new() -> Self {
        Table {
            map: FnvIndexMap::new(),
            heap: EvictionHeap::new(),
            pending: Pending::new(),
            quotas: Quotas::new(),
            dirty: Dirty::new(),
            capacity: 0,
            age_s_max: 0,
            hash_key: (0, 0),
            neighbours: 0,
            evicted: 0,
        }
    }

    /// Sets the values that are only known at run time. The table reduces `capacity` to what this build can
    /// hold.
    pub(super) fn start(&mut self, capacity: usize, age_s_max: u32, hash_key: (u64, u64), neighbours: usize) {
        debug_assert!(self.map.is_empty(), "a table is started once");
        self.set_limits(capacity, age_s_max);
        self.hash_key = hash_key;
        self.set_neighbours(neighbours);
    }

    /// Sets the largest number of entries and their life in seconds. The smallest entries that have no more room
    /// are evicted.
    pub(super) fn set_limits(&mut self, capacity: usize, age_s_max: u32) {
        self.capacity = capacity.clamp(1, SLOTS / 2);
        self.age_s_max = i32::try_from(age_s_max).unwrap_or(i32::MAX);
        while self.map.len() > self.capacity {
            self.remove(self.heap.smallest().expect("the table is not empty"));
            self.evicted += 1;
        }
    }

    /// Sets the number of neighbours, numbered from 0. Nothing is pending for the new ones.
    pub(super) fn set_neighbours(&mut self, count: usize) {
        debug_assert!(count <= NEIGHBOURS_MAX);
        self.neighbours = u16::try_from((1_u32 << count) - 1).unwrap_or(u16::MAX);
    }

    /// Removes the neighbour of number `to`. The neighbour of number `from`, the last, takes its number and its
    /// pending entries.
    pub(super) fn move_neighbour(&mut self, from: usize, to: usize) {
        self.pending.move_neighbour(from, to);
    }

    /// Sets the number of clients that an address may hold.
    pub(super) fn set_clients_per_address(&mut self, max: u32) {
        self.quotas.set_max(max);
    }

    /// The secret of the map's hash, for other hashes of remote input.
    pub(super) fn hash_key(&self) -> (u64, u64) {
        self.hash_key
    }

    /// Renumbers the origins of all entries. `number` must preserve the order.
    pub(super) fn renumber(&mut self, number: impl Fn(NodeId) -> NodeId) {
        for (_, entry) in &mut self.map {
            entry.sighting.origin = number(entry.sighting.origin);
        }
    }

    /// Number of entries, including expired ones that the node has not swept yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The largest number of entries.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Entries evicted by larger ones since the start.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Age of the oldest entry in seconds, `None` for an empty table. Reads all entries.
    #[must_use]
    pub fn oldest_s(&self, now_s: i32) -> Option<i32> {
        self.map.values().map(|entry| self.age_s(entry, now_s)).max()
    }

    /// The rank of each entry, and whether its origin's clock was trusted.
    pub(super) fn ranks(&self) -> impl Iterator<Item = (Timestamp, bool)> {
        self.map.values().map(|entry| (entry.sighting.rank, entry.sighting.clock_was_trusted()))
    }

    /// The updates pending for each neighbour.
    #[must_use]
    pub fn pending(&self) -> &Pending<SLOTS> {
        &self.pending
    }

    /// The smallest entry if the table is full. The table refuses updates below it.
    #[must_use]
    pub fn floor(&self) -> Option<UpdateRef<'_>> {
        if self.map.len() < self.capacity { None } else { self.update(self.heap.smallest()?) }
    }

    /// The entry of `client`, unless it has expired.
    #[must_use]
    pub fn get(&self, client: &ClientId, now_s: i32) -> Option<&Sighting> {
        let entry = self.map.get(&self.key(client))?;
        (!self.is_expired(entry, now_s)).then_some(&entry.sighting)
    }

    /// Offers an update that its origin heard at `heard_s`. The head of this file gives the rules.
    pub(super) fn admit(&mut self, update: &Update, heard_s: i32, now_s: i32, from: Source) -> Admission {
        if now_s.saturating_sub(heard_s) >= self.age_s_max {
            return Admission::TooOld;
        }
        let key = self.key(&update.client);
        let mut found = self.map.get_index_of(&key);
        if found.is_some_and(|slot| self.is_expired(self.entry(slot), now_s)) {
            self.remove(found.take().expect("just seen"));
        }
        match found {
            Some(slot) => self.admit_known(slot, update, heard_s, from),
            None => self.admit_newcomer(key, update, heard_s, from),
        }
    }

    fn admit_known(&mut self, slot: usize, update: &Update, heard_s: i32, from: Source) -> Admission {
        let (old, new) = (&self.entry(slot).sighting, &update.sighting);
        // At its origin the same time and place is a duplicate, although the clock now shows another time.
        let is_repeat = matches!(from, Source::Client { .. })
            && old.origin == new.origin
            && old.position == new.position
            && old.time.compare(&new.time).is_eq();
        match new.compare(old) {
            _ if is_repeat => Admission::Duplicate,
            Ordering::Less => Admission::Stale,
            Ordering::Equal => {
                // The neighbour that sends an update has it.
                if let Source::Neighbour(neighbour) = from {
                    self.pending.clear(neighbour, slot);
                }
                Admission::Duplicate
            }
            Ordering::Greater if !self.quotas.allows(from.quota_key(), Some(self.entry(slot).holder)) => {
                Admission::OverQuota
            }
            Ordering::Greater => {
                let (_, entry) = self.map.get_index_mut(slot).expect("the slot was just found");
                let old = core::mem::replace(
                    entry,
                    Entry { sighting: update.sighting, heard_s, holder: from.quota_key() },
                );
                self.quotas.pass(old.holder, from.quota_key());
                let map = &self.map;
                self.heap.update(slot, update.sighting.rank.0, |a, b| tie(map, a, b));
                self.dirty.set(slot);
                self.mark_pending_for_others(slot, from);
                Admission::News
            }
        }
    }

    fn admit_newcomer(&mut self, key: Key, update: &Update, heard_s: i32, from: Source) -> Admission {
        if self.floor().is_some_and(|smallest| update.borrowed().compare(&smallest).is_lt()) {
            return Admission::BelowFloor;
        }
        if !self.quotas.allows(from.quota_key(), None) {
            return Admission::OverQuota;
        }
        if self.map.len() == self.capacity {
            self.remove(self.heap.smallest().expect("a full table has a smallest entry"));
            self.evicted += 1;
        }
        let slot = self.map.len();
        debug_assert!(slot < self.capacity);
        let inserted =
            self.map.insert(key, Entry { sighting: update.sighting, heard_s, holder: from.quota_key() });
        debug_assert!(matches!(inserted, Ok(None)), "the client was not there and the map has room");
        self.quotas.pass(QuotaKey::EXEMPT, from.quota_key());
        let map = &self.map;
        self.heap.push(slot, update.sighting.rank.0, |a, b| tie(map, a, b));
        self.dirty.set(slot);
        self.mark_pending_for_others(slot, from);
        Admission::Newcomer
    }

    fn mark_pending_for_others(&mut self, slot: usize, from: Source) {
        if from == Source::Restored {
            return;
        }
        let mut left = self.neighbours;
        while left != 0 {
            let neighbour = left.trailing_zeros() as usize;
            left &= left - 1;
            if from == Source::Neighbour(neighbour) {
                self.pending.clear(neighbour, slot);
            } else {
                self.pending.set(neighbour, slot);
            }
        }
    }

    /// Takes the next update pending for `neighbour`, with its age in seconds. It is then not pending.
    pub(super) fn take_pending(&mut self, neighbour: usize, now_s: i32) -> Option<(UpdateRef<'_>, u32)> {
        // Each turn clears a bit, so the loop ends.
        let slot = loop {
            let slot = self.pending.next(neighbour)?;
            self.pending.clear(neighbour, slot);
            if self.is_advertised(self.entry(slot), now_s) {
                break slot;
            }
        };
        self.aged(slot, now_s)
    }

    /// Marks every advertised entry for which `differs` holds as pending for `neighbour`. Returns their number.
    pub(super) fn mark_pending_where(
        &mut self,
        neighbour: usize,
        now_s: i32,
        differs: impl Fn(UpdateRef) -> bool,
    ) -> usize {
        let mut count = 0;
        for slot in 0..self.map.len() {
            let advertised = self.is_advertised(self.entry(slot), now_s);
            if advertised && self.update(slot).is_some_and(&differs) {
                self.pending.set(neighbour, slot);
                count += 1;
            }
        }
        count
    }

    /// The entries that are young enough to be advertised to neighbours.
    pub fn advertised(&self, now_s: i32) -> impl Iterator<Item = UpdateRef<'_>> {
        let young = self.map.iter().filter(move |(_, entry)| self.is_advertised(entry, now_s));
        young.map(|(key, entry)| UpdateRef { client: &key.client, sighting: &entry.sighting })
    }

    /// Starts or stops recording which entries change.
    pub(super) fn watch(&mut self, is_watched: bool) {
        self.dirty.watch(is_watched);
    }

    /// Takes an entry that has changed since the last call returned it, with its age in seconds.
    pub(super) fn take_changed(&mut self, now_s: i32) -> Option<(UpdateRef<'_>, u32)> {
        // Each turn clears a bit, so the loop ends.
        loop {
            let slot = self.dirty.take()?;
            if !self.is_expired(self.entry(slot), now_s) {
                return self.aged(slot, now_s);
            }
        }
    }

    /// The entry of the highest slot below `end`: its slot, the entry, and its age in seconds.
    ///
    /// To read all entries in pieces while the table changes, the caller begins with [`usize::MAX`] and
    /// continues with the slot that the last call returned. The order is downwards, because a removal moves the
    /// last entry into the hole. An entry already read may move to a slot that is read again. An unread entry
    /// never moves to a slot already passed.
    #[must_use]
    pub fn below(&self, end: usize, now_s: i32) -> Option<(usize, UpdateRef<'_>, u32)> {
        let mut slots = (0..end.min(self.map.len())).rev();
        let slot = slots.find(|&slot| !self.is_expired(self.entry(slot), now_s))?;
        self.aged(slot, now_s).map(|(update, age_s)| (slot, update, age_s))
    }

    /// The entry at `slot` and its age in seconds, expired or not. `None` for a slot of [`Table::len`] or more.
    pub(super) fn aged(&self, slot: usize, now_s: i32) -> Option<(UpdateRef<'_>, u32)> {
        let (_, entry) = self.map.get_index(slot)?;
        Some((self.update(slot)?, u32::try_from(self.age_s(entry, now_s)).unwrap_or(0)))
    }

    /// Removes the entries that are expired or `unwanted`. Returns their number.
    pub(super) fn sweep(&mut self, now_s: i32, unwanted: impl Fn(&Sighting) -> bool) -> usize {
        let before = self.map.len();
        // From the last slot to the first: a removal then moves an entry that was checked already.
        for slot in (0..before).rev() {
            let entry = self.entry(slot);
            if self.is_expired(entry, now_s) || unwanted(&entry.sighting) {
                self.remove(slot);
            }
        }
        before - self.map.len()
    }

    fn remove(&mut self, slot: usize) {
        let last = self.map.len() - 1;
        let map = &self.map;
        self.heap.remove(slot, |a, b| tie(map, a, b));
        self.pending.clear_slot(slot);
        self.quotas.pass(self.entry(slot).holder, QuotaKey::EXEMPT);
        self.dirty.move_slot(last, slot);
        let (key, _) = self.map.get_index(slot).expect("the caller found the slot");
        let key = key.clone();
        self.map.swap_remove(&key);
        if slot != last {
            self.heap.move_slot(last, slot);
            self.pending.move_slot(last, slot);
        }
    }

    fn key(&self, client: &ClientId) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1);
        hasher.write(client.as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "the map uses 16 bits of a hash")]
        Key { hash: hasher.finish() as u16, client: client.clone() }
    }

    fn entry(&self, slot: usize) -> &Entry {
        self.map.get_index(slot).expect("a slot below the length holds an entry").1
    }

    fn update(&self, slot: usize) -> Option<UpdateRef<'_>> {
        let (key, entry) = self.map.get_index(slot)?;
        Some(UpdateRef { client: &key.client, sighting: &entry.sighting })
    }

    fn age_s(&self, entry: &Entry, now_s: i32) -> i32 {
        now_s.saturating_sub(entry.heard_s).max(0)
    }

    fn is_expired(&self, entry: &Entry, now_s: i32) -> bool {
        self.age_s(entry, now_s) >= self.age_s_max
    }

    fn is_advertised(&self, entry: &Entry, now_s: i32) -> bool {
        self.age_s(entry, now_s) < self.age_s_max - self.age_s_max / 10
    }
}

type Map<const SLOTS: usize> = FnvIndexMap<Key, Entry, SLOTS>;

/// Compares the entries of two slots. The heap calls this when their ranks are equal.
fn tie<const SLOTS: usize>(map: &Map<SLOTS>, a: usize, b: usize) -> Ordering {
    let update = |slot| {
        let (key, entry) = map.get_index(slot).expect("the heap holds slots of entries");
        UpdateRef { client: &key.client, sighting: &entry.sighting }
    };
    update(a).compare(&update(b))
}

#[cfg(feature = "sim")]
#[path = "table_sim.rs"]
mod sim;

#[cfg(test)]
#[path = "table_model_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
