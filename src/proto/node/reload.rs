//! A configuration that changes while the node runs: links that are in both configurations stay up, and so does the table.
//!
//! Part of [`Node`]; apart from it for length only. A node is a number here, its place in the sorted list
//! of names, so a new list renumbers nodes. It never changes their order, which is that of the names:
//! the strict order of updates, and all that rests on it, is the same before and after.
//!
//! A neighbour's number is its place among the links and its column of pending bits. Neighbours that stay
//! move together; new ones come behind them. So after a reload links are in no order of names.

use super::{Link, Node, StartError};
use crate::auth::Keys;
use crate::limits::{NEIGHBOURS_MAX, NODES_MAX};
use crate::names::{Names, NodeId};
use crate::session::{Cut, Phase, Session};
use crate::time::{Mono, Now};
use crate::update::{Sighting, Update};

/// What a node is told when its configuration has changed.
#[derive(Debug)]
pub struct Reload<'a> {
    /// The names of all nodes of the configuration, sorted.
    pub names: &'a [&'a str],
    /// The neighbours' places in `names`, rising.
    pub neighbours: &'a [usize],
    /// The herd's keys; none only where every address is loopback.
    pub keys: Option<Keys>,
}

/// What a reload has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Neighbours whose links stayed as they were, up or not.
    pub kept: usize,
    /// Neighbours that are new.
    pub added: usize,
    /// Neighbours that are none any more.
    pub removed: usize,
    /// Entries dropped because the configuration lists their origin no more.
    pub entries_dropped: usize,
}

/// Where each node of the old list stands in the new one.
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
    /// Takes a new configuration. The node keeps its name, and everything that the new configuration does not speak against.
    /// A [`NodeId`] from before means another node, or none, from now on; the server gives up the dials
    /// that are under way.
    ///
    /// # Errors
    /// [`StartError`]: the new configuration is not fit, or this node is not in it. Nothing has changed then.
    pub fn reload(&mut self, now: &Now, reload: &Reload) -> Result<Reloaded, StartError> {
        Names::check(reload.names.iter().copied()).map_err(StartError::Names)?;
        let renumbering = Renumbering::new(&self.names, reload.names);
        let me = renumbering.of(self.me()).ok_or(StartError::Neighbours)?;
        let neighbours = checked_neighbours(reload, me)?;
        self.end_if_keys_are_withdrawn(now.mono, reload.keys.as_ref());
        self.keys.clone_from(&reload.keys);

        // What has outlived its age goes first, so that it is not counted among what the new configuration drops.
        self.sweep(now);
        // While origins still have their old numbers, by which the table's heap is in order.
        let is_dropped = |sighting: &Sighting| renumbering.of(sighting.origin).is_none();
        let entries_dropped = self.table.sweep(now.mono.seconds(), is_dropped);
        self.table.renumber(|origin| renumbering.of(origin).expect("those without a number were dropped"));
        // Their sets and neighbours are numbered by the old configuration.
        self.censuses.clear();
        let before = self.links.len();
        let removed = self.remove_links(now.mono, |link| {
            renumbering.of(link.node).is_none_or(|node| !neighbours.contains(&node))
        });
        self.names.clear();
        self.names.fill(reload.names.iter().copied()).map_err(StartError::Names)?;
        self.me = Some(me);
        self.renumber_links(&renumbering);
        let kept = before - removed;
        for &node in &neighbours {
            if !self.links.iter().any(|link| link.node == node) {
                let pushed = self.links.push(Link::new(me, node));
                debug_assert!(pushed.is_ok(), "there are at most 16 neighbours, and they were counted");
            }
        }
        self.table.set_neighbours(self.links.len());
        if entries_dropped > 0 {
            self.doubt_all(now.mono);
        }
        Ok(Reloaded { kept, added: self.links.len() - kept, removed, entries_dropped })
    }

    /// Links that were made with a key which is none any more, or without one where there is one now,
    /// are made anew.
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

    /// Takes away the links for which it is so, and closes the ranks behind them.
    fn remove_links(&mut self, now: Mono, is_removed: impl Fn(&Link) -> bool) -> usize {
        let mut removed = 0;
        // From the last to the first: the one that closes a gap has been looked at already.
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
        let listed = "a link to a node that the configuration lists no more was removed";
        for (number, link) in self.links.iter_mut().enumerate() {
            link.node = renumbering.of(link.node).expect(listed);
            // The server gives up the dials that are under way: it knows their nodes by the old numbers.
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
            // A digest at a floor that is gone cannot be answered; the next round is soon enough.
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

    /// The table has lost entries that neighbours may hold: none is known to be in sync.
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
