//! The state of an insider, at its end of a connection. `insider.rs` has its behaviour.

use crate::proto::auth::LineKeys;
use crate::proto::limits::NONCE_BYTES;
use crate::proto::noise::connection::Connection;

#[derive(Debug)]
pub(super) struct Insider {
    /// The neighbour whose name it uses.
    pub(super) identity: usize,
    pub(super) nonce: [u8; NONCE_BYTES],
    /// The numbers of its keys.
    pub(super) numbers: Vec<u8>,
    pub(super) lines: Option<LineKeys>,
    /// Its end of a secret link.
    pub(super) connection: Option<Connection>,
    /// The node's HELLO.
    pub(super) peer: Option<(u64, u32, [u8; NONCE_BYTES])>,
    pub(super) words: u8,
    pub(super) manner: Manner,
    /// Number of updates that the node has sent to it.
    pub(super) updates: usize,
}

/// The behaviour of an insider after authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It sends lines of all kinds.
    Talks,
    /// It sends digests without pause, each of another table.
    ComparesAllTheTime,
    /// It is a second board with the neighbour's name, and all its lines are valid.
    IsAClone,
}

impl Manner {
    /// The boot number in its HELLO.
    pub(super) fn boot(self, identity: usize) -> u64 {
        if self == Manner::IsAClone { BOOT + 1 + identity as u64 } else { BOOT }
    }
}

/// An insider's boot number. A clone has its own.
const BOOT: u64 = 7;
