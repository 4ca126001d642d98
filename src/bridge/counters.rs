//! Counters since the start of the bridge.

use std::cell::Cell;
use std::fmt;

/// The counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Positions that were published.
    Published,
    /// Positions that the broker has acknowledged.
    Acknowledged,
    /// Positions and statuses that the broker refused, in MQTT 5.
    Denied,
    /// Entries of the node that equal the last published position.
    Unchanged,
    /// Positions that a newer one replaced before the bridge published them.
    Replaced,
    /// Clients that the bridge forgot because it had to make room: `KNOWN_MAX`.
    Forgotten,
    /// Malformed entries of the node's stream.
    Unreadable,
    /// Times that the bridge stopped reading from the node because `PENDING_MAX` positions were pending.
    NodeWaits,
    /// Messages that the node accepted as updates.
    TakenIn,
    /// Messages that the node refused; for example, their time is more than a day ahead.
    Refused,
    /// Messages with this bridge's prefix.
    OwnPrefix,
    /// Messages that another bridge published, of this herd or another.
    OfHerd,
    /// Messages that are not a location: other types of OwnTracks, encrypted ones, empty ones.
    NoLocation,
    /// Messages that are not JSON.
    BadJson,
    /// Locations without a latitude and longitude within 90 and 180 degrees.
    BadPosition,
    /// Locations without a time.
    BadTime,
    /// Messages whose topic does not make an id of 1 to 64 bytes.
    BadId,
    /// Messages of further devices of an MQTT user that has its maximum.
    TooManyDevices,
    /// Messages that are too large.
    TooLarge,
    /// Messages of topics that the filter does not cover; for example, of an earlier filter.
    NotAsked,
    /// Times that the bridge stopped reading from the broker because a queue was full.
    BrokerWaits,
    /// Connections over which the broker sent something after it accepted the bridge.
    BrokerUp,
    /// Connections to the broker that ended or failed.
    BrokerDown,
    /// Streams of the node that began.
    NodeUp,
    /// Streams of the node that ended or failed.
    NodeDown,
}

use Count::{
    Acknowledged, BadId, BadJson, BadPosition, BadTime, BrokerDown, BrokerUp, BrokerWaits, Denied, Forgotten,
    NoLocation, NodeDown, NodeUp, NodeWaits, NotAsked, OfHerd, OwnPrefix, Published, Refused, Replaced,
    TakenIn, TooLarge, TooManyDevices, Unchanged, Unreadable,
};

/// All counters with their names in the log and the status message.
pub const ALL: [(Count, &str); 25] = [
    (Published, "published"),
    (Acknowledged, "acknowledged"),
    (Denied, "denied"),
    (Unchanged, "unchanged"),
    (Replaced, "replaced"),
    (Forgotten, "forgotten"),
    (Unreadable, "unreadable"),
    (NodeWaits, "node_waits"),
    (TakenIn, "taken_in"),
    (Refused, "refused"),
    (OwnPrefix, "own_prefix"),
    (OfHerd, "of_herd"),
    (NoLocation, "no_location"),
    (BadJson, "bad_json"),
    (BadPosition, "bad_position"),
    (BadTime, "bad_time"),
    (BadId, "bad_id"),
    (TooManyDevices, "too_many_devices"),
    (TooLarge, "too_large"),
    (NotAsked, "not_asked"),
    (BrokerWaits, "broker_waits"),
    (BrokerUp, "broker_up"),
    (BrokerDown, "broker_down"),
    (NodeUp, "node_up"),
    (NodeDown, "node_down"),
];

/// The counters.
#[derive(Debug, Default)]
pub struct Counters([Cell<u64>; ALL.len()]);

impl Counters {
    /// Adds one to a counter.
    pub fn one(&self, what: Count) {
        self.add(what, 1);
    }

    /// Adds to a counter.
    pub fn add(&self, what: Count, number: u64) {
        let cell = &self.0[what as usize];
        cell.set(cell.get().saturating_add(number));
    }

    /// The value of a counter.
    #[must_use]
    pub fn get(&self, what: Count) -> u64 {
        self.0[what as usize].get()
    }
}

/// The counters that are not zero: `published 12, unchanged 3`.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut comma = "";
        for (what, name) in ALL.iter().filter(|(what, _)| self.get(*what) > 0) {
            write!(f, "{comma}{name} {}", self.get(*what))?;
            comma = ", ";
        }
        if comma.is_empty() { write!(f, "nothing yet") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_one_name_in_its_own_place() {
        let mut names: Vec<&str> = ALL.iter().map(|(_, name)| *name).collect();
        for (index, (what, _)) in ALL.iter().enumerate() {
            assert_eq!(*what as usize, index);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        let counters = Counters::default();
        assert_eq!(counters.to_string(), "nothing yet");
        counters.one(NodeDown);
        counters.add(Published, 3);
        assert_eq!((counters.to_string(), counters.get(Published)), ("published 3, node_down 1".into(), 3));
    }
}
