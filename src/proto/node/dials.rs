//! Dialling: which node dials, when it dials, and which incoming connections it accepts.
//!
//! The node whose name sorts first dials for the link, so two nodes never have two links. The other node dials
//! too, but only to request a dial-back: once both have authenticated, the first node closes that connection
//! and dials. A board that returns after an hour is therefore linked at once, although its neighbours dial
//! rarely by then. After a power cut, its neighbours do not wait until the old link times out. A stranger
//! cannot request a dial-back, because the request is authenticated like a link.

use super::link::Link;
use super::{Node, SessionId};
use crate::limits::{
    BACKOFF_MS_MAX, BACKOFF_MS_MIN, EXPECTED_MS_MIN, LINK_GOOD_AFTER_MS, NAME_IN_USE_MS, NAME_IN_USE_TURNS,
    STRANGER_MS_MIN,
};
use crate::names::NodeId;
use crate::noise::connection::Fresh;
use crate::session::{Cut, Peer, Phase, Session};
use crate::time::Mono;
use crate::wire;

impl Link {
    pub(crate) fn dial_due_at(&self) -> Mono {
        match self.session {
            _ if self.dialling => Mono::NEVER,
            Some(_) => self.renew_at,
            None => self.dial_at,
        }
    }
}

impl<const SLOTS: usize> Node<SLOTS> {
    /// Takes a neighbour that the server must dial now, for a link or to request a dial-back. The server
    /// reports the result by [`Node::open`] or [`Node::dial_failed`].
    pub fn take_dial(&mut self, now: Mono) -> Option<NodeId> {
        let link = self.links.iter_mut().find(|link| link.dial_due_at() <= now)?;
        link.dialling = true;
        Some(link.node)
    }

    /// Reports that a dial failed. The node retries later and never stops retrying.
    pub fn dial_failed(&mut self, now: Mono, node: NodeId) {
        if let Some(neighbour) = self.neighbour(node) {
            self.counters.dials_failed += 1;
            self.back_off(now, neighbour);
        }
    }

    pub(crate) fn back_off(&mut self, now: Mono, neighbour: usize) {
        let link = &mut self.links[neighbour];
        link.dialling = false;
        if link.session.is_some() {
            // A link that is up was to be renewed. It stays, and the node tries again later.
            link.renew_at = now.after_ms(BACKOFF_MS_MAX);
            return;
        }
        link.backoff_ms = (link.backoff_ms * 2).clamp(BACKOFF_MS_MIN, BACKOFF_MS_MAX);
        // Half of the pause is random, so that the nodes of a herd do not dial at the same moments after a power cut.
        let pause_ms = self.jitter.between(link.backoff_ms / 2, link.backoff_ms);
        link.dial_at = if core::mem::take(&mut link.dial_back_asked) { now } else { now.after_ms(pause_ms) };
    }

    /// When the server may accept the next connection. At once while a session is free, else when the oldest
    /// unauthenticated one has had its time.
    #[must_use]
    pub fn accept_at(&self) -> Mono {
        if self.sessions.iter().any(|session| session.phase == Phase::Free) {
            return Mono(0);
        }
        self.oldest_unauthenticated().map_or(Mono(0), |index| {
            let Session { is_expected, opened_at, .. } = self.sessions[index];
            opened_at.after_ms(if is_expected { EXPECTED_MS_MIN } else { STRANGER_MS_MIN })
        })
    }

    /// Marks a connection that comes from the address of a neighbour: strangers do not push it out. The server
    /// calls this after [`Node::open`].
    pub fn expect(&mut self, id: SessionId) {
        if let Some(index) = self.session(id) {
            self.sessions[index].is_expected = true;
        }
    }

    /// Whether the session at this place is [expected](Node::expect), and has not authenticated yet.
    #[must_use]
    pub fn is_expected(&self, index: usize) -> bool {
        let waits =
            |session: &Session| session.is_expected && matches!(session.phase, Phase::Hello | Phase::Proof);
        self.sessions.get(index).is_some_and(waits)
    }

