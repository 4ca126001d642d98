//! A reload: the configuration changes while the node runs. Links that both configurations list stay up, and
//! the table stays.
//!
//! A node number is a place in the sorted list of names, so a new list renumbers the nodes. Their order does
//! not change, because it is the order of the names. So the strict order of updates is the same before and
//! after.
//!
//! A neighbour's number is its index in the links and its column of pending bits. Remaining neighbours move to
//! the front, and new ones follow. So after a reload the links are not sorted by name.

use super::link::Link;
use super::secret::Secrecy;
use super::{Node, StartError};
use crate::auth::Keys;
use crate::limits::{AGE_S_MAX, NEIGHBOURS_MAX, NODES_MAX};
use crate::names::{Names, NodeId};
use crate::session::{Cut, Phase, Session};
use crate::time::{Mono, Now};
use crate::update::{Sighting, Update};

/// The new configuration of a node.
#[derive(Debug)]
pub struct Reload<'a> {
    /// The names of all nodes of the configuration, sorted.
    pub names: &'a [&'a str],
    /// The neighbours' places in `names`, rising.
    pub neighbours: &'a [usize],
    /// The herd's keys. `None` only if every address is loopback.
    pub keys: Option<Keys>,
    /// What the node needs for secret links. `None` for signed ones.
    pub secrecy: Option<Secrecy<'a>>,
}

/// The result of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Neighbours of both configurations. Their links stayed, up or not.
    pub retained: usize,
    /// New neighbours.
    pub added: usize,
    /// Neighbours that the new configuration does not list.
    pub removed: usize,
    /// Entries removed because the new configuration does not list their origin.
    pub entries_dropped: usize,
}

/// The new number of each node of the old list.
struct Renumbering([Option<NodeId>; NODES_MAX]);

impl Renumbering {
    fn new(old: &Names, new: &[&str]) -> Self {
        let mut places = [None; NODES_MAX];
        for (old, place) in old.each().zip(&mut places) {
            *place = new.binary_search_by(|name| name.as_bytes().cmp(old)).ok().and_then(NodeId::at);
        }
        Renumbering(places)
    }

    fn of(&self, node: NodeId) -> Option<NodeId> {
        self.0[node.index()]
    }
}

impl<const SLOTS: usize> Node<SLOTS> {
    /// Applies a new configuration. The node's own name and all state that the new configuration allows stay.
    /// After this call an earlier [`NodeId`] may mean another node or none. The server cancels the dials that
    /// are under way.
    ///
    /// # Errors
    /// [`StartError`]: the new configuration is invalid, or does not list this node. The node has not changed.
    pub fn reload(&mut self, now: &Now, reload: &Reload) -> Result<Reloaded, StartError> {
        Names::check(reload.names.iter().copied()).map_err(StartError::Names)?;
        let renumbering = Renumbering::new(&self.names, reload.names);
        let me = renumbering.of(self.me()).ok_or(StartError::Neighbours)?;
        let neighbours = checked_neighbours(reload, me)?;
        self.end_if_keys_are_withdrawn(now.mono, reload.keys.as_ref());
        self.keys.clone_from(&reload.keys);

        // Expired entries go first, so that `entries_dropped` does not count them.
        self.sweep(now);
        // This happens before the renumbering: the eviction heap is ordered by the old numbers.
        let is_dropped = |sighting: &Sighting| renumbering.of(sighting.origin).is_none();
        let entries_dropped = self.table.sweep(now.mono.seconds(), is_dropped);
        self.table.renumber(|origin| {
            renumbering.of(origin).expect("entries without a new number were removed above")
        });
        // The sets and neighbours of a census have the old numbers.
        self.censuses.clear();
        let before = self.links.len();
        let removed = self.remove_links(now.mono, |link| {
            renumbering.of(link.node).is_none_or(|node| !neighbours.contains(&node))
        });
        self.names.clear();
        self.names.fill(reload.names.iter().copied()).map_err(StartError::Names)?;
        self.me = Some(me);
        self.renumber_links(&renumbering);
        let retained = before - removed;
        for &node in &neighbours {
            if !self.links.iter().any(|link| link.node == node) {
                let pushed = self.links.push(Link::new(me, node));
                debug_assert!(pushed.is_ok(), "there are at most 16 neighbours, and they were counted");
            }
        }
        self.table.set_neighbours(self.links.len());
        self.set_secrecy(reload.secrecy.as_ref());
        self.end_if_revoked(now.mono);
        if entries_dropped > 0 {
            self.doubt_all(now.mono);
        }
        Ok(Reloaded { retained, added: self.links.len() - retained, removed, entries_dropped })
    }

