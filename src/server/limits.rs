//! The limits of the server: buffers, connections, times. The core's are in [`crate::proto::limits`].

use crate::proto::limits::{ANSWER_BYTES_MAX, CLIENT_LINE_BYTES_MAX};
use crate::proto::node::pull::PULL_BYTES_MAX;

/// Client connections at once. When full, a new connection closes the one whose last whole command is
/// oldest.
pub const CLIENTS_MAX: usize = 4096;

/// Descriptors that a node needs besides its clients: listeners, links, reactor, places, connections to
/// the control socket and the HTTP port, standard streams.
pub const DESCRIPTORS_BESIDE_CLIENTS: u64 = 128;

/// Bytes taken from a socket in one read.
pub const READ_BYTES: usize = 4096;

/// The shared input buffer: what was left of the last read, and one read more.
pub const INPUT_BYTES: usize =
    READ_BYTES + if CLIENT_LINE_BYTES_MAX > PULL_BYTES_MAX { CLIENT_LINE_BYTES_MAX } else { PULL_BYTES_MAX };

/// The shared output buffer: all answers to one read, as a rule; what does not fit goes in a second write.
pub const OUTPUT_BYTES: usize = 16 * 1024;
// A line that fills the input is copied into its answer.
const _: () = assert!(OUTPUT_BYTES >= 2 * (INPUT_BYTES + 3));
const _: () = assert!(OUTPUT_BYTES >= 2 * ANSWER_BYTES_MAX);
const _: () = assert!(OUTPUT_BYTES > PULL_BYTES_MAX);

/// Answers that clients have not read yet, over all connections, in bytes. When full, the client is
/// closed whose socket has taken no bytes for the longest time.
pub const UNREAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A client whose socket has taken nothing of an answer for so long is closed, in milliseconds.
pub const UNREAD_MS_MAX: u64 = 30_000;
/// While answers wait it is looked so often whether that is so, in milliseconds.
pub const UNREAD_LOOK_MS: u64 = 1_000;

/// Send and receive buffers that a client connection asks of the kernel, in bytes. The kernel doubles them for what it needs
/// beside the data, and without a limit it lets them grow to megabytes: 1,000 clients that never read took 123 MB.
pub const CLIENT_SEND_BUFFER_BYTES: usize = 8 * 1024;
/// The same for what clients send: some 40 lines.
pub const CLIENT_RECEIVE_BUFFER_BYTES: usize = 4 * 1024;

/// Connections that wait to be accepted, per listener.
pub const LISTEN_BACKLOG: i32 = 1024;
/// The most connections of one neighbour's address that go before connections of strangers while they have not authenticated. A stolen
/// board that opens more delays other neighbours no longer than a stranger does.
pub const EXPECTED_OF_ADDRESS_MAX: usize = 2;

/// Send buffer that a link asks of the kernel, in bytes: the node cannot replace updates in it
/// by newer ones, so it is small.
pub const LINK_SEND_BUFFER_BYTES: usize = 32 * 1024;

/// Longest line of the log, in bytes, its newline included. What a pipe that is ready takes in one piece
/// without waiting (PIPE_BUF on Linux).
pub const LOG_LINE_BYTES_MAX: usize = 4096;

/// Longest wait for a dialled connection, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 5_000;

/// Longest wait for the addresses of a neighbour's host name, in milliseconds. The C library's own limit is 30 s with three name
/// servers.
pub const LOOK_UP_MS_MAX: u64 = 30_000;
/// A look-up that waits for another one checks after so long whether that has ended, in milliseconds.
pub const LOOK_UP_TURN_MS: u64 = 50;
/// Addresses of a neighbour's host name that a dial tries; it ignores further ones.
pub const NEIGHBOUR_ADDRESSES_MAX: usize = 8;

/// Pause after a connection could not be accepted (no descriptors are left, say), in milliseconds.
pub const ACCEPT_PAUSE_MS: u64 = 100;

/// The minimum time that a silent connection stays open before a new one may evict it, in milliseconds: a request
/// arrives within two round trips.
pub const SILENT_MS_MIN: u64 = 100;