    /// Opens a session for a connection to `dialled`, or for an incoming one.
    ///
    /// `None` if the link to `dialled` has come up meanwhile. The server then closes the connection.
    pub fn open(&mut self, now: Mono, dialled: Option<NodeId>, fresh: Fresh) -> Option<SessionId> {
        let neighbour = dialled.and_then(|node| self.neighbour(node));
        debug_assert_eq!(dialled.is_some(), neighbour.is_some(), "only neighbours are dialled");
        let has_link = |link: &Link| link.session.is_some() && link.renew_at > now;
        if neighbour.is_some_and(|neighbour| has_link(&self.links[neighbour])) {
            return None;
        }
        let index = self.free_session(now);
        self.sessions[index].open(now, neighbour.and_then(|n| u8::try_from(n).ok()), fresh.filler);
        if !self.begin_guard(index, fresh) {
            self.end(now, index, Some(Cut::UnknownKey));
            return None;
        }
        self.wakes |= 1 << index;
        Some(self.id(index))
    }

    /// The line for the other end of a session that the node has just ended because of its HELLO. The server must send it before
    /// it takes the cut.
    #[must_use]
    pub fn refusal(&self, id: SessionId) -> Option<&'static [u8]> {
        let is_refused = self.cuts.iter().any(|(cut, ended)| *cut == id && ended.cut == Cut::Stranger);
        is_refused.then_some(wire::REFUSAL)
    }

    fn free_session(&mut self, now: Mono) -> usize {
        if let Some(free) = self.sessions.iter().position(|session| session.phase == Phase::Free) {
            return free;
        }
        let oldest =
            self.oldest_unauthenticated().expect("a neighbour has one link, and there are more sessions");
        self.counters.handshakes_evicted += 1;
        self.end(now, oldest, Some(Cut::PushedOut));
        oldest
    }

    /// The session to close for a new one. First come incoming ones from other addresses, then incoming ones
    /// from neighbours' addresses, then dialled ones. The oldest of its kind goes first.
    fn oldest_unauthenticated(&self) -> Option<usize> {
        let unauthenticated =
            self.sessions.iter().enumerate().filter(|(_, session)| session.phase != Phase::Up);
        unauthenticated
            .min_by_key(|(_, session)| (session.dialled, session.is_expected, session.opened_at))
            .map(|(index, _)| index)
    }

    /// Handles a dial-back request: the neighbour has no link. If this node still has one, that link is dead if
    /// the neighbour has restarted or has had the time to learn of it.
    pub(crate) fn take_dial_back_request(&mut self, now: Mono, index: usize, neighbour: usize, peer: Peer) {
        self.counters.dial_back_requests += 1;
        self.end(now, index, Some(Cut::DialBack));
        let link = &mut self.links[neighbour];
        let is_older = now.since_ms(link.up_since) >= LINK_GOOD_AFTER_MS;
        match link.session {
            // The link goes to the board at the configured address. The request came from another board of the
            // same name.
            Some(_)
                if link.boot != Some(peer.boot)
                    && link.name_in_use_at.is_some_and(|at| now.since_ms(at) < NAME_IN_USE_MS) => {}
            None if link.dialling => link.dial_back_asked = true,
            None => link.dial_at = now,
            Some(old) if is_older || link.boot != Some(peer.boot) => {
                self.end(now, usize::from(old), Some(Cut::Abandoned));
                self.links[neighbour].dial_at = now;
            }
            // The neighbour sent the request before the link came up.
            Some(_) => {}
        }
    }

    /// Records the boot number of a neighbour that has authenticated. Returns whether two boards use its name.
    /// A board that restarts never returns to its previous number, so two alternating numbers mean two boards.
    pub(crate) fn note_boot(&mut self, now: Mono, neighbour: usize, boot: u64) -> bool {
        let link = &mut self.links[neighbour];
        let [last, before] = link.boots;
        if last == Some(boot) {
            return false;
        }
        link.boots = [Some(boot), last];
        if before != Some(boot) {
            link.boot_turns = 0;
            return false;
        }
        // A connection from before a restart that is accepted late causes one turn or two.
        link.boot_turns = link.boot_turns.saturating_add(1);
        let is_in_use = link.boot_turns >= NAME_IN_USE_TURNS;
        if is_in_use {
            link.name_in_use_at = Some(now);
            self.counters.names_in_use += 1;
        }
        is_in_use
    }

    /// The link is up, so this ends the node's own dial-back request to that neighbour.
    pub(crate) fn end_own_dial_back_request(&mut self, now: Mono, index: usize, neighbour: usize) {
        let is_request = |(i, session): &(usize, &Session)| {
            *i != index && session.dialled && session.neighbour.map(usize::from) == Some(neighbour)
        };
        if let Some((request, _)) = self.sessions.iter().enumerate().find(is_request) {
            self.end(now, request, Some(Cut::DialBack));
        }
    }
}
