//! Log lines about links, and why links are not up.

use std::fmt;
use std::net::SocketAddr;

use log::{debug, info, warn};

use super::boards::name;
use super::driver::Driver;
use super::warn_limit::Kind;
use crate::proto::default_node::BoardNode;
use crate::proto::names::NodeId;
use crate::proto::node::SessionId;
use crate::proto::node::links::LinkEvent;
use crate::proto::session::{Cut, Ended};
use crate::proto::time::Mono;

impl Driver {
    /// A neighbour could not be reached.
    pub(super) fn dial_failed(&self, node: NodeId, error: String) {
        self.node.borrow_mut().dial_failed(self.clock.steady(), node);
        // The node dials a down neighbour for ever. The log has a line when a link comes up or goes down, not for each attempt.
        debug!("link to {}: {error}", self.name(node));
        let mut errors = self.dial_errors.borrow_mut();
        errors.retain(|(other, _)| *other != node);
        errors.push((node, error));
    }

    /// The host name of a neighbour has these addresses now. If it has none: a warning, unless the dial before failed for the
    /// same reason.
    pub(super) fn looked_up(&self, node: NodeId, found: &Result<Vec<SocketAddr>, String>) {
        let why = match found {
            Ok(found) => return self.addresses.borrow_mut().found(node, found),
            Err(why) => why,
        };
        if !self.dial_errors.borrow().iter().any(|(other, last)| *other == node && last == why) {
            let now = self.clock.steady();
            self.warnings.warn(Kind::LookUp, now, &format_args!("link to {}: {why}", self.name(node)));
        }
    }

    /// A link connection has ended on its own.
    pub(super) fn link_closed(&self, id: SessionId, why: &dyn fmt::Display) {
        let mut node = self.node.borrow_mut();
        let now = self.clock.steady();
        let (peer, unproven) = (node.peer(id), node.awaits_proof_of(id));
        node.closed(now, id);
        match (peer, unproven) {
            (Some(peer), _) => info!("link to {} is down: {why}", name(&node, peer)),
            (None, Some(alleged)) => self.warnings.warn(
                Kind::Unproven,
                now,
                &format_args!(
                    "link to {} does not come up: {why} before the handshake was complete (if this repeats, check that both nodes have the same key)",
                    name(&node, alleged)
                ),
            ),
            (None, None) => debug!("a link connection ended before it was up: {why}"),
        }
    }

    pub(super) fn log_event(&self, now: Mono, id: SessionId, event: LinkEvent) {
        if let LinkEvent::Up { node, .. } | LinkEvent::NameInUse { node } = event {
            self.boards.authenticated(id, node);
        }
        if let LinkEvent::Up { node, .. } = event {
            // The next failure is a new one.
            self.dial_errors.borrow_mut().retain(|(other, _)| *other != node);
        }
        match event {
            LinkEvent::None => {}
            LinkEvent::FactsAsked => self.tell_facts(),
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
            (Cut::Refused, None, Some(alleged)) => {
                let alleged = name(node, alleged);
                let message = format!("link to {alleged} does not come up: {reason}");
                self.warnings.warn(Kind::Unproven, now, &message);
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
