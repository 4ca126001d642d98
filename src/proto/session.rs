//! A session: one link connection, from the first HELLO to the last tagged line.
//!
//! A session knows only its own connection. The [`Node`](super::node::Node) decides what a line means for the
//! table and for other links.
//!
//! A connection is secret, signed or clear: see `Guard`. Invariants: in `Phase::Hello` only HELLO is read or written,
//! in `Phase::Proof` only PROOF. On a signed link every line in `Phase::Up` carries a tag. On a secret link every line
//! is a record.

use super::auth::{LineKeys, Role};
use super::limits::{
    DEAD_AFTER_MS, DIGEST_EVERY_MS, DIGEST_FIRST_MS, DIGEST_FORCED_MS, DIGEST_QUIET_MS, DIGEST_RETRY_MS,
    HANDSHAKE_MS_MAX, NONCE_BYTES, PING_AFTER_MS,
};
use super::names::NodeId;
use super::noise::connection::{Connection, Fresh};
use super::noise::key_pair::PublicKey;
use super::noise::opening::INTRODUCTION_BYTES;
use super::noise::{Refused, Secret};
use super::out::Out;
use super::time::Mono;
use super::update::Update;

/// Why the core ends a link connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The first line was not a HELLO.
    NoHello,
    /// The peer uses another version of the grammar.
    Version,
    /// The peer's name is not that of a configured neighbour, or not that of the dialled one.
    Stranger,
    /// The peer ended the connection for [`Cut::Stranger`].
    Refused,
    /// The peer sent no PROOF, so it has no key. This node has one.
    NoProof,
    /// The peer sent a PROOF, and this node has no key.
    Unexpected,
    /// The peer has none of this node's keys.
    WrongKey,
    /// The tag of a line was wrong: the line was forged, replayed, reordered or damaged.
    WrongTag,
    /// The peer began a signed or clear link. This node accepts secret ones only.
    NotSecret,
    /// The peer's introduction names no neighbour that this node has keys of.
    UnknownKey,
    /// A record or a message of the handshake did not open: it was forged, replayed or damaged, or one end has another
    /// key.
    BadRecord,
    /// A public key agrees on zero with every private key.
    WeakKey,
    /// A reload removed the public key that the neighbour uses.
    Revoked,
    /// The other end closed a dialled connection before its HELLO. Recorded where a node has keys of its own.
    HandshakeClosed,
    /// A line was malformed.
    Nonsense,
    /// The peer sends digests much faster than a node does.
    DigestFlood,
    /// A line was longer than [`LINK_LINE_BYTES_MAX`](super::limits::LINK_LINE_BYTES_MAX).
    TooLong,
    /// The peer did not authenticate in time.
    HandshakeTimeout,
    /// The peer sent nothing for too long.
    Silent,
    /// The same neighbour has opened a newer link.
    Replaced,
    /// Too many connections had not authenticated, and this was the oldest.
    PushedOut,
    /// The neighbour has authenticated in a newer connection and has no link: it restarted or lost the link.
    Abandoned,
    /// A reload removed the neighbour, or the key that the link uses.
    MapChanged,
    /// The connection was a dial-back request (see [`Node::take_dial`](super::node::Node::take_dial)) and is
    /// complete.
    DialBack,
}

