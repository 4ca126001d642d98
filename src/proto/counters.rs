//! A counter for each thing that may silently happen: every drop, eviction and refusal.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Events since the node started. Each only grows.
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

            /// Name and meaning of each, in the order of this file.
            pub fn described() -> impl Iterator<Item = (&'static str, &'static str)> {
                [$((stringify!($name), concat!($($doc),+).trim_ascii()),)+].into_iter()
            }

            /// Name and value of each, in the order of this file.
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
    /// Client lines that were answered by `?`.
    invalid,
    /// Connections of clients that were closed because they spoke HTTP, as a browser does.
    http_clients_refused,
    /// IAMATs whose time was too far ahead of a trusted clock; they are in `invalid` too.
    iamat_ahead,
    /// IAMATs that were answered and not stored: the herd holds a newer update of the client.
    iamat_stale,
    /// IAMATs that were answered and not stored: the table is full of newer updates.
    iamat_table_full,
    /// IAMATs that were answered and not stored: their address holds as many clients as it may.
    iamat_over_quota,
    /// Reports from clients and neighbours that were new here.
    reports_news,
    /// Reports that the table held already.
    reports_duplicate,
    /// Reports older than what the table held of their client.
    reports_stale,
    /// Reports refused because a full table holds only larger ones.
    reports_below_floor,
    /// Reports from neighbours that had outlived their age on the way.
    reports_too_old,
    /// Reports from neighbours too far ahead of a trusted clock.
    reports_ahead,
    /// Reports and digests from neighbours that name a node this map does not list.
    origins_unknown,
    /// Entries swept because of their age, or because they were too far ahead once the clock was right.
    entries_swept,
    /// Entries that the node kept over its start.
    kept_taken,
    /// Entries kept over the start that the table did not take: dead by then, of a node that the map does not list, too far
    /// ahead of a trusted clock, or below the floor.
    kept_refused,
    /// Reports sent to neighbours.
    reports_sent,
    /// Digests sent.
    digests_sent,
    /// Digests received that were equal to this node's.
    digests_equal,
    /// Digests received that were not.
    digests_differ,
    /// Digests received that were passed over, because their neighbour sent too many.
    digests_over_rate,
    /// Times that a neighbour's name was seen to be used by two boards.
    names_in_use,
    /// Links that came up.
    links_up,
    /// Links that had been up and ended.
    links_down,
    /// Dials that reached nobody.
    dials_failed,
    /// Connections to the link port, and dialled ones, that ended before they had proved themselves.
    handshakes_failed,
    /// Connections closed for a newer one because too many had not proved themselves.
    handshakes_pushed_out,
    /// Knocks of neighbours that wait for this node to dial them.
    knocks,
    /// Censuses that this node took no part in, because of others.
    censuses_refused,
    /// What neighbours said of a census that nobody waited for any more.
    census_strays,
    /// Lines whose tag was wrong or missing.
    tags_wrong,
    /// Lines with a right tag that made no sense.
    lines_nonsense,
}
