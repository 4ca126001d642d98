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
//! | [`names`], [`report`] | nodes, reports, and the one strict order |
//! | [`table`], `floor`, [`owed`], `changed` | what a node remembers, what it drops next, what it owes to whom, what watchers are told |
//! | [`quota`] | how many clients one address may hold |
//! | [`auth`], [`wire`], [`digest`] | proofs and tags, the lines between nodes, how tables are compared |
//! | [`session`], [`node`], [`board`], [`node_links`], `node_dials`, `node_digests`, [`node_reload`] | one connection, the node, one of a board's size, its links, who dials, staying in step, changed maps |
//! | [`node_kept`] | what outlives the node, where its map asks for that |
//! | [`census`], [`node_census`] | how the whole herd is, asked through one node |
//! | [`node_watch`] | each entry, and what changes, for those who watch |

// The tests may allocate.
#![cfg_attr(not(test), no_std)]

pub mod auth;
pub mod board;
pub mod census;
mod changed;
pub mod client;
pub mod counters;
pub mod digest;
pub mod digits;
pub mod fields;
mod floor;
pub mod limits;
pub mod names;
pub mod node;
pub mod node_census;
mod node_dials;
mod node_digests;
pub mod node_kept;
pub mod node_links;
pub mod node_reload;
pub mod node_watch;
pub mod out;
pub mod owed;
pub mod quota;
mod random;
pub mod receive_time;
pub mod report;
pub mod session;
pub mod table;
pub mod time;
pub mod wire;

#[cfg(test)]
mod herd_tests;

#[cfg(test)]
mod round_trip_tests;
