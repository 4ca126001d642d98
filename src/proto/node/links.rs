//! The links of a node: how they start and end, and how the node handles their lines.

use super::secret::Mode;
use super::{Node, SessionId};
use crate::auth::{HelloFields, Keys, Role, Transcript};
use crate::limits::{DIGEST_EVERY_MS, LINK_GOOD_AFTER_MS, NAME_IN_USE_MS};
use crate::names::NodeId;
use crate::pace::Received;
use crate::session::{Cut, DigestDue, Ended, Guard, Peer, Phase, Session};
use crate::table::Source;
use crate::time::{Mono, Now};
use crate::update::{AtLineError, Update};
use crate::wire::{self, Line};

/// An event that a neighbour's line caused and that the server logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// No event.
    None,
    /// The link is up.
    Up {
        /// The neighbour.
        node: NodeId,
        /// The neighbour has restarted since the last link.
        restarted: bool,
    },
    /// A census asks for this node's facts: [`Node::set_facts`].
    FactsAsked,
    /// Two boards use the neighbour's name in turns. One of them has just authenticated.
    NameInUse {
        /// The neighbour.
        node: NodeId,
    },
    /// The neighbour's digest equals this node's. The two are in sync.
    Equal {
        /// The neighbour.
        node: NodeId,
    },
    /// The digests differ.
    Differs {
        /// The neighbour.
        node: NodeId,
        /// Entries that this node has marked as pending for the neighbour.
        pending: usize,
    },
}

/// The state of one link, for status.
#[derive(Clone, Copy, Debug)]
pub struct LinkState {
    /// The neighbour.
    pub node: NodeId,
    /// Since when the link has been up.
    pub up_since: Option<Mono>,
    /// Whether it is up and encrypted.
    pub is_secret: bool,
    /// When the neighbour's digest was last equal to this node's, unless it has differed since.
    pub equal_at: Option<Mono>,
    /// Entries pending for the neighbour.
    pub pending: usize,
    /// Since when the link has been down, if it was ever up.
    pub down_since: Option<Mono>,
    /// When the node dials the neighbour next. `None` during a link or a dial.
    pub dial_at: Option<Mono>,
    /// Why this node last ended a connection with the neighbour.
    pub last_cut: Option<Cut>,
    /// When two boards were last seen to use the neighbour's name.
    pub name_in_use_at: Option<Mono>,
    /// Round-trip time of the last ping in milliseconds. Only the dialling end measures it.
    pub round_trip_ms: Option<u64>,
    /// What the neighbour has sent.
    pub received: Received,
}

impl LinkState {
    /// Whether the node has recently seen two boards use the neighbour's name.
    #[must_use]
    pub fn is_name_in_use(&self, now: Mono) -> bool {
        self.name_in_use_at.is_some_and(|at| now.since_ms(at) < NAME_IN_USE_MS)
    }

    /// Whether the tables were equal at the last comparison and nothing is pending.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        self.up_since.is_some() && self.equal_at.is_some() && self.pending == 0
    }
}

