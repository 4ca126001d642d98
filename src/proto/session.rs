//! One link connection: from the first HELLO to the last tagged line.
//!
//! A session knows its own connection only. What a line means for the table and for other links is
//! the [`Node`](super::node::Node)'s business.
//!
//! Invariants: nothing but HELLO is read or written in `Phase::Hello`, nothing but PROOF in
//! `Phase::Proof`; where there are keys every line in `Phase::Up` carries a tag.

use super::auth::{LineKeys, Role};
use super::limits::{
    DEAD_AFTER_MS, DIGEST_EVERY_MS, DIGEST_FIRST_MS, DIGEST_FORCED_MS, DIGEST_QUIET_MS, DIGEST_RETRY_MS,
    HANDSHAKE_MS_MAX, NONCE_BYTES, PING_AFTER_MS,
};
use super::names::NodeId;
use super::time::Mono;
use super::update::Update;

/// Why a link connection ends, as far as the core decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The first line was no HELLO.
    NoHello,
    /// It speaks another version of the grammar.
    Version,
    /// It says a name that is no neighbour's by this node's configuration, or another than was dialled.
    Stranger,
    /// It sent no PROOF although this node has a key: it has none.
    NoProof,
    /// It sent a PROOF although this node has no key.
    Unexpected,
    /// It knows none of this node's keys.
    WrongKey,
    /// A line's tag was wrong: it was forged, replayed, reordered or damaged.
    WrongTag,
    /// A line made no sense.
    Nonsense,
    /// It sends digests much faster than any node does.
    DigestFlood,
    /// A line was longer than [`LINK_LINE_BYTES_MAX`](super::limits::LINK_LINE_BYTES_MAX).
    TooLong,
    /// It had not proved itself in time.
    HandshakeTimeout,
    /// It was silent for too long.
    Silent,
    /// The same neighbour has made a newer link.
    Replaced,
    /// Too many connections had not proved themselves, and this was the oldest.
    PushedOut,
    /// The neighbour has proved in a newer connection that it has no link: it was started anew or cut off.
    Abandoned,
    /// The configuration was changed: the neighbour is none any more, or the key it was linked by is none.
    MapChanged,
    /// It was a dial-back request (see [`Node::take_dial`](super::node::Node::take_dial)), and has done its work.
    DialBack,
}

impl Cut {
    /// The reason in words, for logs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Cut::NoHello => "its first line is no HELLO",
            Cut::Version => "it speaks another version of the link protocol: update both nodes",
            Cut::Stranger => {
                "it is not the neighbour this configuration expects: give both nodes the same configuration"
            }
            Cut::NoProof => "it has no key and this node has one: give both nodes the same key",
            Cut::Unexpected => "it has a key and this node has none: give both nodes the same key",
            Cut::WrongKey => "it knows another key: give both nodes the same key",
            Cut::WrongTag => "a line was forged, replayed or damaged",
            Cut::Nonsense => "a line made no sense",
            Cut::DigestFlood => {
                "it compares tables without pause: its software is at fault, or it is not a node"
            }
            Cut::TooLong => "a line was too long",
            Cut::HandshakeTimeout => "it did not prove itself within 10 s",
            Cut::Silent => "it was silent for 30 s",
            Cut::Replaced => "the same neighbour made a newer link",
            Cut::PushedOut => "too many connections had not proved themselves",
            Cut::Abandoned => "its other end was started anew or cut off",
            Cut::MapChanged => "the configuration or its keys were changed",
            Cut::DialBack => "a dial-back request has done its work",
        }
    }
}

/// A connection that the core has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Why.
    pub cut: Cut,
    /// Who was at the other end, if it had proved itself.
    pub peer: Option<NodeId>,
    /// Who the other end said it was, or who was dialled: good for a log, and for nothing else.
    pub alleged: Option<NodeId>,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No connection.
    Free,
    /// The other end's HELLO is awaited.
    Hello,
    /// The other end's PROOF is awaited.
    Proof,
    /// This end has asked to be dialled back and the other end knows who it is: it will close, and dial.
    DialBackAsked,
    /// Both ends know each other.
    Up,
}

/// What the other end said in its HELLO.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) boot: u64,
    pub(super) capacity: u32,
    pub(super) nonce: [u8; NONCE_BYTES],
}

