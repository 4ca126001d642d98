//! The program: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    herd::cli::run(std::env::args_os().skip(1), herd::shell::smol::run)
}
