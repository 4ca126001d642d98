//! Counters since the start of the bridge.

use std::cell::Cell;
use std::fmt;

macro_rules! counts {
    ($($(#[$doc:meta])* $count:ident $name:literal,)*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count {
            $($(#[$doc])* $count,)*
        }

        /// All counters with their names in the log and the status message.
        pub const ALL: &[(Count, &str)] = &[$((Count::$count, $name)),*];
    };
}

counts! {
    /// Positions that were published.
    Published "published",
    /// Positions that the broker has acknowledged.
    Acknowledged "acknowledged",
    /// Positions and statuses that the broker refused, in MQTT 5.
    Denied "denied",
    /// Entries of the node that equal the last published position.
    Unchanged "unchanged",
    /// Positions that a newer one replaced before the bridge published them.
    Replaced "replaced",
    /// Clients that the bridge forgot because it had to make room: `KNOWN_MAX`.
    Forgotten "forgotten",
    /// Malformed entries of the node's stream.
    Unreadable "unreadable",
    /// Times that the bridge stopped reading from the node because `PENDING_MAX` positions were pending.
    NodeWaits "node_waits",
    /// Messages that the node accepted as updates.
    TakenIn "taken_in",
    /// Messages that the node refused; for example, their time is more than a day ahead.
    Refused "refused",
    /// Messages with this bridge's prefix.
    OwnPrefix "own_prefix",
    /// Messages that another bridge published, of this herd or another.
    OfHerd "of_herd",
    /// Messages that are not a location: other types of OwnTracks, encrypted ones, empty ones.
    NoLocation "no_location",
    /// Messages that are not JSON.
    BadJson "bad_json",
    /// Locations without a latitude and longitude within 90 and 180 degrees.
    BadPosition "bad_position",
    /// Locations without a time.
    BadTime "bad_time",
    /// Messages whose topic does not make an id of 1 to 64 bytes.
    BadId "bad_id",
    /// Messages of further devices of an MQTT user that has its maximum.
    TooManyDevices "too_many_devices",
    /// Messages that are too large.
    TooLarge "too_large",
    /// Messages of topics that the filter does not cover; for example, of an earlier filter.
    NotAsked "not_asked",
    /// Times that the bridge stopped reading from the broker because a queue was full.
    BrokerWaits "broker_waits",
    /// Connections over which the broker sent something after it accepted the bridge.
    BrokerUp "broker_up",
    /// Connections to the broker that ended or failed.
    BrokerDown "broker_down",
    /// Streams of the node that began.
    NodeUp "node_up",
    /// Streams of the node that ended or failed.
    NodeDown "node_down",
}

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
    fn each_counter_has_one_name() {
        let mut names: Vec<&str> = ALL.iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        let counters = Counters::default();
        assert_eq!(counters.to_string(), "nothing yet");
        counters.one(Count::NodeDown);
        counters.add(Count::Published, 3);
        assert_eq!(
            (counters.to_string(), counters.get(Count::Published)),
            ("published 3, node_down 1".into(), 3)
        );
    }
}
