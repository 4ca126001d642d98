//! Counters of the server: what it refuses, or fails to do, where the core has no part in it. The core's are in
//! [`crate::proto::counters`].

use std::cell::Cell;

/// What was refused, or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A connection to a listener.
    Accept,
    /// Somebody who asked how the node is, at the control socket or over HTTP.
    Ask,
    /// A map that was to be read again.
    Map,
}

/// Name and meaning of each, in their order.
const DESCRIBED: [(&str, &str); 3] = [
    ("accepts_failed", "Connections that could not be accepted, for want of descriptors, say."),
    (
        "asks_failed",
        "Connections to the control socket and the HTTP port that ended before their answer did: too slow, gone, or no request.",
    ),
    ("maps_refused", "Maps that were to be read again and could not be taken."),
];

/// Events since the node started. Each only grows.
#[derive(Debug, Default)]
pub struct Refusals([Cell<u64>; DESCRIBED.len()]);

impl Refusals {
    /// Counts one.
    pub fn count(&self, refused: Refused) {
        let counter = &self.0[refused as usize];
        counter.set(counter.get() + 1);
    }

    /// Name and value of each.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DESCRIBED.iter().zip(&self.0).map(|((name, _), counter)| (*name, counter.get()))
    }

    /// Name and meaning of each, in the same order.
    pub fn described() -> impl Iterator<Item = (&'static str, &'static str)> {
        DESCRIBED.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_by_its_own_name() {
        let all = [
            (Refused::Accept, "accepts_failed"),
            (Refused::Ask, "asks_failed"),
            (Refused::Map, "maps_refused"),
        ];
        assert_eq!(all.len(), DESCRIBED.len());
        for (refused, name) in all {
            let refusals = Refusals::default();
            refusals.count(refused);
            let counted: Vec<_> = refusals.each().filter(|(_, value)| *value > 0).collect();
            assert_eq!(counted, [(name, 1)]);
        }
    }
}
