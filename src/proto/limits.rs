//! Every limit of the core, with its unit in its name, and the arithmetic between limits.
//!
//! All numbers of the core that bound something are here. The comment of a limit says what happens when it is
//! reached. The table of limits in docs/OPERATIONS.md repeats it for operators.

/// Clients that a node stores, set at build time: `HERD_TABLE_CLIENTS=8192 cargo build`.
///
/// A power of two from 16 to [`TABLE_CLIENTS_MAX`]. The configuration may set a smaller number (`clients_max`). When the table is full, it evicts the smallest update in
/// the order of [`UpdateRef`](super::update::UpdateRef), or refuses a new update that is smaller still.
pub const TABLE_CLIENTS: usize = match option_env!("HERD_TABLE_CLIENTS") {
    Some(text) => parse_usize(text),
    None => 4096,
};
const _: () = assert!(TABLE_CLIENTS.is_power_of_two(), "HERD_TABLE_CLIENTS: use a power of two");
const _: () =
    assert!(TABLE_CLIENTS >= 16 && TABLE_CLIENTS <= TABLE_CLIENTS_MAX, "HERD_TABLE_CLIENTS: use 16 to 32768");
/// The largest table that a node can be built with, in clients.
pub const TABLE_CLIENTS_MAX: usize = 32_768;

/// Hash slots for [`TABLE_CLIENTS`]: twice as many, so that a full table fills half of the hash.
///
/// A `heapless` map probes longer as it fills. With one slot for each client, a full table would cost many
/// times a half-full one. The second half of the map's entry array is never touched: it costs addresses, not
/// memory.
pub const TABLE_SLOTS: usize = 2 * TABLE_CLIENTS;
// heapless stores positions in 16 bits. It is unsound above 65,536 slots (its issue 672).
const _: () = assert!(TABLE_SLOTS <= 65_536);

/// Longest client id, in bytes. A longer one makes the command invalid.
pub const CLIENT_ID_BYTES_MAX: usize = 64;

/// Longest position, in bytes. Two doubles printed in full fit. A longer one makes the command invalid.
pub const POSITION_BYTES_MAX: usize = 48;

/// Longest client time, in bytes. A longer one makes the command invalid.
pub const TIME_BYTES_MAX: usize = 32;

/// Longest node name, in bytes. The configuration refuses a longer one.
pub const NODE_NAME_BYTES_MAX: usize = 32;

/// Longest skew, in bytes: a sign, the digits of a client time and one carried digit, a point, nine digits.
pub const SKEW_BYTES_MAX: usize = 1 + TIME_BYTES_MAX + 1 + 1 + 9;

/// Longest AT line, in bytes, without its newline: `AT`, five blanks, and the five fields.
pub const AT_LINE_BYTES_MAX: usize =
    2 + 5 + NODE_NAME_BYTES_MAX + SKEW_BYTES_MAX + CLIENT_ID_BYTES_MAX + POSITION_BYTES_MAX + TIME_BYTES_MAX;

/// Longest AT line with its rank before it, in bytes: a sign, 19 digits, a blank, the AT line.
pub const RANKED_LINE_BYTES_MAX: usize = 21 + AT_LINE_BYTES_MAX;

/// Longest client line that can be a command, in bytes, without its newline.
///
/// A longer line is invalid. The server copies it into its answer as it arrives, in constant memory.
pub const CLIENT_LINE_BYTES_MAX: usize = 1024;
const _: () = assert!(CLIENT_LINE_BYTES_MAX >= 4 * AT_LINE_BYTES_MAX);

/// Longest answer to one client line, in bytes: `? `, the line, a newline. An AT answer is shorter.
pub const ANSWER_BYTES_MAX: usize = 2 + CLIENT_LINE_BYTES_MAX + 1;
const _: () = assert!(ANSWER_BYTES_MAX > AT_LINE_BYTES_MAX);

/// Largest time a client may be ahead of a trusted clock, in nanoseconds: one day (PROTOCOL, IAMAT).
pub const AHEAD_NS_MAX: i64 = 86_400 * 1_000_000_000;

/// A node without a trusted clock may use its own clock if that differs by at most this much from a trusted
/// clock that it has learned. One minute, in nanoseconds. A larger difference means that its own clock is
/// wrong.
pub const LEARNED_CLOCK_NS_MAX: i64 = 60 * 1_000_000_000;

/// Largest radius of a WHATSAT, in kilometres.
pub const RADIUS_KM_MAX: u32 = 50;

/// Largest item count of a WHATSAT.
pub const ITEMS_MAX: u8 = 20;

/// Nodes a configuration may list. The configuration refuses more.
pub const NODES_MAX: usize = 1024;

