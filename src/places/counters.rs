//! Counters of the queries for places.

/// Queries to a [`Places`](crate::places::Places) since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All queries.
    pub asked: u64,
    /// Queries that got the error form because the queue was full.
    pub refused_queue_full: u64,
    /// Queries that got the error form for any other reason.
    pub failed: u64,
    /// Queries that joined an identical query.
    pub joined: u64,
    /// Queries answered from the answer cache.
    pub from_cache: u64,
    /// Queries that the fallback answered, for any reason.
    pub from_fallback: u64,
}

impl Counters {
    /// The name and the value of each counter.
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