/// Connections to the HTTP port, or to the control socket, that have not sent a request. When full, the oldest is closed.
pub const SILENT_MAX: usize = 64;
/// A request waits so long for others to be answered, in milliseconds, and is refused then.
pub const PLACE_MS_MAX: u64 = 1_000;
/// It is looked so often whether others were answered, in milliseconds.
pub const PLACE_LOOK_MS: u64 = 20;

/// Steps of TLS handshakes that wait for the thread that computes them. Further ones wait before the queue: a connection
/// has one.
pub const HANDSHAKE_QUEUE_MAX: usize = 16;

/// A clock that is not yet trusted is looked at again after so long, in milliseconds.
pub const CLOCK_CHECK_MS: u64 = 5_000;

/// Tasks that run before clients have a turn again.
pub const TURN_TASKS: usize = 16;
/// Reads of one connection in a row after which its task gives way to others.
pub const TURN_READS: usize = 16;
/// Turns of sparse clients between two polls of sockets and timers.
pub const TURN_CLIENTS: usize = 128;
/// Turns of busy clients between two polls.
pub const TURN_BUSY_CLIENTS: usize = 8;
/// Or fewer, if they bring as many bytes.
pub const TURN_BUSY_BYTES: usize = 4096;
/// A client that sends more bytes than this at a time is busy: some seven lines.
pub const LITTLE_BYTES: usize = 512;
/// Connections that are closed in a row for not reading, before others have a turn: to free what the kernel holds for
/// one takes longer than an answer.
pub const TURN_CLOSES: usize = 4;

/// The interval of status messages to the service manager, in milliseconds, if the status has changed.
pub const STATUS_EVERY_MS: u64 = 10_000;
/// The delay of the first of them, in milliseconds.
pub const STATUS_FIRST_MS: u64 = 1_000;

/// Subscribers over HTTP at once. A further one gets the answer 503.
pub const SUBSCRIBERS_MAX: usize = 12;
const _: () = assert!(SUBSCRIBERS_MAX < super::http::HTTP_CONNECTIONS_MAX, "the metrics stay reachable");
/// Subscribers at the control socket at once. A further one is disconnected.
pub const LOCAL_SUBSCRIBERS_MAX: usize = 2;
const _: () = assert!(LOCAL_SUBSCRIBERS_MAX < super::control::CONTROLS_MAX, "the status stays reachable");
/// The interval at which subscribers get changes, in milliseconds.
pub const EVENTS_EVERY_MS: u64 = 250;
/// The status of the node is sent once per this number of intervals: every two seconds.
pub const STATUS_EVENT_LOOKS: u64 = 8;
/// Whether the herd is in sync is sent again after this number of intervals: ten seconds.
pub const HERD_EVENT_LOOKS: u64 = 40;
/// The time limit of a census for subscribers, in milliseconds. A herd in sync answers at once.
pub const HERD_EVENT_MS_MAX: u64 = 3_000;
/// Bytes of changes per interval; the rest follows in the next one.
pub const LOOK_BYTES_MAX: usize = 24 * 1024;
/// Bytes that a subscriber may be behind. One that falls farther behind is disconnected and can start again.
pub const RING_BYTES: usize = 64 * 1024;
/// The send buffer of a subscriber's connection, in bytes. Bytes that wait in it are old and use the board's memory.
pub const SUBSCRIBER_SEND_BUFFER_BYTES: usize = 32 * 1024;
/// A subscriber that reads no bytes for this time is disconnected, in milliseconds.
pub const SUBSCRIBER_MS_MAX: u64 = 10_000;

/// A node that stops waits no longer than this for its table to be on the disk, in milliseconds. The unit ends it after five
/// seconds.
pub const SNAPSHOT_STOP_MS_MAX: u64 = 3_000;

/// The rate limit of warnings that remote peers can trigger: one summary per kind in this time, in milliseconds. It is the
/// last warning, with the number of suppressed ones.
pub const REPEATED_WARNING_MS: u64 = 10_000;
/// The longest text of a warning that waits to be the last, in bytes. The rest is cut off.
pub const REPEATED_BYTES_MAX: usize = 512;

/// The node reads from a refused connection for this time, in milliseconds, so that the answer arrives.
pub const LINGER_MS_MAX: u64 = 1_000;
/// And at most this number of bytes, which it discards.
pub const LINGER_BYTES_MAX: usize = 256 * 1024;
