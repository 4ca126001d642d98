//! What the tables and buffers of this build take: the table of limits in docs/OPERATIONS.md.
//!
//! Sizes come from the types themselves, so the table cannot say what the program does not do.

use super::control::CONTROLS_MAX;
use super::http::{HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX};
use super::limits::{
    CLIENTS_MAX, HANDSHAKE_QUEUE_MAX, INPUT_BYTES, LISTEN_BACKLOG, LOCAL_SUBSCRIBERS_MAX, LOG_LINE_BYTES_MAX,
    LOOK_BYTES_MAX, NEIGHBOUR_ADDRESSES_MAX, OUTPUT_BYTES, REPEATED_BYTES_MAX, RING_BYTES, SILENT_MAX,
    SUBSCRIBERS_MAX, UNREAD_BYTES_MAX,
};
use super::phones::{
    BATCH_DEVICES_MAX, FRIENDS_MAX, PHONE_FIELDS_MAX, PHONE_HEAD_BYTES_MAX, PHONE_JSON_DEPTH_MAX,
    PHONE_LARGE_BODY_BYTES_MAX, PHONES_MAX,
};
use super::snapshot::CHUNK_ENTRIES;
use super::snapshot::format::{ENTRIES_MAX, LINE_BYTES_MAX};
use super::warn_limit::KINDS;
use crate::config::PHONE_TOKENS_MAX;
use crate::places::pool::cache::{CACHE_BYTES, CACHE_ENTRIES, CACHE_ENTRY_BYTES};
use crate::places::{
    DEPTH_MAX, LOOKUPS_MAX, PLACES_QUEUE_MAX, PLACES_UPSTREAM_QUEUE_MAX, UPSTREAM_BODY_BYTES_MAX,
    UPSTREAM_HEAD_BYTES_MAX, WORKERS_DEFAULT,
};
use crate::proto::limits::{
    AGE_S_MAX, CENSUSES_MAX, CENSUSES_SEEN_MAX, CLIENT_ID_BYTES_MAX, CLIENT_LINE_BYTES_MAX,
    CLIENTS_PER_ADDRESS, LINK_LINE_BYTES_MAX, NEIGHBOURS_MAX, NODES_MAX, SESSIONS_MAX, TABLE_CLIENTS,
};
use crate::proto::table::{ENTRY_BYTES, SLOT_BYTES};
use crate::proto::time::Mono;

/// One limit: what it bounds, how much, what that takes, and what happens when it is reached.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What is bounded.
    pub what: &'static str,
    /// The bound.
    pub limit: usize,
    /// Bytes that all of it takes at most; 0 where it takes none of its own.
    pub bytes: usize,
    /// What happens when it is full.
    pub when_full: &'static str,
}

const fn limit(what: &'static str, limit: usize, bytes: usize, when_full: &'static str) -> Limit {
    Limit { what, limit, bytes, when_full }
}

