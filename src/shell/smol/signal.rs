//! What makes a node stop: SIGTERM, SIGINT, and the end of standard input of a supervised one. What makes
//! it read its map again: SIGHUP.

use std::io::{IsTerminal, Read, Stdin};

use async_io::Async;
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};

use crate::shell::RunError;

/// The ways to stop, made before the node says that it listens.
pub(super) struct Stop {
    signals: Signals,
    /// Held open by the supervisor; its end is the supervisor's end.
    input: Option<Async<Stdin>>,
}

impl Stop {
    pub(super) fn new(supervised: bool) -> Result<Self, RunError> {
        let signals = Signals::new([Signal::Term, Signal::Int]);
        let signals = signals.map_err(|error| RunError::System { what: "signals", error })?;
        let input = if supervised { Some(Async::new(std::io::stdin())) } else { None };
        let input = input.transpose().map_err(|error| RunError::System { what: "standard input", error })?;
        Ok(Stop { signals, input })
    }

    /// Waits, and says why the node stops.
    pub(super) async fn wait(mut self) -> &'static str {
        let input = self.input;
        let signal = async {
            match self.signals.next().await {
                Some(Ok(Signal::Int)) => "interrupted",
                _ => "told to terminate",
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

/// The wish that the map be read again: SIGHUP.
pub(super) struct Reload(Option<Signals>);

impl Reload {
    /// On a terminal SIGHUP says that the terminal has gone, and ends the node as it ends any program.
    pub(super) fn new() -> Result<Self, RunError> {
        if std::io::stderr().is_terminal() {
            return Ok(Reload(None));
        }
        let signals = Signals::new([Signal::Hup]);
        Ok(Reload(Some(signals.map_err(|error| RunError::System { what: "signals", error })?)))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        let asked = match &mut self.0 {
            Some(signals) => signals.next().await.is_some(),
            None => false,
        };
        if !asked {
            future::pending::<()>().await;
        }
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
