//! The limits of the bridge: what strangers can make grow, and times.

use herd::proto::limits::{AGE_S_MAX, TABLE_CLIENTS, TABLE_CLIENTS_MAX};
use herd::proto::node::events::WATCH_LINE_BYTES_MAX;
use herd::server::limits::READ_BYTES;

/// Clients whose newest position waits to be published. When full, the node is not read from until there is room; if that
/// takes it too long it ends the stream, and what was not told comes with the next one.
pub const PENDING_MAX: usize = 4096;

/// The fewest bytes that an entry takes in the stream: see [`super::stream`].
pub const ENTRY_BYTES_MIN: usize = 20;

/// Entries that one read of the stream may bring. With less room than that it is not read from.
pub const ENTRIES_A_READ_MAX: usize = READ_BYTES / ENTRY_BYTES_MIN + 1;
const _: () = assert!(ENTRIES_A_READ_MAX < PENDING_MAX);

/// Clients whose last published position is remembered, so that it is not published again: as many as any node knows, and
/// as many again that were heard of before. When full, those that were not heard of for longest are forgotten, and are at
/// worst published once more.
pub const KNOWN_MAX: usize = TABLE_CLIENTS_MAX;

/// Devices that one user of the broker may report within a day, unless `--user-devices` says otherwise. Messages of further
/// devices are acknowledged, ignored and counted as `too_many_devices`.
pub const USER_DEVICES_MAX: usize = 16;

/// Devices of all users together, as many as a node remembers clients. When full, messages of new ones are
/// ignored and counted likewise.
pub const DEVICES_MAX: usize = TABLE_CLIENTS;
/// Devices that have not reported for a day are looked for once in so long at the most, in milliseconds.
pub const DEVICES_SWEPT_MS: u64 = 60_000;

/// Messages that the broker has not acknowledged. When full, positions wait where newer ones replace them.
pub const IN_FLIGHT_MAX: usize = 16;

/// Reports that the node has not answered. When full, the broker is not read from.
pub const REPORTS_MAX: usize = 64;

/// MQTT 5: messages at QoS 1 that the broker may send before the bridge acknowledges one.
pub const RECEIVED_MAX: u16 = 64;
const _: () = assert!(RECEIVED_MAX as usize == REPORTS_MAX);

/// MQTT 5: how long the broker keeps what it could not send to a bridge that is away, in seconds.
pub const SESSION_S_MAX: u32 = AGE_S_MAX;

/// MQTT 5: how long the broker retains a position, in seconds: no node knows it for longer.
pub const RETAINED_S_MAX: u32 = AGE_S_MAX;

/// The largest packet of a broker that is kept whole, in bytes. Of a larger message the topic is read, which always fits;
/// the rest is passed over, and the message counts as too large.
pub const PACKET_BYTES_MAX: usize = 128 * 1024;
const _: () = assert!(PACKET_BYTES_MAX > 5 + 2 + 65_535 + 2, "the longest head of a message");

/// The largest message that may be a location, in bytes: OwnTracks writes some 300.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Bytes that wait to be sent to the broker. With more than that nothing is read from it, nor published.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// The longest line of the stream that is kept, in bytes: an entry fits. What is longer is no entry, and passed over.
pub const STREAM_LINE_BYTES_MAX: usize = 1024;
const _: () = assert!(STREAM_LINE_BYTES_MAX > WATCH_LINE_BYTES_MAX + 8);

/// The longest prefix or filter of topics, in bytes.
pub const TOPIC_BYTES_MAX: usize = 256;

/// The longest user's name, password or host, in bytes.
pub const LOGIN_BYTES_MAX: usize = 256;

/// The longest answer of the node's client port to a report, in bytes.
pub const ANSWER_BYTES_MAX: usize = herd::proto::limits::ANSWER_BYTES_MAX;

/// How long a connection and its first words may take, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 10_000;

/// After so long without a word to it the broker is told that the bridge is there, in seconds; it tells the others that the
/// bridge is not, after half as long again.
pub const KEEP_ALIVE_S: u16 = 30;

/// Who owes a word for so long is taken to be gone, in milliseconds: the broker that was asked whether it is there, or took
/// nothing; the node that owes an answer; and the stream, which says something every two seconds.
pub const SILENCE_MS_MAX: u64 = 15_000;

/// A broker that acknowledges nothing of what is in flight for so long is tried anew, in milliseconds.
pub const UNACKNOWLEDGED_MS_MAX: u64 = 60_000;

/// The first wait before a connection is tried again, in milliseconds. Each further one is twice as long, up to the last;
/// all are shortened by chance, to half at most, so that bridges do not come all at once.
pub const AGAIN_MS_FIRST: u64 = 500;
/// The longest wait.
pub const AGAIN_MS_MAX: u64 = 30_000;
/// A connection that lasted so long was a good one: the next wait is the first again.
pub const STEADY_MS: u64 = 30_000;

/// The bridge publishes its counters once in so long, in milliseconds, if they changed.
pub const STATUS_EVERY_MS: u64 = 60_000;

/// Times are looked after once in so long, in milliseconds.
pub const TICK_MS: u64 = 2_000;

/// A bridge that is told to stop says so to the broker, for so long at most, in milliseconds.
pub const FAREWELL_MS_MAX: u64 = 2_000;