impl<const SLOTS: usize> Node<SLOTS> {
    /// The state of each link.
    pub fn links(&self) -> impl Iterator<Item = LinkState> + '_ {
        self.links.iter().enumerate().map(|(neighbour, link)| LinkState {
            node: link.node,
            up_since: link.session.map(|_| link.up_since),
            equal_at: link.equal_at,
            pending: self.table.pending().count(neighbour),
            down_since: Some(link.down_since).filter(|at| link.session.is_none() && at.0 > 0),
            dial_at: Some(link.dial_due_at()).filter(|at| link.session.is_none() && *at != Mono::NEVER),
            is_secret: link.session.is_some_and(|session| {
                matches!(self.sessions[usize::from(session)].guard, Guard::Secret(..))
            }),
            last_cut: link.last_cut,
            name_in_use_at: link.name_in_use_at,
            round_trip_ms: link.round_trip_ms,
            received: link.pace.received,
        })
    }

    pub(crate) fn neighbour(&self, node: NodeId) -> Option<usize> {
        self.links.iter().position(|link| link.node == node)
    }

    pub(crate) fn id(&self, index: usize) -> SessionId {
        let generation = self.sessions[index].generation;
        SessionId { index: u8::try_from(index).expect("there are 32 sessions"), generation }
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<usize> {
        let session = &self.sessions[usize::from(id.index)];
        (session.phase != Phase::Free && session.generation == id.generation).then_some(usize::from(id.index))
    }

    /// The neighbour at the other end, once it has authenticated.
    #[must_use]
    pub fn peer(&self, id: SessionId) -> Option<NodeId> {
        let session = &self.sessions[self.session(id)?];
        session.peer.filter(|_| session.phase == Phase::Up).map(|peer| peer.node)
    }

    /// The neighbour of a handshake that lacks only its proof.
    #[must_use]
    pub fn awaits_proof_of(&self, id: SessionId) -> Option<NodeId> {
        let session = &self.sessions[self.session(id)?];
        let link = &self.links[usize::from(session.neighbour?)];
        (session.phase == Phase::Proof && session.dialled == link.dials).then_some(link.node)
    }

    /// When the server may read this connection next: later than now after a neighbour has sent much at once.
    #[must_use]
    pub fn read_at(&self, id: SessionId) -> Mono {
        let neighbour = self.session(id).and_then(|index| self.sessions[index].neighbour);
        neighbour.map_or(Mono(0), |neighbour| self.links[usize::from(neighbour)].pace.read_at())
    }

    /// Whether the session still exists. It does not if the node has ended or replaced it.
    #[must_use]
    pub fn is_open(&self, id: SessionId) -> bool {
        self.session(id).is_some()
    }

    /// Reports that the connection has ended. The node ignores a session that it has ended itself.
    pub fn closed(&mut self, now: Mono, id: SessionId) {
        if let Some(index) = self.session(id) {
            let session = &self.sessions[index];
            let is_refused = session.dialled && session.phase == Phase::Hello && self.mode != Mode::Signed;
            if let Some(neighbour) = session.neighbour.filter(|_| is_refused) {
                // A node with secret links gives a stranger no reason.
                self.links[usize::from(neighbour)].last_cut = Some(Cut::HandshakeClosed);
            }
            self.end(now, index, None);
        }
    }

    pub(crate) fn end(&mut self, now: Mono, index: usize, cut: Option<Cut>) {
        let id = self.id(index);
        let peer = self.peer(id);
        let Session { phase, dialled, neighbour, is_expected, .. } = self.sessions[index];
        let neighbour = neighbour.map(usize::from);
        let alleged = neighbour.map(|neighbour| self.links[neighbour].node);
        match phase {
            Phase::Up => self.counters.links_down += 1,
            Phase::DialBackAsked | Phase::Retired => {}
            _ if cut == Some(Cut::DialBack) => {}
            // A neighbour gives its dial-back request up when the link has come up meanwhile.
            _ if cut.is_none() && is_expected && !dialled => {}
            _ => self.counters.handshakes_failed += 1,
        }
        self.sessions[index].free();
        self.wakes &= !(1 << index);
        if let Some(neighbour) = neighbour {
            if self.links[neighbour].session == Some(id.index) {
                let link = &mut self.links[neighbour];
                link.session = None;
                link.down_since = now;
                link.round_trip_ms = None;
                self.lose_from_censuses(neighbour);
                let link = &mut self.links[neighbour];
                if now.since_ms(link.up_since) >= LINK_GOOD_AFTER_MS {
                    link.backoff_ms = 0;
                }
                self.back_off(now, neighbour);
            } else if dialled {
                self.turn_key(neighbour);
                self.back_off(now, neighbour);
            }
        }
        // An incoming connection that has not authenticated is not recorded: any host can use a neighbour's
        // name. A connection that this node dialled goes to the configured address, so it is recorded.
        let is_its = dialled || matches!(phase, Phase::Up | Phase::DialBackAsked);
        if let (Some(neighbour), Some(cut)) = (neighbour, cut)
            && is_its
            && !matches!(cut, Cut::DialBack | Cut::Replaced)
        {
            self.links[neighbour].last_cut = Some(cut);
        }
        if let Some(cut) = cut {
            debug_assert!(!self.cuts.is_full(), "the server takes all cuts after each call");
            let _ = self.cuts.push((id, Ended { cut, peer, alleged }));
        }
    }

    /// Handles a line, without its LF, from the other end of a link.
    ///
    /// A line that must not come ends the session: see [`Node::take_cut`].
    pub fn link_line(&mut self, now: &Now, id: SessionId, line: &[u8]) -> LinkEvent {
        let Some(index) = self.session(id) else { return LinkEvent::None };
        self.sessions[index].received_at = now.mono;
        let done = match self.sessions[index].phase {
            Phase::Free => unreachable!("`session` does not find a free session"),
            _ if line == wire::REFUSAL && matches!(self.sessions[index].guard, Guard::Clear) => {
                Err(Cut::Refused)
            }
            Phase::Hello => self.take_hello(now.mono, index, line),
            Phase::Proof => self.take_proof(now.mono, index, line),
            Phase::DialBackAsked => Err(Cut::Nonsense),
            // The comparison of tables on the new link finds what is lost here.
            Phase::Retired => Ok(LinkEvent::None),
            Phase::Up => self.take_guarded(now, index, line),
        };
        done.unwrap_or_else(|cut| {
            match cut {
                Cut::WrongTag => self.counters.link_tags_invalid += 1,
                Cut::Nonsense => self.counters.link_lines_malformed += 1,
                _ => {}
            }
            self.end(now.mono, index, Some(cut));
            LinkEvent::None
        })
    }

    fn take_hello(&mut self, now: Mono, index: usize, line: &[u8]) -> Result<LinkEvent, Cut> {
        let Some(Line::Hello { version, name, boot, capacity, nonce }) = Line::parse(line, &self.names)
        else {
            return Err(Cut::NoHello);
        };
        if version != wire::VERSION {
            return Err(Cut::Version);
        }
        let node = self.names.find(name).ok_or(Cut::Stranger)?;
        let neighbour = self.neighbour(node).and_then(|n| u8::try_from(n).ok()).ok_or(Cut::Stranger)?;
        let session = &mut self.sessions[index];
        let is_secret = matches!(session.guard, Guard::Secret(..));
        // Known already: the neighbour that was dialled, or the one whose public key a secret link has.
        if session.neighbour.is_some_and(|known| known != neighbour) {
            return Err(if is_secret { Cut::UnknownKey } else { Cut::Stranger });
        }
        session.peer = Some(Peer { node, boot, capacity, nonce });
        session.neighbour = Some(neighbour);
        if self.keys.is_none() || is_secret {
            return Ok(self.authenticated(now, index));
        }
        session.phase = Phase::Proof;
        session.proof_due = true;
        self.wakes |= 1 << index;
        Ok(LinkEvent::None)
    }

    fn take_proof(&mut self, now: Mono, index: usize, line: &[u8]) -> Result<LinkEvent, Cut> {
        let Some(Line::Proof(proofs)) = Line::parse(line, &self.names) else {
            return Err(Cut::NoProof);
        };
        let role = self.sessions[index].role();
        let keys = self.with_transcript(index, |transcript, keys| transcript.verify(keys, role, &proofs));
        self.sessions[index].guard = Guard::Signed(keys.flatten().ok_or(Cut::WrongKey)?);
        Ok(self.authenticated(now, index))
    }

    /// Passes both HELLOs and our keys to `use_it`. `None` without keys or the other end's HELLO.
    pub(super) fn with_transcript<T>(
        &self,
        index: usize,
        use_it: impl FnOnce(&Transcript, &Keys) -> T,
    ) -> Option<T> {
        let session = &self.sessions[index];
        let peer = session.peer.as_ref()?;
        let other = HelloFields {
            name: self.names.name(peer.node),
            boot: peer.boot,
            capacity: peer.capacity,
            nonce: &peer.nonce,
        };
        let ours = self.hello_fields(session);
        let hellos = match session.role() {
            Role::Dialler => [ours, other],
            Role::Acceptor => [other, ours],
        };
        Some(use_it(&Transcript(hellos), self.keys.as_ref()?))
    }

    pub(super) fn hello_fields<'a>(&'a self, session: &'a Session) -> HelloFields<'a> {
        let capacity = u32::try_from(self.table.capacity()).unwrap_or(u32::MAX);
        HelloFields { name: self.names.name(self.me()), boot: self.boot, capacity, nonce: &session.nonce }
    }

    /// The other end has authenticated. The link comes up, unless the connection is a dial-back request.
    fn authenticated(&mut self, now: Mono, index: usize) -> LinkEvent {
        let peer = self.sessions[index].peer.expect("a proof comes after the other end's HELLO");
        let neighbour = usize::from(self.sessions[index].neighbour.expect("its HELLO names a neighbour"));
        match (self.sessions[index].dialled, self.links[neighbour].dials) {
            (true, true) | (false, false) => self.come_up(now, index, neighbour, peer),
            (true, false) => {
                self.sessions[index].phase = Phase::DialBackAsked;
                LinkEvent::None
            }
            (false, true) => {
                let is_in_use = self.note_boot(now, neighbour, peer.boot);
                self.take_dial_back_request(now, index, neighbour, peer);
                if is_in_use { LinkEvent::NameInUse { node: peer.node } } else { LinkEvent::None }
            }
        }
    }

    fn come_up(&mut self, now: Mono, index: usize, neighbour: usize, peer: Peer) -> LinkEvent {
        let is_renewal = self.replace(now, index, neighbour, peer);
        self.end_own_dial_back_request(now, index, neighbour);
        let (round, renew_at) = (self.jitter.next(), self.renew_at(now, index));
        self.sessions[index].up(now, round);
        let link = &mut self.links[neighbour];
        let restarted = link.boot.is_some_and(|boot| boot != peer.boot);
        link.boot = Some(peer.boot);
        link.session = Some(u8::try_from(index).expect("there are 32 sessions"));
        link.dialling = false;
        link.dial_back_asked = false;
        link.up_since = now;
        link.last_cut = link.last_cut.filter(|cut| *cut != Cut::HandshakeClosed);
        link.renew_at = renew_at;
        link.equal_at = None;
        link.digests.begin_link();
        self.counters.links_up += 1;
        self.wakes |= 1 << index;
        if self.note_boot(now, neighbour, peer.boot) {
            return LinkEvent::NameInUse { node: peer.node };
        }
        if is_renewal { LinkEvent::None } else { LinkEvent::Up { node: peer.node, restarted } }
    }

    /// Ends the link that a new connection replaces. Returns whether the new one only renews it.
    fn replace(&mut self, now: Mono, index: usize, neighbour: usize, peer: Peer) -> bool {
        let link = &mut self.links[neighbour];
        let Some(old) = link.session.map(usize::from) else { return false };
        let is_secret = |index: usize| matches!(self.sessions[index].guard, Guard::Secret(..));
        let is_renewal = is_secret(old) && is_secret(index) && link.boot == Some(peer.boot);
        if is_renewal && !self.sessions[old].dialled {
            // The dialling end does not know yet that the new link is up. It closes the old one then.
            self.sessions[old].retire(now);
            link.session = None;
        } else {
            self.end(now, old, Some(Cut::Replaced));
        }
        is_renewal
    }

    fn take_guarded(&mut self, now: &Now, index: usize, line: &[u8]) -> Result<LinkEvent, Cut> {
        let line = match &mut self.sessions[index].guard {
            Guard::Signed(keys) => {
                let (line, tag) = wire::split_tag(line).ok_or(Cut::WrongTag)?;
                if keys.check(line, &tag) { line } else { return Err(Cut::WrongTag) }
            }
            _ => line,
        };
        let neighbour = usize::from(self.sessions[index].neighbour.expect("the link is up"));
        match Line::parse(line, &self.names) {
            Some(Line::Update { age_s, update }) => self.take_update(now, index, neighbour, age_s, update),
            Some(Line::Digest { round, buckets, floor }) => match floor {
                Ok(floor) => self.take_digest(now.mono, index, neighbour, round, &buckets, floor),
                Err(AtLineError::UnknownOrigin) => Ok(self.count_unknown_origin()),
                Err(AtLineError::Malformed) => Err(Cut::Nonsense),
            },
            Some(Line::Ping(n)) => Ok(self.take_ping(now.mono, index, neighbour, n)),
            Some(
                Line::Question { question: Err(AtLineError::Malformed), .. }
                | Line::Sum { sum: Err(AtLineError::Malformed), .. },
            ) => Err(Cut::Nonsense),
            Some(Line::Question { number, question }) => {
                let (entries, capacity) = (self.table.len(), self.table.capacity());
                self.links[neighbour].pace.take_question(now.mono, entries, capacity);
                Ok(self.take_question(now.mono, neighbour, question, number))
            }
            Some(Line::Facts { number, node, facts }) => Ok(self.take_facts(neighbour, number, node, facts)),
            Some(Line::Sum { number, sum: Ok(sum) }) => Ok(self.take_neighbours_sum(neighbour, number, &sum)),
            Some(Line::Sum { sum: Err(AtLineError::UnknownOrigin), .. }) => Ok(self.count_unknown_origin()),
            Some(Line::Proof(_)) if self.keys.is_none() => Err(Cut::Unexpected),
            Some(Line::Proof(_) | Line::Hello { .. }) | None => Err(Cut::Nonsense),
        }
    }

    fn take_update(
        &mut self,
        now: &Now,
        index: usize,
        neighbour: usize,
        age_s: u32,
        update: Result<Update, AtLineError>,
    ) -> Result<LinkEvent, Cut> {
        let update = match update {
            Ok(update) => update,
            // Configurations may differ while an operator changes a herd. The link stays up.
            Err(AtLineError::UnknownOrigin) => return Ok(self.count_unknown_origin()),
            Err(AtLineError::Malformed) => return Err(Cut::Nonsense),
        };
        self.sessions[index].digest.busy_at = now.mono;
        self.links[neighbour].pace.take_update(now.mono, self.table.capacity());
        // The neighbour may have accepted the update while its clock was not trusted. The link stays up.
        if self.is_ahead(now, update.sighting.rank) {
            self.counters.updates_ahead += 1;
            return Ok(LinkEvent::None);
        }
        let now_s = now.mono.seconds();
        let heard_s = now_s.saturating_sub(i32::try_from(age_s).unwrap_or(i32::MAX));
        self.admit(&update, heard_s, now.mono, Source::Neighbour(neighbour));
        Ok(LinkEvent::None)
    }

    fn count_unknown_origin(&mut self) -> LinkEvent {
        self.counters.origins_unknown += 1;
        LinkEvent::None
    }

    /// Handles a ping. The acceptor echoes it; the dialler reads the echo as the answer.
    fn take_ping(&mut self, now: Mono, index: usize, neighbour: usize, n: u64) -> LinkEvent {
        if let Some((_, at)) = self.sessions[index].pinged.filter(|(sent, _)| *sent == n) {
            self.links[neighbour].round_trip_ms = Some(now.since_ms(at));
        } else if !self.sessions[index].dialled {
            self.sessions[index].echo_due = Some(n);
            self.wakes |= 1 << index;
        }
        LinkEvent::None
    }

    pub(crate) fn tick_sessions(&mut self, now: Mono) {
        for index in 0..self.sessions.len() {
            if let Some(cut) = self.sessions[index].overdue(now) {
                self.end(now, index, Some(cut));
                continue;
            }
            let session = &mut self.sessions[index];
            if session.phase != Phase::Up {
                continue;
            }
            if session.dialled && session.ping_at() <= now {
                session.ping_due = true;
                self.wakes |= 1 << index;
            }
            if let Some(due) = session.digest.due.as_mut().filter(|due| due.at_latest <= now) {
                due.at_latest = DigestDue::NOW;
                self.wakes |= 1 << index;
            } else if session.digest.due.is_none() && session.round_at() <= now {
                let round = self.jitter.next();
                // A minute plus or minus a tenth, so that the links do not all compare at the same time.
                let every_ms = self.jitter.between(DIGEST_EVERY_MS * 9 / 10, DIGEST_EVERY_MS * 11 / 10);
                self.sessions[index].begin_round(now, round, every_ms);
                self.wakes |= 1 << index;
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