/// A digest that this end owes.
#[derive(Clone, Copy, Debug)]
pub(super) struct DigestDue {
    pub(super) round: u64,
    /// It waits for pending updates to go first, but no longer than this. [`DigestDue::NOW`] once that
    /// time has come and the writer knows: a link that takes nothing must not keep the clock busy.
    pub(super) at_latest: Mono,
}

impl DigestState {
    /// The round of this number, which is this end's own or else the other's: begun anew if it is another
    /// than its last.
    pub(super) fn round(&mut self, number: u64) -> &mut Round {
        if self.begun == Some(number) {
            return &mut self.ours;
        }
        if self.theirs.sent.is_none_or(|(sent, _)| sent != number) {
            self.theirs = Round::NEW;
        }
        &mut self.theirs
    }
}

impl DigestDue {
    /// The patience has ended.
    pub(super) const NOW: Mono = Mono(0);
}

/// What this end has said in a round of digests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// The last digest sent: the round's number, and the hash of its floor.
    pub(super) sent: Option<(u64, u64)>,
    /// Digests pending or sent in answer within that round.
    pub(super) answers: u8,
}

impl Round {
    pub(super) const NEW: Round = Round { sent: None, answers: 0 };
}

/// Where the exchange of digests stands.
///
/// Both ends may begin a round at the same moment, so each keeps its own round apart from the other's:
/// in one memory the two would drive each other out, and be answered for ever.
#[derive(Debug)]
pub(super) struct DigestState {
    pub(super) due: Option<DigestDue>,
    /// The digest that is due covers nothing below this. Apart from `due`, as an `Option` within an
    /// `Option` is not all zero when it is `None`.
    pub(super) due_floor: Option<Update>,
    /// When this end begins the next round. The accepting end does so only after a difference.
    pub(super) next_at: Mono,
    /// When it does so although the link is not quiet.
    pub(super) forced_at: Mono,
    /// The number of the round that this end began last.
    pub(super) begun: Option<u64>,
    /// What was said in it.
    pub(super) ours: Round,
    /// What was said in the round that the other end began last.
    pub(super) theirs: Round,
    /// When an update last crossed the link.
    pub(super) busy_at: Mono,
    /// The pause before the last round that a difference asked for; 0 when all was well.
    pub(super) retry_ms: u64,
}

/// One link connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) phase: Phase,
    /// Tells this connection from others that had the same number.
    pub(super) generation: u32,
    pub(super) dialled: bool,
    /// It comes from the address of a neighbour.
    pub(super) is_expected: bool,
    /// The neighbour's number: known from the start when dialled, else from its HELLO on.
    pub(super) neighbour: Option<u8>,
    pub(super) opened_at: Mono,
    pub(super) received_at: Mono,
    pub(super) sent_at: Mono,
    pub(super) nonce: [u8; NONCE_BYTES],
    pub(super) peer: Option<Peer>,
    pub(super) hello_due: bool,
    pub(super) proof_due: bool,
    /// The other end's ping, to be echoed.
    pub(super) echo_due: Option<u64>,
    pub(super) ping_due: bool,
    /// Number and time of the last ping that was sent.
    pub(super) pinged: Option<(u64, Mono)>,
    pub(super) keys: Option<LineKeys>,
    pub(super) digest: DigestState,
}

impl Session {
    pub(super) const FREE: Session = Session {
        phase: Phase::Free,
        generation: 0,
        dialled: false,
        is_expected: false,
        neighbour: None,
        opened_at: Mono(0),
        received_at: Mono(0),
        sent_at: Mono(0),
        nonce: [0; NONCE_BYTES],
        peer: None,
        hello_due: false,
        proof_due: false,
        echo_due: None,
        ping_due: false,
        pinged: None,
        keys: None,
        digest: DigestState {
            due: None,
            due_floor: None,
            next_at: Mono(0),
            forced_at: Mono(0),
            begun: None,
            ours: Round::NEW,
            theirs: Round::NEW,
            busy_at: Mono(0),
            retry_ms: 0,
        },
    };

    /// Begins a connection. The dialling end says HELLO at once, and so does the other.
    pub(super) fn open(&mut self, now: Mono, neighbour: Option<u8>, nonce: [u8; NONCE_BYTES]) {
        debug_assert_eq!(self.phase, Phase::Free);
        let generation = self.generation.wrapping_add(1);
        *self = Session {
            phase: Phase::Hello,
            generation,
            dialled: neighbour.is_some(),
            neighbour,
            opened_at: now,
            received_at: now,
            sent_at: now,
            nonce,
            hello_due: true,
            ..Session::FREE
        };
    }

