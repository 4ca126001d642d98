//! The core: it decides, and does nothing else.
//!
//! Lines, positions, times, the table, links and digests. No socket, file, thread, clock, random
//! source, or allocation after start: time and random numbers come in as arguments, lines go out
//! through buffers that the caller lends. Without the standard library it could do none of it.
//!
//! | file | what it is for |
//! |---|---|
//! | [`limits`] | every number that bounds something |
//! | [`time`], [`out`], [`digits`] | clocks as arguments, borrowed output, packed text |
//! | [`fields`], [`client`] | what a client may say |
//! | [`names`], [`update`] | nodes, updates, and the one strict order |
//! | [`table`], `floor`, [`pending`], `changed` | what a node remembers, what it drops next, what it owes to whom, what watchers are told |
//! | [`quota`] | how many clients one address may hold |
//! | [`auth`], [`wire`], [`digest`] | proofs and tags, the lines between nodes, how tables are compared |
//! | [`session`], [`node`], [`default_node`], [`node::links`], `node::dials`, `node::digests`, [`node::reload`] | one connection, the node, one of a board's size, its links, who dials, staying in sync, changed configurations |
//! | [`node::restore`] | what outlives the node, where its configuration asks for that |
//! | [`census`], [`node::census`] | how the whole herd is, asked through one node |
//! | [`node::events`] | each entry, and what changes, for those who watch |

// The tests may allocate.
#![cfg_attr(not(test), no_std)]

pub mod auth;
pub mod census;
pub mod client;
pub mod counters;
pub mod default_node;
pub mod digest;
pub mod digits;
mod dirty;
mod eviction_heap;
pub mod fields;
pub mod limits;
pub mod names;
pub mod node;
pub mod out;
pub mod pending;
pub mod quota;
mod random;
pub mod receive_time;
pub mod session;
pub mod table;
pub mod time;
pub mod update;
pub mod wire;

#[cfg(test)]
mod herd_tests;

#[cfg(test)]
mod round_trip_tests;
