//! Dials a neighbour whose `links` is a host name: looks up its addresses and tries them in turn.
//!
//! The C library's look-up blocks and has no time limit, so it runs on a thread that ends with it. Each dial looks up the
//! name again: a board can get another address at any time. Invariant: the node has at most one such thread, a hanging one
//! included; other look-ups wait for its end.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};

use super::limits::{LOOK_UP_MS_MAX, LOOK_UP_TURN_MS, NEIGHBOUR_ADDRESSES_MAX};
use super::shared::{NodeRuntime, Server};
use crate::threads::spawn;

/// The thread's stack, as address space. glibc touches about 20 KB, and a plug-in of the name service may touch more.
const STACK_BYTES: usize = 256 * 1024;

/// Whether the thread runs.
static IS_BUSY: AtomicBool = AtomicBool::new(false);

/// The thread's turn, until this is dropped.
struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        IS_BUSY.store(false, Ordering::Release);
    }
}

/// The addresses of `name`, which is `HOST:PORT`: one at least, [`NEIGHBOUR_ADDRESSES_MAX`] at most.
///
/// # Errors
/// A message that names the host and the reason.
pub(super) async fn look_up<R: NodeRuntime>(
    server: &'static Server<R>,
    name: &str,
) -> Result<Vec<SocketAddr>, String> {
    match server.in_time(LOOK_UP_MS_MAX, found(server, name)).await {
        Ok(found) if !found.is_empty() => Ok(found),
        outcome => Err(unknown(name, outcome.err().as_ref())),
    }
}

/// Waits for the thread's turn, and for the thread.
async fn found<R: NodeRuntime>(server: &'static Server<R>, name: &str) -> io::Result<Vec<SocketAddr>> {
    while IS_BUSY.swap(true, Ordering::Acquire) {
        server.sleep_ms(LOOK_UP_TURN_MS).await;
    }
    let turn = Turn;
    let (sender, receiver) = async_channel::bounded(1);
    let name = name.to_owned();
    let run = move || {
        let found = name.to_socket_addrs().map(addresses);
        // The next look-up may start before the dial continues.
        drop(turn);
        let _ = sender.try_send(found);
    };
    spawn("look-up", STACK_BYTES, Box::new(run))?;
    receiver.recv().await.unwrap_or_else(|_| Ok(Vec::new()))
}

/// The addresses that can be dialled. A name that a filter blocks has the address 0.0.0.0, which is this machine.
fn addresses(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    found.filter(|address| !address.ip().is_unspecified()).take(NEIGHBOUR_ADDRESSES_MAX).collect()
}

/// Why the name has no address, without the words that std puts before the C library's.
fn unknown(name: &str, error: Option<&io::Error>) -> String {
    let host = name.rsplit_once(':').map_or(name, |(host, _)| host);
    let why = error.map_or_else(|| "it has none that can be dialled".to_owned(), ToString::to_string);
    let why = why.trim_start_matches("failed to lookup address information: ");
    format!("no address found for {host}: {why} (see: getent hosts {host})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_bounded_and_can_be_dialled() {
        let numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let found = numbers.map(|n| SocketAddr::from(([if n == 0 { 0 } else { 10 }, 0, 0, n], 9001)));
        let dialled = addresses(found.into_iter());
        assert_eq!(dialled.len(), NEIGHBOUR_ADDRESSES_MAX);
        assert_eq!(dialled[0].to_string(), "10.0.0.1:9001");
    }

    #[test]
    fn an_error_names_the_host() {
        let error = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(
            unknown("hill.local:9001", Some(&error)),
            "no address found for hill.local: Name or service not known (see: getent hosts hill.local)"
        );
        assert_eq!(
            unknown("hill.local:9001", None),
            "no address found for hill.local: it has none that can be dialled (see: getent hosts hill.local)"
        );
    }
}