impl Cut {
    /// The reason as text, for logs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Cut::NoHello => "its first line is not a HELLO",
            Cut::Version => "it speaks another version of the link protocol: update both nodes",
            Cut::Stranger | Cut::Refused => {
                "the two nodes have different configuration files: give both nodes the same file"
            }
            Cut::NoProof => "it has no key and this node has one: give both nodes the same key",
            Cut::Unexpected => "it has a key and this node has none: give both nodes the same key",
            Cut::WrongKey => "it knows another key: give both nodes the same key",
            Cut::WrongTag => "a line was forged, replayed or damaged",
            Cut::NotSecret => {
                "it does not encrypt the link, and this node accepts no other: give both nodes the same configuration"
            }
            Cut::UnknownKey => {
                "it is not a neighbour, or it has other keys than the configuration: give both nodes the same \
                 configuration and key"
            }
            Cut::BadRecord => "a record was forged, replayed or damaged, or the nodes have different keys",
            Cut::WeakKey => "its public key is weak: make a new key",
            Cut::Revoked => "its public key was removed from the configuration",
            Cut::HandshakeClosed => {
                "it closed the connection in the handshake, and its log says why: it restarts, or the nodes have different keys"
            }
            Cut::Nonsense => "a line made no sense",
            Cut::DigestFlood => {
                "it compares tables without pause: its software is at fault, or it is not a node"
            }
            Cut::TooLong => "a line was too long",
            Cut::HandshakeTimeout => "it did not authenticate within 10 s",
            Cut::Silent => "it was silent for 30 s",
            Cut::Replaced => "the same neighbour made a newer link",
            Cut::PushedOut => "too many connections had not authenticated",
            Cut::Abandoned => "its other end restarted or lost the link",
            Cut::MapChanged => "the configuration or its keys were changed",
            Cut::DialBack => "a dial-back request has done its work",
        }
    }
}

impl From<Refused> for Cut {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Protocol => Cut::Version,
            Refused::Stranger => Cut::UnknownKey,
            Refused::Length | Refused::Tag | Refused::Padding => Cut::BadRecord,
            Refused::WeakKey => Cut::WeakKey,
        }
    }
}

/// A connection that the core has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The reason.
    pub cut: Cut,
    /// The authenticated neighbour at the other end, if any.
    pub peer: Option<NodeId>,
    /// The neighbour that was dialled, or the unverified name of the other end. Use it for logs only.
    pub alleged: Option<NodeId>,
}

/// The phase of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No connection.
    Free,
    /// The node waits for the other end's HELLO.
    Hello,
    /// The node waits for the other end's PROOF.
    Proof,
    /// This end has requested a dial-back and has authenticated. The other end will close the connection and
    /// dial.
    DialBackAsked,
    /// Both ends have authenticated, or have no keys.
    Up,
    /// The dialling end has renewed the link, and closes this connection as soon as it has learned that.
    Retired,
}

/// The fields of the other end's HELLO.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) boot: u64,
    pub(super) capacity: u32,
    pub(super) nonce: [u8; NONCE_BYTES],
}

/// A digest that this end must send.
#[derive(Clone, Copy, Debug)]
pub(super) struct DigestDue {
    pub(super) round: u64,
    /// The digest waits for pending updates, but no longer than this time. [`DigestDue::NOW`] once the time has
    /// passed and the writer has been woken: a link that accepts no bytes must not wake the clock again.
    pub(super) at_latest: Mono,
}

impl DigestState {
    /// The round of this number: this end's own, or else the other end's. Starts the other end's round anew if
    /// the number is a new one.
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
    /// The time has passed, and the writer has been woken.
    pub(super) const NOW: Mono = Mono(0);
}

/// This end's progress in a round of digests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// The last digest sent: the round's number, and the hash of its floor.
    pub(super) sent: Option<(u64, u64)>,
    /// Answers that are due or sent in this round.
    pub(super) answers: u8,
}

impl Round {
    pub(super) const NEW: Round = Round { sent: None, answers: 0 };
}

