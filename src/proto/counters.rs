//! A counter for each event that the node does not log: every drop, eviction and refusal.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The number of events since the node started. Each counter only grows.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// All zero.
            #[must_use]
            pub const fn new() -> Self {
                Counters { $($name: 0,)+ }
            }

            /// The name and meaning of each counter, in the order of this file.
            pub fn described() -> impl Iterator<Item = (&'static str, &'static str)> {
                [$((stringify!($name), concat!($($doc),+).trim_ascii()),)+].into_iter()
            }

            /// The name and value of each counter, in the order of this file.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Client lines that were a valid IAMAT.
    iamat,
    /// Client lines that were a valid WHATSAT.
    whatsat,
    /// Client lines that the node answered with `?`.
    invalid,
    /// Client connections that the node closed because they spoke HTTP, as a browser does.
    http_clients_refused,
    /// IAMATs whose time was too far ahead of a trusted clock. They count as invalid too.
    iamat_ahead,
    /// IAMATs that were answered but not stored, because the herd holds a newer update of the client.
    iamat_stale,
    /// IAMATs that were answered but not stored, because the table is full of newer updates.
    iamat_table_full,
    /// IAMATs that were answered but not stored, because their address has reached its quota of clients.
    iamat_over_quota,
    /// Updates from clients and neighbours that were new to this node.
    updates_new,
    /// Updates that the table held already.
    updates_duplicate,
    /// Updates older than the client's update in the table.
    updates_stale,
    /// Updates refused because the full table holds only newer ones.
    updates_below_floor,
    /// Updates from neighbours that exceeded the lifetime of an entry on the way.
    updates_expired,
    /// Updates from neighbours that were too far ahead of a trusted clock.
    updates_ahead,
    /// Updates and digests from neighbours that name a node missing from this node's configuration.
    origins_unknown,
    /// Entries removed because of their age, or because a clock that became trusted showed them too far ahead.
    entries_swept,
    /// Entries restored from the snapshot or inherited from the node before a restart.
    snapshot_restored,
    /// Entries of a snapshot that the table rejected: expired, of an unknown node, too far ahead of a trusted clock, or
    /// below the floor.
    snapshot_rejected,
    /// Updates sent to neighbours.
    updates_sent,
    /// Digests sent.
    digests_sent,
    /// Digests received that were equal to this node's.
    digests_equal,
    /// Digests received that differed from this node's.
    digests_differ,
    /// Digests ignored because the neighbour exceeded its rate limit.
    digests_over_rate,
    /// Times that two boards were seen to use one neighbour's name.
    names_in_use,
    /// Links that came up.
    links_up,
    /// Links that went down.
    links_down,
    /// Connection attempts to neighbours that failed.
    dials_failed,
    /// Link connections that ended before they authenticated, unless a neighbour closed its own.
    handshakes_failed,
    /// Link connections closed for a newer one because too many had not authenticated.
    handshakes_evicted,
    /// Requests of neighbours to be dialled back.
    dial_back_requests,
    /// Censuses that this node declined because too many were under way.
    censuses_refused,
    /// Census replies that arrived after their census had ended.
    census_late_replies,
    /// Link lines whose authentication tag was wrong or missing, and records that did not decrypt.
    link_tags_invalid,
    /// Link lines with a valid tag and malformed content.
    link_lines_malformed,
}
