//! For the simulator alone (feature `sim`): what a checker needs to see of the table, and a hand that spoils it.
//!
//! Nothing of the core calls this, and no node is built with it.

use super::super::fields::ClientId;
use super::super::node::Node;
use super::{Sighting, Table, Version};

impl<const SLOTS: usize> Table<SLOTS> {
    /// Every entry by slot, those past their age included, with the second in which its origin heard it.
    pub fn sim_entries(&self) -> impl Iterator<Item = (Version<'_>, i32)> {
        self.map
            .iter()
            .map(|(key, entry)| (Version { client: &key.client, sighting: &entry.sighting }, entry.heard_s))
    }
}

impl<const SLOTS: usize> Node<SLOTS> {
    /// Changes an entry behind the core's back, as a bit that flips in memory does: it is owed to nobody and
    /// no timer is set. The time must stay: the heap holds a copy. `false` if there is no such entry.
    pub fn sim_spoil(&mut self, client: &ClientId, spoil: impl FnOnce(&mut Sighting)) -> bool {
        let key = self.table.key(client);
        match self.table.map.get_mut(&key) {
            Some(entry) => {
                spoil(&mut entry.sighting);
                true
            }
            None => false,
        }
    }
}
