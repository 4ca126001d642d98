//! Log lines about links, and the addresses of the boards behind them.

use std::cell::RefCell;
use std::net::IpAddr;

use log::{debug, info, warn};

use super::driver::Driver;
use super::warn_limit::Kind;
use crate::proto::default_node::BoardNode;
use crate::proto::limits::SESSIONS_MAX;
use crate::proto::names::NodeId;
use crate::proto::node::SessionId;
use crate::proto::node::links::LinkEvent;
use crate::proto::session::{Cut, Ended};
use crate::proto::time::Mono;

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

impl Driver {
    pub(super) fn log_event(&self, now: Mono, id: SessionId, event: LinkEvent) {
        if let LinkEvent::Up { node, .. } | LinkEvent::NameInUse { node } = event {
            self.boards.authenticated(id, node);
        }
        match event {
            LinkEvent::None => {}
            LinkEvent::NameInUse { node } => self.warnings.warn(
                Kind::NameInUse,
                now,
                &format_args!(
                    "two boards use the name {}, at {}: give each board its own name (was an SD card copied?)",
                    self.name(node),
                    self.boards.words(node)
                ),
            ),
            LinkEvent::Up { node, restarted: false } => info!("link to {} is up", self.name(node)),
            LinkEvent::Up { node, restarted: true } => {
                info!("link to {} is up; the neighbour has restarted", self.name(node));
            }
            LinkEvent::Equal { node } => debug!("in sync with {}", self.name(node)),
            LinkEvent::Differs { node, pending } => {
                info!("out of sync with {}: {pending} updates are pending for it", self.name(node));
            }
        }
    }

    pub(super) fn log_cut(&self, node: &BoardNode, now: Mono, ended: &Ended) {
        let reason = ended.cut.reason();
        match (ended.cut, ended.peer, ended.alleged) {
            (Cut::DialBack, ..) => debug!("link connection closed: {reason}"),
            (Cut::MapChanged, ..) => info!("link connection closed: {reason}"),
            // The log has "is up" for the newer link already; "is down" after it would mislead the operator.
            (Cut::Replaced, Some(peer), _) => {
                info!("old connection to {} closed: {reason}", name(node, peer));
            }
            (_, Some(peer), _) => warn!("link to {} is down: {reason}", name(node, peer)),
            (_, None, Some(alleged)) => {
                let alleged = name(node, alleged);
                self.warnings.warn(
                    Kind::Alleged,
                    now,
                    &format_args!("refused a link connection that claims to be {alleged}: {reason}"),
                );
            }
            (_, None, None) => {
                self.warnings.warn(Kind::Stranger, now, &format_args!("refused a link connection: {reason}"));
            }
        }
    }
}

/// A node's name as text.
pub(super) fn name(node: &BoardNode, id: NodeId) -> String {
    String::from_utf8_lossy(node.names().name(id)).into_owned()
}
