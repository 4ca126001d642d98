//! A board of the herd: its node, its clocks, its keys, and what the checks remember of it.

use super::disks::Disk;
use super::plan::{CLIENTS_MAX, SLOTS};
use crate::proto::auth::{KEY_BYTES, Keys};
use crate::proto::fields::ClientId;
use crate::proto::limits::{NEIGHBOURS_MAX, SESSIONS_MAX};
use crate::proto::node::Node;
use crate::proto::time::{Mono, Now, Timestamp};
use crate::proto::update::Sighting;

/// What a right wall clock shows when the world begins.
pub(super) const WALL_NS: i64 = 1_700_000_000_000_000_000;

/// Addresses that clients come from where quotas are tight.
pub(super) const ADDRESSES: usize = 3;
/// Clients that each of them may hold there.
pub(super) const TIGHT_QUOTA: u32 = 3;

/// An entry as it was when the node was last touched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) sighting: Sighting,
    pub(super) heard_s: i32,
    /// By so much its age may be short of the truth: the time it was on its way, and what whole seconds cut off.
    pub(super) hidden_ms: u64,
}

pub(super) struct Host {
    /// None while it is down.
    pub(super) node: Option<Box<Node<SLOTS>>>,
    /// When its steady clock was 0.
    pub(super) started_at: u64,
    /// Starts so far.
    pub(super) life: u64,
    /// Changes when dials that are under way count no more.
    pub(super) epoch: u64,
    pub(super) paused_until: u64,
    pub(super) wall_off_ns: i64,
    pub(super) wall_is_trusted: bool,
    pub(super) disk: Disk,
    /// Numbers of its keys, the current first: its key file.
    pub(super) keys: Vec<u8>,
    pub(super) tick_at: u64,
    /// Ticks at one and the same millisecond.
    pub(super) spins: u32,
    pub(super) ticked_at: u64,
    /// Connection and end of each session.
    pub(super) sessions: [Option<(usize, usize)>; SESSIONS_MAX],
    /// By client.
    pub(super) held: [Option<Held>; CLIENTS_MAX],
    pub(super) evicted: u64,
    /// By client: the address that holds its entry.
    pub(super) holders: [Option<usize>; CLIENTS_MAX],
    /// By neighbour, a bit for each client: what must be pending for it.
    pub(super) owes: [u64; NEIGHBOURS_MAX],
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
            owes: [0; NEIGHBOURS_MAX],
        }
    }

    /// The node's clocks at a moment of the world.
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
        self.owes = [0; NEIGHBOURS_MAX];
    }

    pub(super) fn shares_a_key_with(&self, numbers: &[u8]) -> bool {
        self.keys.iter().any(|key| numbers.contains(key))
    }
}

/// Keys of these numbers.
pub(super) fn keys(numbers: &[u8]) -> Option<Keys> {
    let key = |number: &u8| [*number; KEY_BYTES];
    numbers.first().map(|current| Keys::new(key(current), numbers.get(1).map(key)))
}

/// The name of a client of the simulation.
pub(super) fn client_name(number: usize) -> String {
    format!("c{number}")
}

/// Its number; none for a client that nobody has made up.
pub(super) fn client_number(client: &ClientId) -> Option<usize> {
    let digits = std::str::from_utf8(client.as_bytes()).ok()?.strip_prefix('c')?;
    digits.parse().ok().filter(|number| *number < CLIENTS_MAX)
}
