//! The boards behind the names of nodes: their addresses, and the names as text.

use std::cell::RefCell;
use std::net::IpAddr;

use crate::proto::default_node::BoardNode;
use crate::proto::limits::SESSIONS_MAX;
use crate::proto::names::NodeId;
use crate::proto::node::SessionId;

/// Addresses of the boards that have authenticated in a neighbour's name: the last two of each neighbour.
#[derive(Debug, Default)]
pub(super) struct Boards {
    sessions: RefCell<[Option<IpAddr>; SESSIONS_MAX]>,
    last: RefCell<Vec<(NodeId, [Option<IpAddr>; 2])>>,
}

impl Boards {
    /// A connection was accepted or dialled.
    pub(super) fn open(&self, id: SessionId, peer: Option<IpAddr>) {
        self.sessions.borrow_mut()[usize::from(id.index)] = peer.map(|peer| peer.to_canonical());
    }

    /// How many of these sessions are with this address.
    pub(super) fn count(&self, peer: IpAddr, is_one: impl Fn(usize) -> bool) -> usize {
        let (sessions, peer) = (self.sessions.borrow(), Some(peer.to_canonical()));
        sessions.iter().enumerate().filter(|(index, at)| **at == peer && is_one(*index)).count()
    }

    /// The peer has authenticated as this node.
    pub(super) fn authenticated(&self, id: SessionId, node: NodeId) {
        let address = self.sessions.borrow()[usize::from(id.index)];
        let mut last = self.last.borrow_mut();
        match last.iter_mut().find(|(other, _)| *other == node) {
            Some((_, addresses)) => *addresses = [address, addresses[0]],
            None => last.push((node, [address, None])),
        }
    }

    /// The last two addresses of a neighbour in words.
    pub(super) fn words(&self, node: NodeId) -> String {
        let last = self.last.borrow();
        let addresses = last.iter().find(|(other, _)| *other == node).map_or([None; 2], |(_, last)| *last);
        let words = addresses.map(|address| {
            address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
        });
        words.join(" and ")
    }

    /// A reload has changed the numbers of nodes.
    pub(super) fn forget(&self) {
        self.last.borrow_mut().clear();
    }
}

/// A node's name as text.
pub(super) fn name(node: &BoardNode, id: NodeId) -> String {
    String::from_utf8_lossy(node.names().name(id)).into_owned()
}
