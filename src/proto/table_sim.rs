//! For the simulator only (feature `sim`): a checker reads the table, and a fault changes an entry.
//!
//! The core does not call this, and a node is never built with it.

use super::super::fields::ClientId;
use super::super::node::Node;
use super::{Sighting, Table, UpdateRef, tie};

impl<const SLOTS: usize> Table<SLOTS> {
    /// Every entry by slot, including expired ones, with the second in which its origin heard it.
    pub fn sim_entries(&self) -> impl Iterator<Item = (UpdateRef<'_>, i32)> {
        self.map
            .iter()
            .map(|(key, entry)| (UpdateRef { client: &key.client, sighting: &entry.sighting }, entry.heard_s))
    }
}

impl<const SLOTS: usize> Node<SLOTS> {
    /// Changes an entry without the core's knowledge, like a bit flip in memory. The entry does not become
    /// pending, and no timer is set. Returns `false` if the entry does not exist.
    pub fn sim_spoil(&mut self, client: &ClientId, spoil: impl FnOnce(&mut Sighting)) -> bool {
        let table = &mut self.table;
        let Some(slot) = table.map.get_index_of(&table.key(client)) else { return false };
        let (_, entry) = table.map.get_index_mut(slot).expect("it was just found");
        spoil(&mut entry.sighting);
        let (rank, map) = (entry.sighting.rank.0, &table.map);
        table.heap.update(slot, rank, |a, b| tie(map, a, b));
        true
    }
}
