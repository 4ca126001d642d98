//! The program: arguments in, exit status out.

use std::process::ExitCode;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
use herd::server::runtime::epoll::Epoll as Own;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
use herd::server::runtime::portable::Portable as Own;

fn main() -> ExitCode {
    herd::cli::run(std::env::args_os().skip(1), herd::server::run::<Own>)
}
