//! The program from outside: real processes and real sockets on loopback.
//!
//! One binary, so that what its tests wait for overlaps. A module is a suite: `.ci/run` chooses the suites that other runtimes
//! pass, `.ci/cross` the suites that an emulated board runs. `cargo test --test e2e links::` runs one.

#[cfg(feature = "up")]
mod cli;
mod clients;
mod events;
mod herd;
mod http;
mod impostors;
mod links;
mod phones;
#[cfg(feature = "tls")]
mod phones_tls;
mod places_import;
mod places_limits;
mod places_node;
mod places_pool;
#[cfg(feature = "tls")]
mod places_tls;
mod places_upstream;
mod secrecy;
mod service;
mod snapshot;
mod status;
#[cfg(feature = "up")]
mod up;
