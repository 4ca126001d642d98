//! The limits of this build: the table in docs/OPERATIONS.md, which says what each takes of memory, too.

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
use crate::config::PHONE_TOKENS_MAX;
use crate::places::pool::cache::{CACHE_ENTRIES, CACHE_ENTRY_BYTES};
use crate::places::{
    DEPTH_MAX, LOOKUPS_MAX, PLACES_QUEUE_MAX, PLACES_UPSTREAM_QUEUE_MAX, UPSTREAM_BODY_BYTES_MAX,
    UPSTREAM_HEAD_BYTES_MAX, WORKERS_DEFAULT,
};
use crate::proto::limits::{
    AGE_S_MAX, CENSUSES_MAX, CENSUSES_SEEN_MAX, CLIENT_ID_BYTES_MAX, CLIENT_LINE_BYTES_MAX,
    CLIENTS_PER_ADDRESS, LINK_LINE_BYTES_MAX, NEIGHBOURS_MAX, NODES_MAX, SESSIONS_MAX, TABLE_CLIENTS,
};

/// Every limit of a node, largest concern first: what is bounded, the bound, and what happens when it is reached.
pub const LIMITS: &[(&str, usize, &str)] = &[
    (
        "clients in the table (HERD_TABLE_CLIENTS, clients_max)",
        TABLE_CLIENTS,
        "the entry of the smallest rank is evicted; an update below it is refused",
    ),
    ("seconds an entry lives (lifetime_s)", AGE_S_MAX as usize, "it expires"),
    ("client connections", CLIENTS_MAX, "the one longest without an answer is disconnected"),
    (
        "bytes of unread answers, all clients",
        UNREAD_BYTES_MAX,
        "the client is disconnected that has read nothing for longest",
    ),
    ("connections waiting to be accepted", LISTEN_BACKLOG as usize, "the kernel lets the client try again"),
    ("bytes of a client line", CLIENT_LINE_BYTES_MAX, "invalid: it is copied back as it streams"),
    ("bytes of a client id", CLIENT_ID_BYTES_MAX, "invalid"),
    (
        "clients of one address (clients_per_address)",
        CLIENTS_PER_ADDRESS as usize,
        "answered, neither stored nor flooded",
    ),
    ("requests answered at once, control socket", CONTROLS_MAX, "they wait a second, then they are closed"),
    ("censuses remembered", CENSUSES_SEEN_MAX, "the node takes no part in a further one"),
    ("requests answered at once, HTTP", HTTP_CONNECTIONS_MAX, "wait a second, then 503"),
    ("connections without a request, HTTP and control socket each", SILENT_MAX, "the oldest is disconnected"),
    ("event streams, HTTP", SUBSCRIBERS_MAX, "answered by 503; other requests are served"),
    ("event streams, control socket", LOCAL_SUBSCRIBERS_MAX, "disconnected"),
    ("bytes an event stream may be behind", RING_BYTES, "disconnected; a new stream starts with all clients"),
    ("bytes of changes sent in a quarter of a second", LOOK_BYTES_MAX, "the rest is sent in the next"),
    ("bytes of the head of an HTTP request", HTTP_HEAD_BYTES_MAX, "answered by 431"),
    ("connections of phones", PHONES_MAX, "the oldest that has not sent its request is disconnected"),
    ("waiting steps of TLS handshakes", HANDSHAKE_QUEUE_MAX, "further connections wait to send theirs"),
    ("bytes of the head of a phone's request", PHONE_HEAD_BYTES_MAX, "answered by 431"),
    ("bytes of the body of a phone's request", PHONE_LARGE_BODY_BYTES_MAX, "answered by 413"),
    ("such bodies over 8 KB at once", 1, "the next waits 4 s, then 503"),
    ("fields of a form of a phone, and of its query", PHONE_FIELDS_MAX, "the others are not looked at"),
    ("nesting depth of a phone's JSON", PHONE_JSON_DEPTH_MAX, "answered, not used"),
    ("devices of a batch of points", BATCH_DEVICES_MAX, "points of further devices are not used"),
    ("friends in an answer to a phone (friends)", FRIENDS_MAX, "the newest are sent"),
    ("names with a token number (phone_tokens)", PHONE_TOKENS_MAX, "the configuration is refused"),
    ("censuses at once", CENSUSES_MAX, "the node takes no part in a further one"),
    ("waiting queries for places", PLACES_QUEUE_MAX, "one for each client connection; addresses have turns"),
    (
        "of these, queries for the upstream where there is a fallback",
        PLACES_UPSTREAM_QUEUE_MAX,
        "the fallback answers the query",
    ),
    ("worker threads for places (places.workers)", WORKERS_DEFAULT, "queries wait for one"),
    ("name look-ups of the upstream at once", LOOKUPS_MAX, "time-out at once"),
    ("bytes of the head of an upstream's answer", UPSTREAM_HEAD_BYTES_MAX, "the query fails"),
    ("bytes of an upstream's answer", UPSTREAM_BODY_BYTES_MAX, "the query fails"),
    ("nesting depth of an upstream's answer", DEPTH_MAX, "the query fails"),
    ("cached answers", CACHE_ENTRIES, "the oldest is evicted"),
    ("bytes of a cached answer", CACHE_ENTRY_BYTES, "a longer one is not cached"),
    ("nodes of a configuration", NODES_MAX, "the configuration is refused"),
    ("name look-ups of neighbours at once", 1, "they wait for each other; after 30 s the dial fails"),
    ("addresses of a neighbour's host name", NEIGHBOUR_ADDRESSES_MAX, "a dial does not try further ones"),
    ("neighbours of a node", NEIGHBOURS_MAX, "the configuration is refused"),
    (
        "link connections, unauthenticated ones included",
        SESSIONS_MAX,
        "the oldest unauthenticated one is closed after 100 ms; until then newcomers wait",
    ),
    ("updates of a neighbour in a second", 4 * TABLE_CLIENTS, "they are read later"),
    ("bytes of a link line", LINK_LINE_BYTES_MAX, "the link is closed and dialled again"),
    (
        "bytes of a log line",
        LOG_LINE_BYTES_MAX,
        "the rest is cut off; a line that stderr does not take is lost and counted",
    ),
    ("bytes of a rate-limited warning, each kind", REPEATED_BYTES_MAX, "the rest is cut off"),
    (
        "entries of a snapshot (snapshot_s)",
        ENTRIES_MAX as usize,
        "a longer file is refused; the newest entries are restored, as many as the table holds",
    ),
    ("bytes of a line of a snapshot", LINE_BYTES_MAX, "the file is refused"),
    ("entries of a snapshot written in one turn", CHUNK_ENTRIES, "the next are written in the next turn"),
    ("bytes of the shared read buffer", INPUT_BYTES, "the rest is read next"),
    ("bytes of the shared write buffer", OUTPUT_BYTES, "the rest is written next"),
];