/// The state of the exchange of digests.
///
/// Both ends may begin a round at the same moment, so each end stores the two rounds separately. In one
/// variable, the two rounds would overwrite each other and the answers would never end.
#[derive(Debug)]
pub(super) struct DigestState {
    pub(super) due: Option<DigestDue>,
    /// The floor of the digest that is due. It is separate from `due`, because an `Option` inside an `Option`
    /// is not all zero when it is `None`.
    pub(super) due_floor: Option<Update>,
    /// When this end begins the next round. The accepting end only does so after a difference.
    pub(super) next_at: Mono,
    /// When it begins the round although the link is not quiet.
    pub(super) forced_at: Mono,
    /// The number of the round that this end began last.
    pub(super) begun: Option<u64>,
    /// Progress of the round that this end began last.
    pub(super) ours: Round,
    /// Progress of the round that the other end began last.
    pub(super) theirs: Round,
    /// When an update last crossed the link.
    pub(super) busy_at: Mono,
    /// The pause before the last round after a difference, in milliseconds. 0 if the digests were equal.
    pub(super) retry_ms: u64,
}

/// How a connection protects its lines.
#[derive(Debug)]
pub(super) enum Guard {
    /// Not at all: a node without keys, or a signed link before its PROOF.
    Clear,
    /// Each line carries a tag.
    Signed(LineKeys),
    /// Accepted, and nothing has been read. The first byte decides. The ephemeral private key, if it is a secret link.
    Undecided(Secret),
    /// Each line is a record. The public key of the neighbour, as soon as it is known.
    Secret(Connection, Option<PublicKey>),
}

