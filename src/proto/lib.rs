//! The core of a node: it makes every decision of the herd and performs no action.
//!
//! It holds lines, positions, times, the table, links and digests. It uses no socket, file, thread, clock or
//! random source, and does not allocate after start. The caller passes time and random numbers as arguments and
//! lends the buffers for lines. The package is `no_std`, so the compiler enforces this.
//!
//! | file | purpose |
//! |---|---|
//! | [`limits`] | every number that bounds something |
//! | [`time`], [`out`], [`digits`] | clocks as arguments, borrowed output, packed text |
//! | [`fields`], [`client`], [`decimal`] | the commands of a client, their fields, and numbers |
//! | [`names`], [`update`] | nodes, updates, and the one strict order of updates |
//! | [`table`], `eviction_heap`, [`pending`], `dirty` | the stored updates, the next one to evict, the updates pending for each link, the changes for subscribers |
//! | [`quota`], [`pace`] | the number of clients that one address may hold, how fast a neighbour may send |
//! | [`auth`], [`wire`], [`digest`] | proofs and tags, the lines between nodes, the comparison of tables |
//! | [`noise`] | links that are encrypted: the handshake and the records |
//! | [`session`], [`node`], [`default_node`] | one link connection, the node, the node at the size of this build |
//! | [`node::links`], [`node::pull`], [`node::secret`] | the links of a node, what it sends, encryption |
//! | `node::dials`, `node::digests` | dialling, staying in sync |
//! | [`node::reload`], [`node::restore`], [`node::events`] | a changed configuration, entries from before the start, events for subscribers |
//! | [`census`], [`facts`], [`node::census`] | the state of the whole herd, queried through one node |

// The tests may allocate.
#![cfg_attr(not(any(test, feature = "testing")), no_std)]

pub mod auth;
pub mod census;
pub mod client;
pub mod counters;
pub mod decimal;
pub mod default_node;
pub mod digest;
pub mod digits;
mod dirty;
mod eviction_heap;
pub mod facts;
pub mod fields;
pub mod limits;
pub mod names;
pub mod node;
pub mod noise;
pub mod out;
pub mod pace;
pub mod pending;
pub mod quota;
mod random;
pub mod receive_time;
pub mod session;
pub mod table;
pub mod time;
pub mod update;
pub mod wire;

#[cfg(any(test, feature = "testing"))]
pub mod herd_tests;

#[cfg(test)]
mod round_trip_tests;