    /// Sets the largest number of entries, and their life in seconds, as [`Setup`](super::Setup) does. The smallest
    /// entries that have no more room are evicted.
    pub fn set_limits(&mut self, capacity: usize, age_s_max: u32) {
        self.age_s_max = age_s_max.min(AGE_S_MAX);
        self.table.set_limits(capacity, self.age_s_max);
    }

    /// Ends all links if their key was removed, or if the herd changed between keys and no keys. The node dials
    /// them again.
    fn end_if_keys_are_withdrawn(&mut self, now: Mono, keys: Option<&Keys>) {
        let stays = match (&self.keys, keys) {
            (None, None) => true,
            (Some(old), Some(new)) => new.include(old),
            _ => false,
        };
        if stays {
            return;
        }
        for index in 0..self.sessions.len() {
            if self.sessions[index].phase != Phase::Free {
                self.end(now, index, Some(Cut::MapChanged));
            }
        }
        for link in &mut self.links {
            link.dial_at = now;
        }
    }

    /// Removes the links for which `is_removed` holds, and moves the last link into each gap.
    fn remove_links(&mut self, now: Mono, is_removed: impl Fn(&Link) -> bool) -> usize {
        let mut removed = 0;
        // From the last to the first: the link that fills a gap was checked already.
        for number in (0..self.links.len()).rev() {
            if !is_removed(&self.links[number]) {
                continue;
            }
            let is_its = |session: &Session| session.neighbour.map(usize::from) == Some(number);
            while let Some(index) = self.sessions.iter().position(is_its) {
                self.end(now, index, Some(Cut::MapChanged));
            }
            let last = self.links.len() - 1;
            self.links.swap_remove(number);
            self.table.move_neighbour(last, number);
            let moved = u8::try_from(number).ok();
            for session in &mut self.sessions {
                if session.neighbour.map(usize::from) == Some(last) {
                    session.neighbour = moved;
                }
            }
            removed += 1;
        }
        removed
    }

    fn renumber_links(&mut self, renumbering: &Renumbering) {
        let listed = "links to unlisted nodes were removed above";
        for (number, link) in self.links.iter_mut().enumerate() {
            link.node = renumbering.of(link.node).expect(listed);
            // The server cancels the dials that are under way: it knows their nodes by the old numbers.
            let is_dialled = |session: &Session| {
                session.dialled
                    && session.phase != Phase::Up
                    && session.neighbour.map(usize::from) == Some(number)
            };
            link.dialling = self.sessions.iter().any(is_dialled);
        }
        for (_, ended) in &mut self.cuts {
            ended.peer = ended.peer.and_then(|node| renumbering.of(node));
            ended.alleged = ended.alleged.and_then(|node| renumbering.of(node));
        }
        for session in &mut self.sessions {
            if let Some(peer) = &mut session.peer {
                peer.node = renumbering.of(peer.node).expect(listed);
            }
            // A digest at a removed floor cannot be answered. The next round replaces it.
            if let Some(floor) = &mut session.digest.due_floor {
                match renumbering.of(floor.sighting.origin) {
                    Some(origin) => floor.sighting.origin = origin,
                    None => {
                        session.digest.due = None;
                        session.digest.due_floor = None::<Update>;
                    }
                }
            }
        }
    }

    /// The table has lost entries that neighbours may hold. No neighbour counts as in sync until its next
    /// digest.
    fn doubt_all(&mut self, now: Mono) {
        for link in &mut self.links {
            link.equal_at = None;
        }
        for session in self.sessions.iter_mut().filter(|session| session.phase == Phase::Up) {
            session.compared(now, false);
        }
    }
}

fn checked_neighbours(
    reload: &Reload,
    me: NodeId,
) -> Result<heapless::Vec<NodeId, NEIGHBOURS_MAX>, StartError> {
    let mut neighbours = heapless::Vec::new();
    for &index in reload.neighbours {
        let node = NodeId::at(index).filter(|&node| node != me && index < reload.names.len());
        let node = node.filter(|&node| neighbours.last().is_none_or(|&last| last < node));
        neighbours.push(node.ok_or(StartError::Neighbours)?).map_err(|_| StartError::Neighbours)?;
    }
    Ok(neighbours)
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
