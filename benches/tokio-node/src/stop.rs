//! What makes a node stop, and what makes it read its map again, as in the build on smol.

use std::io::{ErrorKind, IsTerminal};
use std::os::fd::AsFd;

use futures_lite::future::{or, pending};
use herd::shell::RunError;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The ways to stop, made before the node says that it listens.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
    /// Held open by the supervisor; its end is the supervisor's end.
    input: Option<Receiver>,
}

fn listen_for(kind: SignalKind) -> Result<Signal, RunError> {
    signal(kind).map_err(|error| RunError::System { what: "signals", error })
}

impl Stop {
    pub(crate) fn new(supervised: bool) -> Result<Self, RunError> {
        // The supervisor gives a pipe.
        let pipe = || std::io::stdin().as_fd().try_clone_to_owned().and_then(Receiver::from_owned_fd);
        let input = supervised.then(pipe).transpose();
        Ok(Stop {
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
            input: input.map_err(|error| RunError::System { what: "standard input", error })?,
        })
    }

    /// Waits, and says why the node stops.
    pub(crate) async fn wait(mut self) -> &'static str {
        let terminated = async {
            self.terminate.recv().await;
            "told to terminate"
        };
        let interrupted = async {
            self.interrupt.recv().await;
            "interrupted"
        };
        let input = self.input;
        let ended = async {
            match input {
                Some(input) => until_end(&input).await,
                None => pending().await,
            }
            "its supervisor has gone"
        };
        or(or(terminated, interrupted), ended).await
    }
}

/// The wish that the map be read again: SIGHUP, except on a terminal, where it says that the terminal has gone.
pub(crate) struct Reload(Option<Signal>);

impl Reload {
    pub(crate) fn new() -> Result<Self, RunError> {
        if std::io::stderr().is_terminal() {
            return Ok(Reload(None));
        }
        Ok(Reload(Some(listen_for(SignalKind::hangup())?)))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => pending().await,
        }
    }
}

/// The wish that the node say how it is: SIGUSR1.
pub(crate) struct Told(Signal);

impl Told {
    pub(crate) fn new() -> Result<Self, RunError> {
        listen_for(SignalKind::user_defined1()).map(Told)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

async fn until_end(input: &Receiver) {
    let mut ignored = [0; 64];
    while input.readable().await.is_ok() {
        match input.try_read(&mut ignored) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}
