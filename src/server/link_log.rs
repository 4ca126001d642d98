//! Log lines about links.

use log::{debug, info, warn};

use super::boards::name;
use super::driver::Driver;
use super::warn_limit::Kind;
use crate::proto::default_node::BoardNode;
use crate::proto::node::SessionId;
use crate::proto::node::links::LinkEvent;
use crate::proto::session::{Cut, Ended};
use crate::proto::time::Mono;

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