/// Every limit of a node, largest concern first.
pub const LIMITS: &[Limit] = &[
    limit(
        "clients in the table (HERD_TABLE_CLIENTS, clients_max)",
        TABLE_CLIENTS,
        TABLE_CLIENTS * (ENTRY_BYTES + SLOT_BYTES),
        "the entry of the smallest rank is evicted; an update below it is refused",
    ),
    limit("seconds an entry lives (lifetime_s)", AGE_S_MAX as usize, 0, "it expires"),
    limit("client connections", CLIENTS_MAX, 0, "the one longest without an answer is disconnected"),
    limit(
        "bytes of unread answers, all clients",
        UNREAD_BYTES_MAX,
        UNREAD_BYTES_MAX,
        "the client is disconnected that has read nothing for longest",
    ),
    limit(
        "connections waiting to be accepted",
        LISTEN_BACKLOG as usize,
        0,
        "the kernel lets the client try again",
    ),
    limit("bytes of a client line", CLIENT_LINE_BYTES_MAX, 0, "invalid: it is copied back as it streams"),
    limit("bytes of a client id", CLIENT_ID_BYTES_MAX, 0, "invalid"),
    limit(
        "clients of one address (clients_per_address)",
        CLIENTS_PER_ADDRESS as usize,
        0,
        "answered, neither stored nor flooded",
    ),
    limit(
        "requests answered at once, control socket",
        CONTROLS_MAX,
        0,
        "they wait a second, then they are closed",
    ),
    limit(
        "censuses remembered",
        CENSUSES_SEEN_MAX,
        CENSUSES_SEEN_MAX * size_of::<(u64, Mono)>(),
        "the node takes no part in a further one",
    ),
    limit("requests answered at once, HTTP", HTTP_CONNECTIONS_MAX, 0, "wait a second, then 503"),
    limit(
        "connections without a request, HTTP and control socket each",
        SILENT_MAX,
        0,
        "the oldest is disconnected",
    ),
    limit("event streams, HTTP", SUBSCRIBERS_MAX, 0, "answered by 503; other requests are served"),
    limit("event streams, control socket", LOCAL_SUBSCRIBERS_MAX, 0, "disconnected"),
    limit(
        "bytes an event stream may be behind",
        RING_BYTES,
        RING_BYTES,
        "disconnected; a new stream starts with all clients",
    ),
    limit(
        "bytes of changes sent in a quarter of a second",
        LOOK_BYTES_MAX,
        0,
        "the rest is sent in the next",
    ),
    limit("bytes of the head of an HTTP request", HTTP_HEAD_BYTES_MAX, 0, "answered by 431"),
    limit("connections of phones", PHONES_MAX, 0, "the oldest that has not sent its request is disconnected"),
    limit(
        "waiting steps of TLS handshakes",
        HANDSHAKE_QUEUE_MAX,
        0,
        "further connections wait to send theirs",
    ),
    limit("bytes of the head of a phone's request", PHONE_HEAD_BYTES_MAX, 0, "answered by 431"),
    limit("bytes of the body of a phone's request", PHONE_LARGE_BODY_BYTES_MAX, 0, "answered by 413"),
    limit("such bodies over 8 KB at once", 1, PHONE_LARGE_BODY_BYTES_MAX, "the next waits 4 s, then 503"),
    limit(
        "fields of a form of a phone, and of its query",
        PHONE_FIELDS_MAX,
        0,
        "the others are not looked at",
    ),
    limit("nesting depth of a phone's JSON", PHONE_JSON_DEPTH_MAX, 0, "answered, not used"),
    limit("devices of a batch of points", BATCH_DEVICES_MAX, 0, "points of further devices are not used"),
    limit("friends in an answer to a phone (friends)", FRIENDS_MAX, 0, "the newest are sent"),
    limit("names with a token number (phone_tokens)", PHONE_TOKENS_MAX, 0, "the configuration is refused"),
    limit("censuses at once", CENSUSES_MAX, 0, "the node takes no part in a further one"),
    limit(
        "waiting queries for places",
        PLACES_QUEUE_MAX,
        0,
        "one for each client connection; addresses have turns",
    ),
    limit(
        "of these, queries for the upstream where there is a fallback",
        PLACES_UPSTREAM_QUEUE_MAX,
        0,
        "the fallback answers the query",
    ),
    limit("worker threads for places (places.workers)", WORKERS_DEFAULT, 0, "queries wait for one"),
    limit("name look-ups of the upstream at once", LOOKUPS_MAX, 0, "time-out at once"),
    limit("bytes of the head of an upstream's answer", UPSTREAM_HEAD_BYTES_MAX, 0, "the query fails"),
    limit("bytes of an upstream's answer", UPSTREAM_BODY_BYTES_MAX, 0, "the query fails"),
    limit("nesting depth of an upstream's answer", DEPTH_MAX, 0, "the query fails"),
    limit("cached answers", CACHE_ENTRIES, CACHE_BYTES, "the oldest is evicted"),
    limit("bytes of a cached answer", CACHE_ENTRY_BYTES, 0, "a longer one is not cached"),
    limit("nodes of a configuration", NODES_MAX, 0, "the configuration is refused"),
    limit("name look-ups of neighbours at once", 1, 0, "they wait for each other; after 30 s the dial fails"),
    limit(
        "addresses of a neighbour's host name",
        NEIGHBOUR_ADDRESSES_MAX,
        0,
        "a dial does not try further ones",
    ),
    limit("neighbours of a node", NEIGHBOURS_MAX, 0, "the configuration is refused"),
    limit(
        "link connections, unauthenticated ones included",
        SESSIONS_MAX,
        0,
        "the oldest unauthenticated one is closed after 100 ms; until then newcomers wait",
    ),
    limit("updates of a neighbour in a second", 4 * TABLE_CLIENTS, 0, "they are read later"),
    limit("bytes of a link line", LINK_LINE_BYTES_MAX, 0, "the link is closed and dialled again"),
    limit(
        "bytes of a log line",
        LOG_LINE_BYTES_MAX,
        0,
        "the rest is cut off; a line that stderr does not take is lost and counted",
    ),
    limit(
        "bytes of a rate-limited warning, each kind",
        REPEATED_BYTES_MAX,
        KINDS * REPEATED_BYTES_MAX,
        "the rest is cut off",
    ),
    limit(
        "entries of a snapshot (snapshot_s)",
        ENTRIES_MAX as usize,
        0,
        "a longer file is refused; the newest entries are restored, as many as the table holds",
    ),
    limit("bytes of a line of a snapshot", LINE_BYTES_MAX, 0, "the file is refused"),
    limit(
        "entries of a snapshot written in one turn",
        CHUNK_ENTRIES,
        0,
        "the next are written in the next turn",
    ),
    limit("bytes of the shared read buffer", INPUT_BYTES, INPUT_BYTES, "the rest is read next"),
    limit("bytes of the shared write buffer", OUTPUT_BYTES, OUTPUT_BYTES, "the rest is written next"),
];
