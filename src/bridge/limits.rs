//! The limits of the bridge: queues, buffers and times.

use herd::proto::limits::{AGE_S_MAX, TABLE_CLIENTS, TABLE_CLIENTS_MAX};
use herd::server::events::ENTRY_BYTES_MAX;
use herd::server::limits::READ_BYTES;

/// Clients whose newest position is pending. When full, the bridge does not read from the node until there is room. A node that
/// waits for too long ends the stream, and the next stream begins with all positions.
pub const PENDING_MAX: usize = 4096;

/// The fewest bytes that an entry takes in the stream: see [`super::stream`].
pub const ENTRY_BYTES_MIN: usize = 20;

/// Entries that one read of the stream may bring. With less room the bridge does not read.
pub const ENTRIES_A_READ_MAX: usize = READ_BYTES / ENTRY_BYTES_MIN + 1;
const _: () = assert!(ENTRIES_A_READ_MAX < PENDING_MAX);

/// Clients whose last published position the bridge remembers, to not publish it twice. The bridge remembers as many clients
/// as a node can know, and as many older ones. When full, it forgets the oldest, and may publish them once more.
pub const KNOWN_MAX: usize = TABLE_CLIENTS_MAX;

/// Devices that one MQTT user may update within a day: the default of `--user-devices`. The bridge acknowledges messages of
/// further devices, ignores them, and counts them as `too_many_devices`.
pub const USER_DEVICES_MAX: usize = 16;

/// Devices of all MQTT users together: as many as a node remembers clients. When full, the bridge ignores and counts
/// messages of new devices.
pub const DEVICES_MAX: usize = TABLE_CLIENTS;
/// The shortest time between two searches for devices without an update for a day, in milliseconds.
pub const DEVICES_SWEPT_MS: u64 = 60_000;

/// Messages that the broker has not acknowledged. When full, positions stay pending, where newer ones replace them.
pub const IN_FLIGHT_MAX: usize = 16;

/// Updates that the node has not answered. When full, the bridge does not read from the broker.
pub const UPDATES_MAX: usize = 64;

/// MQTT 5: messages at QoS 1 that the broker may send before the bridge acknowledges one.
pub const RECEIVED_MAX: u16 = 64;
const _: () = assert!(RECEIVED_MAX as usize == UPDATES_MAX);

/// MQTT 5: how long the broker stores messages for a disconnected bridge, in seconds.
pub const SESSION_S_MAX: u32 = AGE_S_MAX;

/// MQTT 5: how long the broker retains a position, in seconds: no node knows it for longer.
pub const RETAINED_S_MAX: u32 = AGE_S_MAX;

/// The largest packet of a broker that the bridge holds, in bytes. Of a larger message it reads the topic, which always fits,
/// skips the rest, and counts the message as `too_large`.
pub const PACKET_BYTES_MAX: usize = 128 * 1024;
const _: () = assert!(PACKET_BYTES_MAX > 5 + 2 + 65_535 + 2, "the longest head of a message");

/// The largest message that may be a location, in bytes: OwnTracks writes about 300.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Bytes of output to the broker. With more than that the bridge does not read from the broker and does not publish.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// The longest line of the stream that the bridge holds, in bytes: an entry fits. It skips a longer line.
pub const STREAM_LINE_BYTES_MAX: usize = 1024;
const _: () = assert!(STREAM_LINE_BYTES_MAX > ENTRY_BYTES_MAX + 8);

/// The longest prefix or filter of topics, in bytes.
pub const TOPIC_BYTES_MAX: usize = 256;

/// The longest user's name, password or host, in bytes.
pub const LOGIN_BYTES_MAX: usize = 256;

/// The longest answer of the node's client port to an update, in bytes.
pub const ANSWER_BYTES_MAX: usize = herd::proto::limits::ANSWER_BYTES_MAX;

/// The longest time for a connection, and for its first packet, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 10_000;

/// The keep-alive of MQTT, in seconds. The bridge sends a ping after half of it. The broker publishes the will after one and
/// a half times it.
pub const KEEP_ALIVE_S: u16 = 30;

/// The longest silence, in milliseconds. It limits the broker's answer to a ping, a write to the broker, and the node's answer
/// to an update. It also limits the time between two lines of the stream, which has one every two seconds.
pub const SILENCE_MS_MAX: u64 = 15_000;

/// The bridge connects again if the broker acknowledges no message in flight for this long, in milliseconds.
pub const UNACKNOWLEDGED_MS_MAX: u64 = 60_000;

/// The first wait before the next attempt to connect, in milliseconds. Each further wait doubles, up to the longest.
/// The bridge subtracts a random part, half at most, so that bridges do not connect all at once.
pub const AGAIN_MS_FIRST: u64 = 500;
/// The longest wait.
pub const AGAIN_MS_MAX: u64 = 30_000;
/// After a connection that lasted this long, in milliseconds, the next wait is the first again.
pub const STEADY_MS: u64 = 30_000;

/// The time between two status messages, in milliseconds.
pub const STATUS_EVERY_MS: u64 = 60_000;

/// The time between two checks of all deadlines, in milliseconds.
pub const TICK_MS: u64 = 2_000;

/// The longest time for the last packets to the broker when the bridge stops, in milliseconds.
pub const FAREWELL_MS_MAX: u64 = 2_000;
