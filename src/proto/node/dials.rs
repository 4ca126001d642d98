//! Who dials whom and when, and who is let in.
//!
//! Part of [`Node`]; apart from it for length only.
//!
//! A link is made by the node whose name sorts first, so that two nodes never have two links. The other
//! node dials too, but only to *ask to be dialled back*: once both have proved who they are, the first one closes that
//! connection and dials. A board that comes back after an hour is linked at once by this, however
//! rarely its neighbours dial by then, and one that lost its power is not waited for until its old link
//! has been silent for long. Strangers cannot ask for it: a dial-back request is proved like a link.

use super::{Link, Node, SessionId};
use crate::limits::{
    BACKOFF_MS_MAX, BACKOFF_MS_MIN, EXPECTED_MS_MIN, LINK_GOOD_AFTER_MS, NAME_IN_USE_MS, NAME_IN_USE_TURNS,
    NONCE_BYTES, STRANGER_MS_MIN,
};
use crate::names::NodeId;
use crate::session::{Cut, Peer, Phase, Session};
use crate::time::Mono;

impl Link {
    pub(crate) fn dial_due_at(&self) -> Mono {
        let idle = !self.dialling && self.session.is_none();
        if idle { self.dial_at } else { Mono::NEVER }
    }
}

impl<const SLOTS: usize> Node<SLOTS> {
    /// A neighbour that is to be dialled now, for a link or to ask to be dialled back. The server answers with
    /// [`Node::open`] or [`Node::dial_failed`].
    pub fn take_dial(&mut self, now: Mono) -> Option<NodeId> {
        let link = self.links.iter_mut().find(|link| link.dial_due_at() <= now)?;
        link.dialling = true;
        Some(link.node)
    }

    /// The neighbour could not be reached; it is tried again later, for ever.
    pub fn dial_failed(&mut self, now: Mono, node: NodeId) {
        if let Some(neighbour) = self.neighbour(node) {
            self.counters.dials_failed += 1;
            self.back_off(now, neighbour);
        }
    }

    pub(crate) fn back_off(&mut self, now: Mono, neighbour: usize) {
        let link = &mut self.links[neighbour];
        link.dialling = false;
        link.backoff_ms = (link.backoff_ms * 2).clamp(BACKOFF_MS_MIN, BACKOFF_MS_MAX);
        // Half of the pause is chance, so that a herd that lost its power does not dial in sync.
        let pause_ms = self.jitter.between(link.backoff_ms / 2, link.backoff_ms);
        link.dial_at = if core::mem::take(&mut link.dial_back_asked) { now } else { now.after_ms(pause_ms) };
    }

    /// When the next connection may be accepted: at once while there is room for it, else when the
    /// oldest one that has not proved itself has had its time.
    #[must_use]
    pub fn accept_at(&self) -> Mono {
        if self.sessions.iter().any(|session| session.phase == Phase::Free) {
            return Mono(0);
        }
        self.oldest_unproven().map_or(Mono(0), |index| {
            let Session { is_expected, opened_at, .. } = self.sessions[index];
            opened_at.after_ms(if is_expected { EXPECTED_MS_MIN } else { STRANGER_MS_MIN })
        })
    }

    /// The connection comes from the address of a neighbour: strangers do not push it out. To be called when it is opened.
    pub fn expect(&mut self, id: SessionId) {
        if let Some(index) = self.session(id) {
            self.sessions[index].is_expected = true;
        }
    }

    /// A connection is there: to `dialled`, or to whoever came in. `nonce` must be fresh random bytes.
    ///
    /// `None` if the link to `dialled` has come up meanwhile: the connection is to be closed.
    pub fn open(
        &mut self,
        now: Mono,
        dialled: Option<NodeId>,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<SessionId> {
        let neighbour = dialled.and_then(|node| self.neighbour(node));
        debug_assert_eq!(dialled.is_some(), neighbour.is_some(), "only neighbours are dialled");
        if neighbour.is_some_and(|neighbour| self.links[neighbour].session.is_some()) {
            return None;
        }
        let index = self.free_session(now);
        self.sessions[index].open(now, neighbour.and_then(|n| u8::try_from(n).ok()), nonce);
        self.wakes |= 1 << index;
        Some(self.id(index))
    }

    fn free_session(&mut self, now: Mono) -> usize {
        if let Some(free) = self.sessions.iter().position(|session| session.phase == Phase::Free) {
            return free;
        }
        let oldest = self.oldest_unproven().expect("a neighbour has one link, and there are more sessions");
        self.counters.handshakes_evicted += 1;
        self.end(now, oldest, Some(Cut::PushedOut));
        oldest
    }

    /// The session that makes way: one that came in from elsewhere than a neighbour's address, or else from there, or else
    /// one that was dialled.
    fn oldest_unproven(&self) -> Option<usize> {
        let unproven = self.sessions.iter().enumerate().filter(|(_, session)| session.phase != Phase::Up);
        unproven
            .min_by_key(|(_, session)| (session.dialled, session.is_expected, session.opened_at))
            .map(|(index, _)| index)
    }

    /// The neighbour waits to be dialled. A link that is up here is none there if the neighbour was
    /// started anew, or had the time to learn of it.
    pub(crate) fn take_dial_back_request(&mut self, now: Mono, index: usize, neighbour: usize, peer: Peer) {
        self.counters.dial_back_requests += 1;
        self.end(now, index, Some(Cut::DialBack));
        let link = &mut self.links[neighbour];
        let is_older = now.since_ms(link.up_since) >= LINK_GOOD_AFTER_MS;
        match link.session {
            // The link is with the board at the address of the configuration, and this is the other one.
            Some(_)
                if link.boot != Some(peer.boot)
                    && link.name_in_use_at.is_some_and(|at| now.since_ms(at) < NAME_IN_USE_MS) => {}
            None if link.dialling => link.dial_back_asked = true,
            None => link.dial_at = now,
            Some(old) if is_older || link.boot != Some(peer.boot) => {
                self.end(now, usize::from(old), Some(Cut::Abandoned));
                self.links[neighbour].dial_at = now;
            }
            // Its dial-back request was on its way when the link came up.
            Some(_) => {}
        }
    }

    /// A neighbour has authenticated, of this boot number. Says whether two boards use its name: a board that is started anew
    /// never comes back to the number before, so two numbers that take turns are two boards.
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
        // A connection of before a restart that is accepted late makes one turn or two.
        link.boot_turns = link.boot_turns.saturating_add(1);
        let is_in_use = link.boot_turns >= NAME_IN_USE_TURNS;
        if is_in_use {
            link.name_in_use_at = Some(now);
            self.counters.names_in_use += 1;
        }
        is_in_use
    }

    /// The link is there: a dial-back request that has not been answered yet asks for nothing any more.
    pub(crate) fn end_own_dial_back_request(&mut self, now: Mono, index: usize, neighbour: usize) {
        let is_request = |(i, session): &(usize, &Session)| {
            *i != index && session.dialled && session.neighbour.map(usize::from) == Some(neighbour)
        };
        if let Some((request, _)) = self.sessions.iter().enumerate().find(is_request) {
            self.end(now, request, Some(Cut::DialBack));
        }
    }
}
