//! What makes a node stop: SIGTERM, SIGINT, and the end of standard input of a supervised one. What makes
//! it read its map again: SIGHUP; and say how it is: SIGUSR1.
//!
//! The signals are kept from being delivered, and read from a descriptor (signalfd(2)): nothing of the node ever runs in a
//! signal handler.

use std::io::{self, IsTerminal, Stdin};

use futures_lite::future;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::reactor::Reactor;
use super::watched::{For, Watched};
use crate::shell::RunError;
use crate::shell::wake::Wake;

/// What comes from outside, made before the node says that it listens.
pub(super) struct Outside {
    signals: Watched<SignalFd>,
    /// Held open by the supervisor; its end is the supervisor's end.
    input: Option<Watched<Stdin>>,
}

fn watch_signals(reactor: &'static Reactor) -> io::Result<Watched<SignalFd>> {
    let mut wanted = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        wanted.add(signal);
    }
    // On a terminal SIGHUP says that the terminal has gone, and ends the node as it ends any program.
    if !io::stderr().is_terminal() {
        wanted.add(Signal::SIGHUP);
    }
    // Threads that are started from here on have the same mask.
    wanted.thread_block()?;
    reactor.watch(SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn watch_input(reactor: &'static Reactor) -> io::Result<Watched<Stdin>> {
    let input = io::stdin();
    rustix::io::ioctl_fionbio(&input, true)?;
    reactor.watch(input)
}

impl Outside {
    pub(super) fn new(reactor: &'static Reactor, supervised: bool) -> Result<Self, RunError> {
        let system = |what| move |error| RunError::System { what, error };
        let input = supervised.then(|| watch_input(reactor)).transpose().map_err(system("standard input"))?;
        Ok(Outside { signals: watch_signals(reactor).map_err(system("signals"))?, input })
    }

    /// Rings `reload` whenever the map is to be read again, calls `tell` whenever somebody wants to know how the node is,
    /// until it is to stop; says why.
    pub(super) async fn wait(self, reload: &Wake, tell: impl Fn()) -> &'static str {
        let signal = async {
            loop {
                match next(&self.signals).await {
                    Ok(Some(Signal::SIGHUP)) => reload.wake(),
                    Ok(Some(Signal::SIGUSR1)) => tell(),
                    Ok(Some(Signal::SIGINT)) => return "interrupted",
                    _ => return "told to terminate",
                }
            }
        };
        let ended = async {
            match &self.input {
                Some(input) => until_end(input).await,
                None => future::pending().await,
            }
            "its supervisor has gone"
        };
        future::or(signal, ended).await
    }
}

async fn next(signals: &Watched<SignalFd>) -> io::Result<Option<Signal>> {
    signals
        .with(For::Reading, |signals| match signals.read_signal() {
            Ok(Some(signal)) => {
                Ok(i32::try_from(signal.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok()))
            }
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        })
        .await
}

async fn until_end(input: &Watched<Stdin>) {
    let mut ignored = [0; 64];
    loop {
        let read = input.with(For::Reading, |stdin| Ok(rustix::io::read(stdin, &mut ignored)?)).await;
        if matches!(read, Ok(0) | Err(_)) {
            return;
        }
    }
}
