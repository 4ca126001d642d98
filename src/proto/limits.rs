//! Every limit of the core, its unit in its name, and the arithmetic that ties one to another.
//!
//! Nothing else in the core holds a number that bounds something. What happens when a limit is
//! reached is said beside it; the table of limits in docs/OPERATIONS.md repeats it for people who run nodes.

/// Clients a node remembers, set when it is built: `HERD_TABLE_CLIENTS=8192 cargo build`.
///
/// A power of two from 16 to [`TABLE_CLIENTS_MAX`]. When full, the smallest update in the order of
/// [`UpdateRef`](super::update::UpdateRef) gives way, or the newcomer is refused if it is smaller still.
pub const TABLE_CLIENTS: usize = match option_env!("HERD_TABLE_CLIENTS") {
    Some(text) => parse_usize(text),
    None => 4096,
};
const _: () = assert!(TABLE_CLIENTS.is_power_of_two(), "HERD_TABLE_CLIENTS: use a power of two");
const _: () =
    assert!(TABLE_CLIENTS >= 16 && TABLE_CLIENTS <= TABLE_CLIENTS_MAX, "HERD_TABLE_CLIENTS: use 16 to 32768");
/// The largest table that a node can be built with, in clients.
pub const TABLE_CLIENTS_MAX: usize = 32_768;

/// Hash slots for [`TABLE_CLIENTS`]: twice as many, so that a full table is half empty to the hash.
///
/// A `heapless` map probes for ever longer as it fills, and at one slot a client a full table would
/// cost many times a half-full one. The second half of the configuration's entry array is never touched, so it
/// costs addresses and no memory.
pub const TABLE_SLOTS: usize = 2 * TABLE_CLIENTS;
// heapless keeps positions in 16 bits; above 65,536 slots it is unsound (its issue 672).
const _: () = assert!(TABLE_SLOTS <= 65_536);

/// Longest client id, in bytes. A longer one makes the command invalid.
pub const CLIENT_ID_BYTES_MAX: usize = 64;

/// Longest position, in bytes: two doubles printed in full fit. A longer one makes the command invalid.
pub const POSITION_BYTES_MAX: usize = 48;

/// Longest client time, in bytes. A longer one makes the command invalid.
pub const TIME_BYTES_MAX: usize = 32;

/// Longest node name, in bytes. The configuration refuses a longer one.
pub const NODE_NAME_BYTES_MAX: usize = 32;

/// Longest skew, in bytes: a sign, as many digits as a client time holds and one carried, a point, nine digits.
pub const SKEW_BYTES_MAX: usize = 1 + TIME_BYTES_MAX + 1 + 1 + 9;

/// Longest AT line, in bytes, without its newline: `AT`, five blanks, and the five fields.
pub const AT_LINE_BYTES_MAX: usize =
    2 + 5 + NODE_NAME_BYTES_MAX + SKEW_BYTES_MAX + CLIENT_ID_BYTES_MAX + POSITION_BYTES_MAX + TIME_BYTES_MAX;

/// Longest AT line with its rank before it, in bytes: a sign, 19 digits, a blank, the AT line.
pub const RANKED_LINE_BYTES_MAX: usize = 21 + AT_LINE_BYTES_MAX;

/// Longest client line that can be a command, in bytes, without its newline.
///
/// A longer line is invalid, and is copied into its answer as it streams, in constant memory.
pub const CLIENT_LINE_BYTES_MAX: usize = 1024;
const _: () = assert!(CLIENT_LINE_BYTES_MAX >= 4 * AT_LINE_BYTES_MAX);

/// Longest answer to one client line, in bytes: `? `, the line, a newline. An AT answer is shorter.
pub const ANSWER_BYTES_MAX: usize = 2 + CLIENT_LINE_BYTES_MAX + 1;
const _: () = assert!(ANSWER_BYTES_MAX > AT_LINE_BYTES_MAX);

/// Shortest IAMAT with its newline (`IAMAT a +1+1 1`), in bytes: it has the largest answer for its size.
pub const IAMAT_BYTES_MIN: usize = 15;

/// Largest time a client may be ahead of a trusted clock, in nanoseconds: one day (PROTOCOL, IAMAT).
pub const AHEAD_NS_MAX: i64 = 86_400 * 1_000_000_000;

/// A node without a trusted clock uses its own clock while that is no farther than this from the clock of a node that has
/// one, in nanoseconds: a minute. Farther off it is wrong.
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

/// Link connections at once: one a neighbour, and as many that have not proved who they are.
///
/// When full, the oldest connection that has not proved itself is closed, those from addresses of neighbours last: a
/// stranger can only ever push out strangers, and a neighbour needs milliseconds.
pub const SESSIONS_MAX: usize = 2 * NEIGHBOURS_MAX;
/// A connection that has not proved itself is left alone for so long before a newcomer may push it out,
/// in milliseconds: a neighbour in a crowd of strangers needs two round trips. Until then newcomers
/// wait with the kernel, which costs the node nothing. 1,024 of them are through in 6.4 s at a node with 16 links up:
/// a neighbour that comes behind them all waits less than [`HANDSHAKE_MS_MAX`].
pub const STRANGER_MS_MIN: u64 = 100;
const _: () = assert!(1_024 * STRANGER_MS_MIN / NEIGHBOURS_MAX as u64 <= HANDSHAKE_MS_MAX * 2 / 3);
/// The same for a connection from the address of a neighbour, in milliseconds. It makes way after all others.
pub const EXPECTED_MS_MIN: u64 = 1_000;
const _: () = assert!(EXPECTED_MS_MIN < HANDSHAKE_MS_MAX);
const _: () = assert!(SESSIONS_MAX <= u32::BITS as usize);