/// Neighbours of one node: one bit each in the masks of the table. The configuration refuses more.
pub const NEIGHBOURS_MAX: usize = 16;
const _: () = assert!(NEIGHBOURS_MAX <= u16::BITS as usize);

/// Link connections at once: one for each neighbour, and as many that have not authenticated.
///
/// When all are in use, the node closes the oldest connection that has not authenticated. Connections from the
/// addresses of neighbours are last in that order. So strangers can only push out strangers, and a neighbour's
/// handshake takes milliseconds.
pub const SESSIONS_MAX: usize = 2 * NEIGHBOURS_MAX;
/// Time in milliseconds before a newer connection may push out one that has not authenticated. A neighbour
/// among many strangers needs two round trips. Until then new connections wait in the kernel's queue and cost
/// the node nothing. At a node with 16 links up, 1,024 strangers pass in 6.4 s. A neighbour behind them waits
/// less than
/// [`HANDSHAKE_MS_MAX`].
pub const STRANGER_MS_MIN: u64 = 100;
const _: () = assert!(1_024 * STRANGER_MS_MIN / NEIGHBOURS_MAX as u64 <= HANDSHAKE_MS_MAX * 2 / 3);
/// The same time for a connection from the address of a neighbour, in milliseconds. The node closes it after
/// all others.
pub const EXPECTED_MS_MIN: u64 = 1_000;
const _: () = assert!(EXPECTED_MS_MIN < HANDSHAKE_MS_MAX);
const _: () = assert!(SESSIONS_MAX <= u32::BITS as usize);

/// Buckets of a digest: a difference costs the entries of one bucket, a 64th of the table.
pub const DIGEST_BUCKETS: usize = 64;

/// Longest line between nodes, in bytes, without its newline. A longer one ends the link.
pub const LINK_LINE_BYTES_MAX: usize = 1792;
// The longest line is a digest: D, a round, a floor in the form of an AT line, the hashes, the tag.
const _: () =
    assert!(LINK_LINE_BYTES_MAX > 2 + 21 + RANKED_LINE_BYTES_MAX + 1 + DIGEST_BUCKETS * 16 + TAG_FIELD_BYTES);

/// Bytes of a tag on the wire: a blank, `~`, 16 hex digits.
pub const TAG_FIELD_BYTES: usize = 18;

/// Bytes of the nonce that each end of a link sends.
pub const NONCE_BYTES: usize = 16;

/// Longest life of an entry, in seconds: one day since its origin heard the client. The configuration may set a
/// shorter one (`lifetime_s`).
pub const AGE_S_MAX: u32 = 86_400;
/// Shortest life of an entry that the configuration may set, in seconds. An entry needs time to cross the herd.
pub const AGE_S_MIN: u32 = 60;
/// Smallest table that the configuration may set, in clients.
pub const CLIENTS_MAX_MIN: u32 = 16;

/// The node closes a link that has not authenticated within this time, in milliseconds.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;
/// The dialling end sends a ping after this much silence, in milliseconds.
pub const PING_AFTER_MS: u64 = 10_000;
/// The node closes a link after this much silence, in milliseconds.
pub const DEAD_AFTER_MS: u64 = 30_000;
const _: () = assert!(DEAD_AFTER_MS >= 3 * PING_AFTER_MS);

/// First pause before the node dials a neighbour again, in milliseconds. It doubles each time.
pub const BACKOFF_MS_MIN: u64 = 500;
/// After a link that lasted this long, in milliseconds, the pause starts again at its minimum. If links end as
/// soon as they are up (one end has a key and the other has none), the pauses keep doubling.
pub const LINK_GOOD_AFTER_MS: u64 = 1_000;
/// Longest pause before the node dials a neighbour again, in milliseconds.
pub const BACKOFF_MS_MAX: u64 = 30_000;

/// Life of a secret link in milliseconds, plus or minus a tenth: then the dialling end replaces it by one with new keys.
pub const SECRET_RENEW_MS: u64 = 3_600_000;

