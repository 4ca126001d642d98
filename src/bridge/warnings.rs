//! The kinds of warnings. Each kind has its own rate limit: see [`warn_limit`](herd::server::warn_limit).

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The broker is down: counted as `broker_down`.
    Broker,
    /// The node's event stream is down: counted as `node_down`.
    Watched,
    /// The node does not accept updates.
    Updates,
    /// An MQTT user has too many devices: counted as `too_many_devices`.
    Devices,
    /// The broker refuses a message of the bridge: counted as `denied`.
    Denied,
    /// The node refuses an update: counted as `refused`.
    Refused,
}

/// The number of kinds.
pub(super) const KINDS: usize = Kind::Refused as usize + 1;

impl From<Kind> for usize {
    fn from(kind: Kind) -> Self {
        kind as usize
    }
}
