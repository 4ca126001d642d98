//! What strangers may send, and what must hold whatever they send: one function a target, input in, panic on a finding.
//!
//! A target holds the whole check: not only that nothing panics, but what the answer must be, by rules written down
//! a second time here. `fuzz_targets` hands them to libFuzzer, `tests/corpora.rs` plays the inputs that were kept, on
//! any Rust. Must not know libFuzzer. Invariants: the same input gives the same run; no network, no thread, and of files
//! one in the folder for temporary ones.
//!
//! Inputs are text where that can be, so that one can be written by hand; each file says how its input is read.

mod client_line;
mod grammar;
mod herd_of_nodes;
mod json_cut;
mod link_line;
mod map;
mod neighbour;
mod node_ops;
mod places_dat;
mod scratch;

pub use client_line::client_line;
pub use json_cut::json_cut;
pub use link_line::link_line;
pub use map::map;
pub use node_ops::node_ops;
pub use places_dat::places_dat;

/// A target: it panics on a finding.
pub type Target = fn(&[u8]);

/// All targets by name: each has a folder of that name in `corpus`.
pub const TARGETS: [(&str, Target); 6] = [
    ("client_line", client_line),
    ("link_line", link_line),
    ("map", map),
    ("places_dat", places_dat),
    ("json_cut", json_cut),
    ("node_ops", node_ops),
];

/// Removes the one file that targets write.
pub fn clean_up() {
    scratch::remove();
}

/// Plays the files that the program was given: a finding without the fuzzer around it.
pub fn replay(target: Target) {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    if files.is_empty() {
        eprintln!("no input: name the files to play, such as fuzz/artifacts/TARGET/crash-*");
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