/// Interval between digests, in milliseconds, plus or minus a tenth.
pub const DIGEST_EVERY_MS: u64 = 60_000;
/// A digest waits until no update has crossed the link for this long, in milliseconds.
pub const DIGEST_QUIET_MS: u64 = 2_000;
/// First interval after digests that differed, in milliseconds. It doubles each time. Either end may begin the
/// round, so that both learn when they are in sync.
pub const DIGEST_RETRY_MS: u64 = 2_000;
/// Longest time that a digest waits for quiet, in milliseconds, once a link has had one digest.
pub const DIGEST_FORCED_MS: u64 = 600_000;
/// Longest time that the first digest of a link waits for pending entries, in milliseconds.
pub const DIGEST_FIRST_MS: u64 = 1_000;
/// Digests of one neighbour that the node compares in a burst. After that it compares one more every
/// [`DIGEST_COST_MS`] and ignores and counts the others. The limit exists because a digest makes the node read
/// its whole table.
pub const DIGESTS_AT_ONCE: u64 = 16;
/// Time until one more digest is compared, in milliseconds.
pub const DIGEST_COST_MS: u64 = 2_000;
/// Extra cost, in digests, of one that makes this node send its whole table. A part of the table costs that
/// part.
pub const DIGEST_ANSWER_COST: u64 = 8;
/// The node closes a link after ignoring this many digests in a row.
pub const DIGESTS_EXCESS_MAX: u32 = 64;
/// A neighbour may send four tables of updates a second, and at least this many. The node reads what comes faster later.
pub const LINK_UPDATES_S_MIN: u64 = 1_024;
/// A neighbour may be ahead of its pace by this long, in milliseconds: a burst of four tables.
pub const LINK_PACE_MS: u64 = 1_000;
/// The least cost of a question of a census, in updates: every node answers it.
pub const QUESTION_COST: u64 = 64;
/// The answer to a question is a hash of the whole table: it costs one update for so many entries.
pub const QUESTION_ENTRIES: u64 = 8;
/// Number of times in a row that an earlier boot number returns before the node reports two boards of one name.
/// Two boards that take the link from each other alternate every two seconds.
pub const NAME_IN_USE_TURNS: u8 = 5;
/// Time for which a name counts as used by two boards, in milliseconds: ten minutes.
pub const NAME_IN_USE_MS: u64 = 600_000;
/// Answers of a node to the digests of one round. The limit ends a round although the floors move.
pub const DIGEST_ANSWERS_MAX: u8 = 4;

/// Clients that one address may hold in a node's table, by default: a twentieth of the table. One address at
/// each of five nodes then holds a quarter of it. An IAMAT over the quota gets its normal answer, but the node
/// neither stores nor floods it.
#[expect(clippy::cast_possible_truncation, reason = "at most 32768 clients")]
pub const CLIENTS_PER_ADDRESS: u32 = clients_per_address(TABLE_CLIENTS as u32);
/// The default quota of an address in a table of this many clients.
#[must_use]
pub const fn clients_per_address(clients_max: u32) -> u32 {
    if clients_max < 80 { 4 } else { clients_max / 20 }
}
/// Largest quota that the configuration may set: the largest table.
#[expect(clippy::cast_possible_truncation, reason = "32768")]
pub const CLIENTS_PER_ADDRESS_MAX: u32 = TABLE_CLIENTS_MAX as u32;

/// Censuses that a node takes part in at once. A full node declines further ones: the asking node then learns
/// of fewer nodes, and later. The node does not forget the oldest census instead, because neighbours would pass
/// that one on again and again.
pub const CENSUSES_MAX: usize = 4;
/// Censuses that a node remembers while their questions may still arrive. When the list is full, the node
/// forgets one that is over here. If none is over, it declines further censuses.
pub const CENSUSES_SEEN_MAX: usize = 64;
/// Links with a trouble that one sum lists, each from the end that reports it. The sum counts the others.
pub const CENSUS_LINKS_MAX: usize = 32;
/// Time for which a node retains a sum that has not been taken, in milliseconds.
pub const CENSUS_RETAIN_MS: u64 = 5_000;
/// Longest time that a node waits for its neighbours in a census, in milliseconds.
pub const CENSUS_MS_MAX: u64 = 60_000;
/// Time that a node reserves for its R to reach the asking neighbour, in milliseconds.
pub const CENSUS_HOP_MS: u64 = 250;
// The longest R: numbers, a mask, two sets of nodes, links and the count of further links, half hashes, a
// floor, the tag.
const _: () = assert!(
    LINK_LINE_BYTES_MAX
        > 2 + 3 * 21
            + 17
            + 2 * (NODES_MAX / 4 + 1)
            + 9 * CENSUS_LINKS_MAX
            + 11
            + DIGEST_BUCKETS * 8
            + 1
            + RANKED_LINE_BYTES_MAX
            + TAG_FIELD_BYTES
);

/// Shortest interval between sweeps of expired entries, in milliseconds.
pub const SWEEP_EVERY_MS: u64 = 60_000;

const fn parse_usize(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut value = 0;
    let mut i = 0;
    while i < bytes.len() {
        assert!(bytes[i].is_ascii_digit(), "HERD_TABLE_CLIENTS: use decimal digits only");
        value = value * 10 + (bytes[i] - b'0') as usize;
        i += 1;
    }
    value
}