    /// Ends it. The generation stays, so late words about the old connection find nothing.
    pub(super) fn free(&mut self) {
        *self = Session { generation: self.generation, ..Session::FREE };
    }

    pub(super) fn role(&self) -> Role {
        if self.dialled { Role::Dialler } else { Role::Acceptor }
    }

    /// Both ends know each other: updates may flow, and the dialling end asks for the first digest.
    pub(super) fn up(&mut self, now: Mono, round: u64) {
        self.phase = Phase::Up;
        self.digest.busy_at = now;
        self.digest.next_at = Mono::NEVER;
        self.digest.forced_at = Mono::NEVER;
        if self.dialled {
            self.begin_round(now, round, DIGEST_EVERY_MS);
        }
    }

    /// A new round is due now. The dialling end begins the one after it `every_ms` later.
    pub(super) fn begin_round(&mut self, now: Mono, round: u64, every_ms: u64) {
        self.digest.due = Some(DigestDue { round, at_latest: now.after_ms(DIGEST_FIRST_MS) });
        self.digest.due_floor = None;
        self.digest.begun = Some(round);
        self.digest.ours = Round::NEW;
        let (next_ms, forced_ms) =
            if self.dialled { (every_ms, DIGEST_FORCED_MS) } else { (u64::MAX, u64::MAX) };
        self.digest.next_at = now.after_ms(next_ms);
        self.digest.forced_at = now.after_ms(forced_ms);
    }

    /// The digests of both ends have been compared.
    pub(super) fn compared(&mut self, now: Mono, equal: bool) {
        if equal {
            self.digest.retry_ms = 0;
            if !self.dialled {
                // The dialling end begins the next round, in a minute.
                self.digest.next_at = Mono::NEVER;
            }
        } else {
            // A difference that stays, such as two configurations that differ, must not keep the link talking.
            self.digest.retry_ms = (self.digest.retry_ms * 2).clamp(DIGEST_RETRY_MS, DIGEST_EVERY_MS);
            self.digest.next_at = self.digest.next_at.min(now.after_ms(self.digest.retry_ms));
        }
    }

    /// When this end begins the next round, as things stand.
    pub(super) fn round_at(&self) -> Mono {
        let quiet_at = self.digest.busy_at.after_ms(DIGEST_QUIET_MS);
        self.digest.next_at.max(quiet_at).min(self.digest.forced_at)
    }

    /// When the dialling end asks for a sign of life: after silence in either direction.
    pub(super) fn ping_at(&self) -> Mono {
        let silent_since = self.received_at.min(self.sent_at);
        let pinged_at = self.pinged.map_or(Mono(0), |(_, at)| at);
        silent_since.max(pinged_at).after_ms(PING_AFTER_MS)
    }

    /// Why the connection has to end at `now`, if it has.
    pub(super) fn overdue(&self, now: Mono) -> Option<Cut> {
        match self.phase {
            Phase::Free => None,
            Phase::Hello | Phase::Proof | Phase::DialBackAsked => {
                (now.since_ms(self.opened_at) >= HANDSHAKE_MS_MAX).then_some(Cut::HandshakeTimeout)
            }
            Phase::Up => (now.since_ms(self.received_at) >= DEAD_AFTER_MS).then_some(Cut::Silent),
        }
    }

    /// When this session next has something to do by the clock alone. `owing` says whether updates
    /// are pending for the neighbour: a digest that waits for them is due at its latest only.
    pub(super) fn wake_at(&self, owing: bool) -> Mono {
        match self.phase {
            Phase::Free => Mono::NEVER,
            Phase::Hello | Phase::Proof | Phase::DialBackAsked => self.opened_at.after_ms(HANDSHAKE_MS_MAX),
            Phase::Up => {
                let dead_at = self.received_at.after_ms(DEAD_AFTER_MS);
                let patient = self.digest.due.filter(|due| owing && due.at_latest > DigestDue::NOW);
                let digest_at = patient.map_or(Mono::NEVER, |due| due.at_latest);
                let at = dead_at.min(digest_at).min(self.round_wake_at());
                if self.dialled && !self.ping_due { at.min(self.ping_at()) } else { at }
            }
        }
    }

    fn round_wake_at(&self) -> Mono {
        if self.digest.due.is_some() { Mono::NEVER } else { self.round_at() }
    }
}