/// One link connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) phase: Phase,
    /// Distinguishes this connection from earlier ones of the same index.
    pub(super) generation: u32,
    pub(super) dialled: bool,
    /// The connection comes from the address of a neighbour.
    pub(super) is_expected: bool,
    /// The neighbour's number: known from the start if dialled, else after its HELLO.
    pub(super) neighbour: Option<u8>,
    pub(super) opened_at: Mono,
    pub(super) received_at: Mono,
    pub(super) sent_at: Mono,
    pub(super) nonce: [u8; NONCE_BYTES],
    pub(super) peer: Option<Peer>,
    pub(super) hello_due: bool,
    pub(super) proof_due: bool,
    /// The number of the other end's ping that this end must echo.
    pub(super) echo_due: Option<u64>,
    pub(super) ping_due: bool,
    /// Number and time of the last ping that was sent.
    pub(super) pinged: Option<(u64, Mono)>,
    pub(super) guard: Guard,
    /// Bytes of the handshake of a secret link that this end must send.
    pub(super) step: heapless::Vec<u8, { 1 + INTRODUCTION_BYTES }>,
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
        guard: Guard::Clear,
        step: heapless::Vec::new(),
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

    /// Begins a connection whose lines are clear or signed. Both ends send HELLO at once.
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

    /// Makes the connection that was just opened a secret one, which this end has dialled.
    pub(super) fn dial_secret(&mut self, theirs: PublicKey, fresh: Fresh) {
        let mut first = [0; 1];
        let connection = Connection::dial(theirs, fresh, &mut Out::new(&mut first));
        self.hello_due = false;
        self.guard = Guard::Secret(connection, Some(theirs));
        self.put_step(&first);
    }

    /// Lets the first byte decide whether the connection that was just accepted is a secret one.
    pub(super) fn accept_any(&mut self, ephemeral: Secret) {
        self.hello_due = false;
        self.guard = Guard::Undecided(ephemeral);
    }

    /// Adds bytes of the handshake to send: the first byte and the introduction at most, if the other end hurries.
    pub(super) fn put_step(&mut self, bytes: &[u8]) {
        let put = self.step.extend_from_slice(bytes);
        debug_assert!(put.is_ok(), "one step is sent at a time");
    }

    /// A newer connection is the link now.
    pub(super) fn retire(&mut self, now: Mono) {
        self.phase = Phase::Retired;
        self.opened_at = now;
    }

    /// The secret of both ends that salts digests. 0 on a clear link.
    pub(super) fn digest_secret(&self) -> u64 {
        match &self.guard {
            Guard::Signed(keys) => keys.digest_secret(),
            Guard::Secret(connection, _) => connection.digest_secret().unwrap_or(0),
            Guard::Clear | Guard::Undecided(_) => 0,
        }
    }

    /// Ends the session. The generation stays, so a late call for the old connection finds no session.
    pub(super) fn free(&mut self) {
        *self = Session { generation: self.generation, ..Session::FREE };
    }

    pub(super) fn role(&self) -> Role {
        if self.dialled { Role::Dialler } else { Role::Acceptor }
    }

    /// The link is up: updates may flow. The dialling end begins the first round of digests.
    pub(super) fn up(&mut self, now: Mono, round: u64) {
        self.phase = Phase::Up;
        self.digest.busy_at = now;
        self.digest.next_at = Mono::NEVER;
        self.digest.forced_at = Mono::NEVER;
        if self.dialled {
            self.begin_round(now, round, DIGEST_EVERY_MS);
        }
    }

    /// Begins a round now. The dialling end begins the next one `every_ms` milliseconds later.
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

    /// Records the result of a comparison.
    pub(super) fn compared(&mut self, now: Mono, equal: bool) {
        if equal {
            self.digest.retry_ms = 0;
            if !self.dialled {
                // The dialling end begins the next round, a minute later.
                self.digest.next_at = Mono::NEVER;
            }
        } else {
            // A permanent difference, such as two different configurations, must not cause constant traffic.
            self.digest.retry_ms = (self.digest.retry_ms * 2).clamp(DIGEST_RETRY_MS, DIGEST_EVERY_MS);
            self.digest.next_at = self.digest.next_at.min(now.after_ms(self.digest.retry_ms));
        }
    }

    /// When this end begins the next round, by the present state.
    pub(super) fn round_at(&self) -> Mono {
        let quiet_at = self.digest.busy_at.after_ms(DIGEST_QUIET_MS);
        self.digest.next_at.max(quiet_at).min(self.digest.forced_at)
    }

    /// When the dialling end sends a ping: after silence in either direction.
    pub(super) fn ping_at(&self) -> Mono {
        let silent_since = self.received_at.min(self.sent_at);
        let pinged_at = self.pinged.map_or(Mono(0), |(_, at)| at);
        silent_since.max(pinged_at).after_ms(PING_AFTER_MS)
    }

    /// The reason to end the connection at `now`, if any.
    pub(super) fn overdue(&self, now: Mono) -> Option<Cut> {
        match self.phase {
            Phase::Free => None,
            Phase::Hello | Phase::Proof | Phase::DialBackAsked => {
                (now.since_ms(self.opened_at) >= HANDSHAKE_MS_MAX).then_some(Cut::HandshakeTimeout)
            }
            Phase::Up => (now.since_ms(self.received_at) >= DEAD_AFTER_MS).then_some(Cut::Silent),
            Phase::Retired => (now.since_ms(self.opened_at) >= HANDSHAKE_MS_MAX).then_some(Cut::Replaced),
        }
    }

    /// When this session next has work that the clock triggers. `has_pending` says whether updates are pending
    /// for the neighbour: a digest that waits for them is due at `at_latest` only.
    pub(super) fn wake_at(&self, has_pending: bool) -> Mono {
        match self.phase {
            Phase::Free => Mono::NEVER,
            Phase::Hello | Phase::Proof | Phase::DialBackAsked | Phase::Retired => {
                self.opened_at.after_ms(HANDSHAKE_MS_MAX)
            }
            Phase::Up => {
                let dead_at = self.received_at.after_ms(DEAD_AFTER_MS);
                let waiting = self.digest.due.filter(|due| has_pending && due.at_latest > DigestDue::NOW);
                let digest_at = waiting.map_or(Mono::NEVER, |due| due.at_latest);
                let at = dead_at.min(digest_at).min(self.round_wake_at());
                if self.dialled && !self.ping_due { at.min(self.ping_at()) } else { at }
            }
        }
    }

    fn round_wake_at(&self) -> Mono {
        if self.digest.due.is_some() { Mono::NEVER } else { self.round_at() }
    }
}
