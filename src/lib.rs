//! An application server herd for small boards: nodes that tell each other where clients are.
//!
//! This page is the map of the code. The program is `herd`; what it does for its users is in the README.
//!
//! ```text
//!    main -> cli -> config                       -> depends on
//!             |
//!             v
//!           server -> proto <- sim <- herd-sim
//!             |
//!             +-> places
//! ```
//!
//! * [`proto`] **decides**: what a line means, which update is newer, what is pending for whom, when a link is dead.
//!   *Invariant: no socket, file, thread, clock, random source or allocation after start.* Time and random numbers
//!   are arguments, lines go out through borrowed buffers, so a whole herd runs in one test without a network. It is a package
//!   of its own (`herd-proto` in `src/proto`), without the standard library: the compiler holds it to that.
//! * [`places`] **blocks**: it reads places files and asks services on the network, on threads of its own behind a
//!   bounded queue. *Invariant: plain data in, plain data out; nothing of links or clients; every query is answered in
//!   time, whatever a service does.* It also makes places files, from the command line.
//! * [`server`] **does**: sockets, timers, signals, logs, and messages to the service manager. It is written once
//!   for any [`server::runtime`]. *Invariant: one thread, no lock, no borrow held over an `.await`.*
//! * `sim` (feature `sim`) **doubts**: whole herds of the same core under false clocks and links, from a seed.
//!   *Invariant: no socket, thread or clock in a world; the same seed gives the same run.* It and the server never meet.
//! * [`config`] reads and checks the configuration, whole, before anything starts, and again when a node is asked to.
//!   *Invariant: a node only ever sees a [`config::Checked`] configuration.*
//! * [`files`] opens the files that a configuration names, and replaces files. *Invariant: no open of it blocks.* [`percent`] encodes text for
//!   URLs and topics, [`random`] has the random bytes of the kernel, `threads` starts threads, and `tls_provider` the cryptography of TLS.
//! * [`cli`] turns arguments into calls and results into exit statuses: 0 success, 1 failure, 2 wrong usage, 3 a line that a node did not
//!   take.
//!
//! Start reading at [`proto::node`], whose first page is the contract between the core and any server; then
//! [`proto::update`] for the one order that everything rests on, and [`proto::table`] for what is remembered and why.

pub mod cli;
pub mod config;
pub mod files;
pub mod percent;
pub mod places;
pub mod random;
pub mod server;
#[cfg(feature = "sim")]
pub mod sim;
mod threads;
#[cfg(feature = "tls")]
pub mod tls_provider;

pub use herd_proto as proto;
