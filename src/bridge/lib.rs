//! The bridge: it publishes what a node's event stream says to an MQTT broker, as OwnTracks locations. It reports OwnTracks
//! locations from that broker to the node.
//!
//! ```text
//!   node: control socket --watch--> stream -> pending -> owntracks -> session --> broker
//!   node: client port    <--IAMAT-- reports <-------- owntracks <- session <----- broker
//! ```
//!
//! A process of its own beside the node, which does not know it: to the node it is a viewer and a client. All its state is in
//! memory, bounded, and dropped with the connection to the broker; the herd is what remembers.
//!
//! * [`owntracks`], [`topics`], [`pending`], [`stream`], [`codec`] and [`session`] **decide**. *Invariant: no socket, no clock; whatever
//!   a broker, a node or a message holds, they do not panic and do not keep more than [`limits`] says.*
//! * `run`, `node` and `broker` **do**: two connections to the node, one to the broker, one thread.
//! * [`options`] and [`settings`] turn arguments into what a bridge connects.
//!
//! A herd's own messages never come back as reports, through however many brokers they went: what the bridge publishes has a
//! member that says that it is of a herd, and the bridge ignores what has that member.

pub mod backoff;
pub mod broker;
pub mod codec;
pub mod counters;
mod devices;
pub mod limits;
mod node;
pub mod options;
pub mod owntracks;
pub mod pending;
mod run;
pub mod session;
pub mod settings;
pub mod stream;
pub mod topics;
mod warnings;

pub use run::run;

/// What comes in time, or else an error.
async fn in_time<T>(ms: u64, done: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    let late = async {
        async_io::Timer::after(std::time::Duration::from_millis(ms)).await;
        Err(std::io::ErrorKind::TimedOut.into())
    };
    futures_lite::future::or(done, late).await
}
