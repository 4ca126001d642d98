//! What the tables and buffers of this build take: the numbers behind `herd footprint`.
//!
//! Sizes come from the types themselves, so the table cannot say what the program does not do.

use super::driver::BoardNode;
use super::limits::{
    CLIENTS_MAX, INPUT_BYTES, LISTEN_BACKLOG, LOG_LINE_BYTES_MAX, OUTPUT_BYTES, UNREAD_BYTES_MAX,
};
use crate::places::PLACES_QUEUE_MAX;
use crate::proto::limits::{
    AGE_S_MAX, CLIENT_ID_BYTES_MAX, CLIENT_LINE_BYTES_MAX, LINK_LINE_BYTES_MAX, NEIGHBOURS_MAX, NODES_MAX,
    SESSIONS_MAX, TABLE_CLIENTS,
};
use crate::proto::table::{ENTRY_BYTES, SLOT_BYTES};

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
        "clients remembered (HERD_TABLE_CLIENTS)",
        TABLE_CLIENTS,
        TABLE_CLIENTS * (ENTRY_BYTES + SLOT_BYTES),
        "the oldest report by the clients' clocks gives way; an older newcomer is refused",
    ),
    limit("seconds a report lives", AGE_S_MAX as usize, 0, "it is forgotten"),
    limit("client connections", CLIENTS_MAX, 0, "the one longest without an answer is closed"),
    limit(
        "bytes of answers that clients leave unread",
        UNREAD_BYTES_MAX,
        UNREAD_BYTES_MAX,
        "that client is closed",
    ),
    limit(
        "connections waiting to be accepted",
        LISTEN_BACKLOG as usize,
        0,
        "the kernel lets the client try again",
    ),
    limit("bytes of a client line", CLIENT_LINE_BYTES_MAX, 0, "invalid: it is copied back as it streams"),
    limit("bytes of a client id", CLIENT_ID_BYTES_MAX, 0, "invalid"),
    limit("queries that wait for places", PLACES_QUEUE_MAX, 0, "answered at once, without places"),
    limit("nodes of a map", NODES_MAX, 0, "the map is refused"),
    limit("neighbours of a node", NEIGHBOURS_MAX, 0, "the map is refused"),
    limit(
        "link connections, unproven ones included",
        SESSIONS_MAX,
        0,
        "the oldest unproven one is closed, once it has had 250 ms; until then newcomers wait",
    ),
    limit("bytes of a link line", LINK_LINE_BYTES_MAX, 0, "the link is cut and dialled again"),
    limit(
        "bytes of a log line",
        LOG_LINE_BYTES_MAX,
        0,
        "the rest is cut off; a line that nobody has room for is lost, and counted in the log",
    ),
    limit("bytes of the shared read buffer", INPUT_BYTES, INPUT_BYTES, "the rest is read next"),
    limit("bytes of the shared write buffer", OUTPUT_BYTES, OUTPUT_BYTES, "the rest is written next"),
];

/// Bytes of a node's state as it lies in memory; only touched pages of it are resident.
pub const NODE_BYTES: usize = size_of::<BoardNode>();
