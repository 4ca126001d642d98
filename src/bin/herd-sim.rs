//! The simulator: see [`herd::sim`].

use std::process::ExitCode;

fn main() -> ExitCode {
    herd::sim::main(std::env::args_os().skip(1))
}
