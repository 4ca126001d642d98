//! The herd's node on tokio: see `node.rs`.

mod clients;
mod control;
mod links;
mod node;
mod stop;
mod task;

use std::process::ExitCode;

fn main() -> ExitCode {
    herd::cli::run(std::env::args_os().skip(1), node::run)
}
