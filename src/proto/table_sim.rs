//! For the simulator alone (feature `sim`): what a checker needs to see of the table, and a hand that spoils it.
//!
//! Nothing of the core calls this, and no node is built with it.

use super::super::fields::ClientId;
use super::super::node::Node;
use super::{Sighting, Table, UpdateRef, tie};

impl<const SLOTS: usize> Table<SLOTS> {
    /// Every entry by slot, those past their age included, with the second in which its origin heard it.
    pub fn sim_entries(&self) -> impl Iterator<Item = (UpdateRef<'_>, i32)> {
        self.map
            .iter()
            .map(|(key, entry)| (UpdateRef { client: &key.client, sighting: &entry.sighting }, entry.heard_s))
    }
}

impl<const SLOTS: usize> Node<SLOTS> {
    /// Changes an entry behind the core's back, as a bit that flips in memory does: it is pending for no neighbour and
    /// no timer is set. `false` if there is no such entry.
    pub fn sim_spoil(&mut self, client: &ClientId, spoil: impl FnOnce(&mut Sighting)) -> bool {
        let table = &mut self.table;
        let Some(slot) = table.map.get_index_of(&table.key(client)) else { return false };
        let (_, entry) = table.map.get_index_mut(slot).expect("it was just found");
        spoil(&mut entry.sighting);
        let (rank, map) = (entry.sighting.rank.0, &table.map);
        table.floor.update(slot, rank, |a, b| tie(map, a, b));
        true
    }
}
