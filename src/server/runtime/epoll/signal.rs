//! Signals and the end of standard input.
//!
//! The signals are blocked and read from a descriptor (signalfd(2)), so no code of the node runs in a signal handler.

use std::io::{self, Stdin};

use nix::sys::signal::{self, SigSet};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::readiness::For;
use super::watched::Watched;
use crate::server::runtime::Signal;

const NUMBERS: [(Signal, signal::Signal); 3] = [
    (Signal::Terminate, signal::Signal::SIGTERM),
    (Signal::Interrupt, signal::Signal::SIGINT),
    (Signal::Reload, signal::Signal::SIGHUP),
];

/// Blocks these signals in this thread, and in threads that it starts later.
pub(super) fn block(wanted: &[Signal]) -> io::Result<SignalFd> {
    let wanted = NUMBERS.iter().filter(|(signal, _)| wanted.contains(signal));
    let set: SigSet = wanted.map(|(_, number)| *number).collect();
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Waits for the next one. `None` when the descriptor fails.
pub(super) async fn next(signals: &mut Watched<SignalFd>) -> Option<Signal> {
    let read = |signals: &SignalFd| match signals.read_signal() {
        Ok(Some(signal)) => Ok(signal.ssi_signo),
        Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    };
    let number = i32::try_from(signals.with(For::Reading, read).await.ok()?).ok()?;
    NUMBERS.iter().find(|(_, signal)| *signal as i32 == number).map(|(signal, _)| *signal)
}

/// Waits until no process holds the other end of standard input any more.
pub(super) async fn until_end(input: Watched<Stdin>) {
    let mut ignored = [0; 64];
    loop {
        let read = input.with(For::Reading, |stdin| Ok(rustix::io::read(stdin, &mut ignored)?)).await;
        if matches!(read, Ok(0) | Err(_)) {
            return;
        }
    }
}
