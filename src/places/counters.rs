//! Counters of the queries for places.

/// Queries to a [`Places`](super::Places) since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All queries.
    pub asked: u64,
    /// Queries answered by the error form because the queue was full.
    pub refused_queue_full: u64,
    /// Queries answered by the error form for any other reason.
    pub failed: u64,
    /// Queries that were joined to an identical one.
    pub joined: u64,
    /// Queries answered from the answer cache.
    pub from_cache: u64,
    /// Queries answered by the fallback, for whatever reason.
    pub from_fallback: u64,
}

impl Counters {
    /// Name and value of each.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Counters { asked, refused_queue_full, failed, joined, from_cache, from_fallback } = *self;
        [
            ("asked", asked),
            ("refused_queue_full", refused_queue_full),
            ("failed", failed),
            ("joined", joined),
            ("from_cache", from_cache),
            ("from_fallback", from_fallback),
        ]
        .into_iter()
    }
}
