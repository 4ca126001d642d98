//! What makes a node stop: SIGTERM, SIGINT, and the end of standard input of a supervised one. What makes
//! it read its map again: SIGHUP; and say how it is: SIGUSR1.

use std::io::{IsTerminal, Read, Stdin};

use async_io::Async;
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};

use crate::shell::RunError;
use crate::shell::wake::Wake;

/// What comes from outside, made before the node says that it listens.
pub(super) struct Outside {
    signals: Signals,
    /// Held open by the supervisor; its end is the supervisor's end.
    input: Option<Async<Stdin>>,
}

impl Outside {
    pub(super) fn new(supervised: bool) -> Result<Self, RunError> {
        let mut wanted = vec![Signal::Term, Signal::Int, Signal::Usr1];
        // On a terminal SIGHUP says that the terminal has gone, and ends the node as it ends any program.
        if !std::io::stderr().is_terminal() {
            wanted.push(Signal::Hup);
        }
        let signals = Signals::new(wanted).map_err(|error| RunError::System { what: "signals", error })?;
        let input = if supervised { Some(Async::new(std::io::stdin())) } else { None };
        let input = input.transpose().map_err(|error| RunError::System { what: "standard input", error })?;
        Ok(Outside { signals, input })
    }

    /// Rings `reload` whenever the map is to be read again, calls `tell` whenever somebody wants to know how the node is,
    /// until it is to stop; says why.
    pub(super) async fn wait(mut self, reload: &Wake, tell: impl Fn()) -> &'static str {
        let input = self.input;
        let signal = async {
            loop {
                match self.signals.next().await {
                    Some(Ok(Signal::Hup)) => reload.wake(),
                    Some(Ok(Signal::Usr1)) => tell(),
                    Some(Ok(Signal::Int)) => return "interrupted",
                    _ => return "told to terminate",
                }
            }
        };
        let ended = async {
            match input {
                Some(input) => until_end(&input).await,
                None => future::pending().await,
            }
            "its supervisor has gone"
        };
        future::or(signal, ended).await
    }
}

async fn until_end(input: &Async<Stdin>) {
    let mut ignored = [0; 64];
    loop {
        let read = input.read_with(|stdin| stdin.lock().read(&mut ignored)).await;
        if matches!(read, Ok(0) | Err(_)) {
            return;
        }
    }
}
