//! Counters of the server: what it refuses or fails to do without the core. The core's counters are in
//! [`crate::proto::counters`].

use std::cell::Cell;

/// What was refused, or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A connection to a listener.
    Accept,
    /// A request for status, at the control socket or over HTTP.
    StatusRequest,
    /// A reload of the configuration.
    Reload,
}

/// Name and meaning of each, in their order.
const DESCRIBED: [(&str, &str); 3] = [
    ("accepts_failed", "Connections that could not be accepted, for example for lack of file descriptors."),
    (
        "status_requests_failed",
        "Connections to the control socket and the HTTP port that ended before the answer was sent.",
    ),
    ("reloads_failed", "Reloads of the configuration that failed."),
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
            (Refused::StatusRequest, "status_requests_failed"),
            (Refused::Reload, "reloads_failed"),
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
