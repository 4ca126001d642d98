//! The herd's node on tokio, for comparison: the same node, and the runtime that it runs on.

mod runtime;

use std::process::ExitCode;

fn main() -> ExitCode {
    herd::cli::run(std::env::args_os().skip(1), herd::server::run::<runtime::Tokio>)
}
