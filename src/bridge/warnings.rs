//! What a bridge warns of, each kind with a rate limit of its own: see [`warn_limit`](herd::server::warn_limit).

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The broker is away: counted as `broker_down`.
    Broker,
    /// The node cannot be watched: counted as `node_down`.
    Watched,
    /// The node takes no updates.
    Reports,
    /// A user of the broker has too many devices: counted as `too_many_devices`.
    Devices,
    /// The broker refuses a message of the bridge: counted as `denied`.
    Denied,
    /// The node refuses an update: counted as `refused`.
    Refused,
}

/// How many kinds there are.
pub(super) const KINDS: usize = Kind::Refused as usize + 1;

impl From<Kind> for usize {
    fn from(kind: Kind) -> Self {
        kind as usize
    }
}
