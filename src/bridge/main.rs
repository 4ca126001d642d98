//! The program `herd-bridge`: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    herd_bridge::program::start(std::env::args_os().skip(1))
}
