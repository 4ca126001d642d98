//! What a node knows of a neighbour.

use super::secret::PublicKeys;
use crate::auth::KEYS_MAX;
use crate::digest::DigestQuota;
use crate::names::NodeId;
use crate::pace::Pace;
use crate::session::Cut;
use crate::time::Mono;

/// One neighbour, whether there is a connection to it or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) node: NodeId,
    /// This end dials for the link, because its name sorts first. The other end only sends dial-back requests.
    pub(crate) dials: bool,
    /// This node is dialling, or has dialled a connection that is not up yet.
    pub(crate) dialling: bool,
    /// The neighbour requested a dial-back during the dial. If that dial fails, the next one starts at once.
    pub(crate) dial_back_asked: bool,
    pub(crate) dial_at: Mono,
    pub(crate) backoff_ms: u64,
    /// The session that is up.
    pub(crate) session: Option<u8>,
    pub(crate) up_since: Mono,
    /// When the neighbour's digest was last equal to ours, unless it has differed since.
    pub(crate) equal_at: Option<Mono>,
    /// When the link last went down. 0 if it was never up.
    pub(crate) down_since: Mono,
    /// Why this node last ended a connection with the neighbour.
    pub(crate) last_cut: Option<Cut>,
    /// Round-trip time of the last ping in milliseconds, at the dialling end.
    pub(crate) round_trip_ms: Option<u64>,
    /// The neighbour's last boot number. A different one means that it has restarted.
    pub(crate) boot: Option<u64>,
    /// The last two boot numbers by which the neighbour has authenticated, for a link or a dial-back request.
    pub(crate) boots: [Option<u64>; 2],
    /// How often in a row the neighbour has returned to the boot number before the last.
    pub(crate) boot_turns: u8,
    pub(crate) name_in_use_at: Option<Mono>,
    /// The quota of the neighbour's digests.
    pub(crate) digests: DigestQuota,
    /// What the neighbour has sent, and how fast.
    pub(crate) pace: Pace,
    /// The public keys of the neighbour. None on signed links.
    pub(crate) public_keys: PublicKeys,
    /// The number of the public key that the next dial uses.
    pub(crate) key_turn: u8,
    /// When the dialling end replaces the link that is up by a new one.
    pub(crate) renew_at: Mono,
}

impl Link {
    /// A link that is down. The node dials it at once.
    pub(crate) fn new(me: NodeId, node: NodeId) -> Self {
        Link {
            node,
            dials: me < node,
            dialling: false,
            dial_back_asked: false,
            dial_at: Mono(0),
            backoff_ms: 0,
            session: None,
            up_since: Mono(0),
            equal_at: None,
            down_since: Mono(0),
            last_cut: None,
            round_trip_ms: None,
            boot: None,
            boots: [None; 2],
            boot_turns: 0,
            name_in_use_at: None,
            digests: DigestQuota::NEW,
            pace: Pace::NEW,
            public_keys: [None; KEYS_MAX],
            key_turn: 0,
            renew_at: Mono::NEVER,
        }
    }
}
