//! Fuzz targets for remote input. A target is a function: input in, panic on a finding.
//!
//! A target checks more than the absence of panics. It computes the expected answer by an independent
//! implementation of the rules. `fuzz_targets` passes the targets to libFuzzer. `tests/corpora.rs` runs the
//! stored inputs on any Rust toolchain. This crate does not depend on libFuzzer. Invariants: the same input
//! gives the same run; a target uses no network and no thread, and writes one temporary file only.
//!
//! Inputs are text where possible, so that one can be written by hand. The head of each file describes its
//! input.

mod client_line;
mod config;
mod grammar;
mod herd_of_nodes;
mod json_cut;
mod link_line;
mod neighbour;
mod node_ops;
mod phone_request;
mod places_dat;
mod scratch;
mod secret_link;

pub use client_line::client_line;
pub use config::config;
pub use json_cut::json_cut;
pub use link_line::link_line;
pub use node_ops::node_ops;
pub use phone_request::phone_request;
pub use places_dat::places_dat;
pub use secret_link::secret_link;

/// A target: it panics on a finding.
pub type Target = fn(&[u8]);

/// All targets by name. Each has a folder of that name in `corpus`.
pub const TARGETS: [(&str, Target); 8] = [
    ("client_line", client_line),
    ("link_line", link_line),
    ("config", config),
    ("places_dat", places_dat),
    ("json_cut", json_cut),
    ("node_ops", node_ops),
    ("phone_request", phone_request),
    ("secret_link", secret_link),
];

/// The program of a target for cargo-fuzz. A build without cargo-fuzz runs it on the files that the arguments name.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::replay($crate::$name);
        }
    };
}

/// Removes the one file that targets write.
pub fn clean_up() {
    scratch::remove();
}

/// Runs the target on the files that the arguments name, to reproduce a finding without the fuzzer.
pub fn replay(target: Target) {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    if files.is_empty() {
        eprintln!("no input: name the files to run, such as fuzz/artifacts/TARGET/crash-*");
        std::process::exit(2);
    }
    for file in files {
        match std::fs::read(&file) {
            Ok(bytes) => target(&bytes),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                std::process::exit(1);
            }
        }
    }
    clean_up();
}