/// Buckets of a digest: a difference costs the entries of one bucket, a 64th of the table.
pub const DIGEST_BUCKETS: usize = 64;

/// Longest line between nodes, in bytes, without its newline. A longer one ends the link.
pub const LINK_LINE_BYTES_MAX: usize = 1792;
// The longest is a digest: D, a round, a floor in the form of an AT line, the hashes, the tag.
const _: () =
    assert!(LINK_LINE_BYTES_MAX > 2 + 21 + RANKED_LINE_BYTES_MAX + 1 + DIGEST_BUCKETS * 16 + TAG_FIELD_BYTES);

/// Bytes of a tag on the wire: a blank, `~`, 16 hex digits.
pub const TAG_FIELD_BYTES: usize = 18;

/// Bytes of the nonce that each end of a link brings.
pub const NONCE_BYTES: usize = 16;

/// Longest life of an entry, in seconds: one day since its origin heard the client.
pub const AGE_S_MAX: u32 = 86_400;
const _: () = assert!(AGE_S_MAX >= 10);

/// A link that has not proved itself by then is closed, in milliseconds.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;
/// The dialling end asks for a sign of life after this much silence, in milliseconds.
pub const PING_AFTER_MS: u64 = 10_000;
/// A link that has been silent for so long is dead, in milliseconds.
pub const DEAD_AFTER_MS: u64 = 30_000;
const _: () = assert!(DEAD_AFTER_MS >= 3 * PING_AFTER_MS);

/// First pause before a neighbour is dialled again, in milliseconds; it doubles.
pub const BACKOFF_MS_MIN: u64 = 500;
/// A link that held for so long, in milliseconds, was a good one: the pause after it is the first again.
/// One that ends as soon as it is up (one end has a key and the other has none) is dialled ever more rarely.
pub const LINK_GOOD_AFTER_MS: u64 = 1_000;
/// Longest pause before a neighbour is dialled again, in milliseconds.
pub const BACKOFF_MS_MAX: u64 = 30_000;

/// A digest is due this long after the last one, in milliseconds, give or take a tenth.
pub const DIGEST_EVERY_MS: u64 = 60_000;
/// A digest waits until no update has crossed the link for this long, in milliseconds.
pub const DIGEST_QUIET_MS: u64 = 2_000;
/// After digests that differed the next round comes sooner: first after this long, in milliseconds,
/// then after twice as long each time. Either end may begin it, so that both learn when all is well.
pub const DIGEST_RETRY_MS: u64 = 2_000;
/// A digest waits no longer than this for quiet, in milliseconds, once a link has had one.
pub const DIGEST_FORCED_MS: u64 = 600_000;
/// The first digest of a link waits no longer than this for pending entries to be sent, in milliseconds.
pub const DIGEST_FIRST_MS: u64 = 1_000;
/// Digests of one neighbour that are compared at once. Beyond that one more is compared every [`DIGEST_COST_MS`], and others
/// are passed over and counted. A digest makes this node read its whole table.
pub const DIGESTS_AT_ONCE: u64 = 16;
/// What a digest costs of that, in milliseconds until one more is compared.
pub const DIGEST_COST_MS: u64 = 2_000;
/// A digest that makes this node send its whole table costs so many more, one that makes it send a part as much less.
pub const DIGEST_ANSWER_COST: u64 = 8;
/// A link whose neighbour has this many digests passed over in a row is closed.
pub const DIGESTS_EXCESS_MAX: u32 = 64;
/// So often in a row one of two boot numbers comes back before the name counts as in use by two boards: two boards that take
/// the link from each other do so every two seconds.
pub const NAME_IN_USE_TURNS: u8 = 5;
/// A name that two boards were seen to use counts as in use for so long, in milliseconds: ten minutes.
pub const NAME_IN_USE_MS: u64 = 600_000;
/// Answers a node gives to the digests of one round: floors that move cannot keep two nodes talking.
pub const DIGEST_ANSWERS_MAX: u8 = 4;

/// Clients that one address may hold in a node's table, unless the configuration says otherwise: a twentieth of it, so that one
/// address at each of five nodes holds a quarter. Over it an IAMAT is answered as ever, but neither stored nor flooded.
#[expect(clippy::cast_possible_truncation, reason = "at most 32768 clients")]
pub const CLIENTS_PER_ADDRESS: u32 = if TABLE_CLIENTS < 80 { 4 } else { TABLE_CLIENTS as u32 / 20 };
/// The most that the configuration may ask for: the largest table.
#[expect(clippy::cast_possible_truncation, reason = "32768")]
pub const CLIENTS_PER_ADDRESS_MAX: u32 = TABLE_CLIENTS_MAX as u32;

/// Censuses that a node takes part in at once. When full it takes no part in further ones: whoever waits for it learns of
/// fewer nodes, and later. Which would be passed on again and again if the oldest were forgotten instead.
pub const CENSUSES_MAX: usize = 4;
/// Censuses that a node remembers for as long as their questions may still be on their way. When full those go that are over
/// at this node; where none is it takes no part in further ones.
pub const CENSUSES_SEEN_MAX: usize = 64;
/// Links that are not well in one sum, each from the end that updates it. The others are counted.
pub const CENSUS_LINKS_MAX: usize = 32;
/// A sum that nobody takes is kept for so long, in milliseconds.
pub const CENSUS_KEPT_MS: u64 = 5_000;
/// The longest that a node waits for the others in a census, in milliseconds.
pub const CENSUS_MS_MAX: u64 = 60_000;
/// What a node leaves of a census' time to the one that asked it, in milliseconds: an R on its way.
pub const CENSUS_HOP_MS: u64 = 250;
// The longest R: numbers, a mask, two sets of nodes, links and how many more, half hashes, a floor, the tag.
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

/// Expired entries are swept at most so often, in milliseconds.
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
