//! A board: its node, clocks, keys and disk, and the state that the checks record about it.

use super::plan::{CLIENTS_MAX, SLOTS};
use crate::proto::auth::{KEY_BYTES, Keys};
use crate::proto::fields::ClientId;
use crate::proto::limits::{NEIGHBOURS_MAX, SESSIONS_MAX};
use crate::proto::node::Node;
use crate::proto::time::{Mono, Now, Timestamp};
use crate::proto::update::{Sighting, Update};

/// The time of a correct wall clock at the start of the world.
pub(super) const WALL_NS: i64 = 1_700_000_000_000_000_000;

/// Number of client addresses with tight quotas.
pub(super) const ADDRESSES: usize = 3;
/// Number of clients that each of these addresses may hold.
pub(super) const TIGHT_QUOTA: u32 = 3;

/// An entry at the last check of the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) sighting: Sighting,
    pub(super) heard_s: i32,
    /// The largest error of its age: transit time and rounding to whole seconds.
    pub(super) hidden_ms: u64,
}

/// The table that a board has stored, and the clock at that time.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) entries: Vec<Stored>,
    pub(super) wall_s: i64,
    pub(super) is_trusted: bool,
    /// The error of the wall clock at the time of writing.
    pub(super) wall_off_ns: i64,
}

/// A stored entry.
pub(super) struct Stored {
    pub(super) update: Update,
    pub(super) age_s: u32,
    /// The largest error of its age at the time of writing.
    pub(super) hidden_ms: u64,
}

pub(super) struct Host {
    /// `None` while the board is down.
    pub(super) node: Option<Box<Node<SLOTS>>>,
    /// The world's time when the board's steady clock was 0.
    pub(super) started_at: u64,
    /// Number of starts.
    pub(super) life: u64,
    /// Changes when the dials that are under way become invalid.
    pub(super) epoch: u64,
    pub(super) paused_until: u64,
    pub(super) wall_off_ns: i64,
    pub(super) wall_is_trusted: bool,
    pub(super) disk: Disk,
    /// The numbers of its keys, the current one first. They stand for its key file.
    pub(super) keys: Vec<u8>,
    pub(super) tick_at: u64,
    /// Ticks within the current millisecond.
    pub(super) spins: u32,
    pub(super) ticked_at: u64,
    /// Connection and end of each session.
    pub(super) sessions: [Option<(usize, usize)>; SESSIONS_MAX],
    /// By client.
    pub(super) held: [Option<Held>; CLIENTS_MAX],
    pub(super) evicted: u64,
    /// By client: the address that holds its entry.
    pub(super) holders: [Option<usize>; CLIENTS_MAX],
    /// By neighbour, one bit for each client: the updates that must be pending.
    pub(super) must_send: [u64; NEIGHBOURS_MAX],
}

impl Host {
    pub(super) fn new() -> Self {
        Host {
            node: None,
            started_at: 0,
            life: 0,
            epoch: 0,
            paused_until: 0,
            wall_off_ns: 0,
            wall_is_trusted: true,
            disk: Disk::default(),
            keys: vec![],
            tick_at: u64::MAX,
            spins: 0,
            ticked_at: 0,
            sessions: [None; SESSIONS_MAX],
            held: [None; CLIENTS_MAX],
            evicted: 0,
            holders: [None; CLIENTS_MAX],
            must_send: [0; NEIGHBOURS_MAX],
        }
    }

    /// The node's clocks at a time of the world.
    pub(super) fn now(&self, at: u64) -> Now {
        let world_ns = i64::try_from(at).expect("a world lasts minutes") * 1_000_000;
        Now {
            mono: Mono(at.saturating_sub(self.started_at)),
            wall: Timestamp(WALL_NS + world_ns + self.wall_off_ns),
            wall_is_trusted: self.wall_is_trusted,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.node.is_some()
    }

    pub(super) fn forget(&mut self) {
        self.node = None;
        self.epoch += 1;
        self.tick_at = u64::MAX;
        self.sessions = [None; SESSIONS_MAX];
        self.held = [None; CLIENTS_MAX];
        self.evicted = 0;
        self.holders = [None; CLIENTS_MAX];
        self.must_send = [0; NEIGHBOURS_MAX];
    }

    pub(super) fn shares_a_key_with(&self, numbers: &[u8]) -> bool {
        self.keys.iter().any(|key| numbers.contains(key))
    }
}

/// The keys of these numbers.
pub(super) fn keys(numbers: &[u8]) -> Option<Keys> {
    let key = |number: &u8| [*number; KEY_BYTES];
    numbers.first().map(|current| Keys::new(key(current), numbers.get(1).map(key)))
}

/// The name of a client of the simulation.
pub(super) fn client_name(number: usize) -> String {
    format!("c{number}")
}

/// The number of a client's name. `None` for other names.
pub(super) fn client_number(client: &ClientId) -> Option<usize> {
    let digits = std::str::from_utf8(client.as_bytes()).ok()?.strip_prefix('c')?;
    digits.parse().ok().filter(|number| *number < CLIENTS_MAX)
}
