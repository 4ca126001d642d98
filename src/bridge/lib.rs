//! The bridge publishes the entries of a node's event stream to an MQTT broker, as OwnTracks locations. It sends OwnTracks
//! locations from that broker to the node as updates.
//!
//! ```text
//!   node: control socket --watch--> stream -> pending -> owntracks -> session --> broker
//!   node: client port    <--IAMAT-- updates <-------- owntracks <- session <----- broker
//! ```
//!
//! The bridge is a separate process beside the node. To the node it is a viewer and a client. Its state is in memory and
//! bounded. The bridge drops it with the connection to the broker, because the herd holds all positions.
//!
//! * [`owntracks`], [`topics`], [`pending`], [`stream`], [`codec`] and [`session`] **decide**. *Invariant: they use neither a
//!   socket nor a clock. For any input they do not panic, and do not store more than [`limits`] allows.*
//! * `run`, `node` and `broker` **do**: two connections to the node, one to the broker, one thread.
//! * [`options`] and [`settings`] turn arguments into settings. [`program`] ties both to `run`.
//!
//! A herd's own messages never return as updates, through any number of brokers: the bridge marks each message with the
//! member `herd`, and ignores messages with that member.

pub mod backoff;
pub mod broker;
pub mod codec;
pub mod counters;
mod devices;
pub mod failure;
pub mod limits;
mod node;
pub mod options;
pub mod owntracks;
pub mod pending;
pub mod program;
mod run;
pub mod session;
pub mod settings;
mod shared;
pub mod stream;
pub mod topics;
mod updates;
mod warnings;

pub use run::run;

/// Waits for a result within a time limit.
async fn in_time<T>(ms: u64, done: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    let late = async {
        async_io::Timer::after(std::time::Duration::from_millis(ms)).await;
        Err(std::io::ErrorKind::TimedOut.into())
    };
    futures_lite::future::or(done, late).await
}
