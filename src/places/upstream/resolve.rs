//! Looks up an upstream's name within a time limit.
//!
//! This module must not know the query. The C library's look-up has no time limit, so each look-up runs on its own thread.
//! The caller leaves that thread behind when the time is over. ureq does the same, but without a limit on threads and with
//! a panic when a thread cannot start, which would end the node. Invariants: at most [`LOOKUPS_MAX`] such threads exist,
//! hanging ones included. An address literal needs no thread.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, Timeout};

use crate::threads::spawn;

/// Most concurrent look-ups of an upstream's name in the process. A hanging look-up ends at the C library's own limit, 5 to
/// 30 s by default.
pub const LOOKUPS_MAX: usize = 16;

/// A look-up's stack, as address space. glibc touches about 20 KB, and a plug-in of the name service may touch more.
const STACK_BYTES: usize = 256 * 1024;

/// Most addresses of a name that a connect tries; ureq has the same limit.
const ADDRESSES_MAX: usize = 16;

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// Looks names up with the C library.
#[derive(Debug)]
pub(crate) struct BoundedResolver;

impl Resolver for BoundedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default_port);
        let found = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => look_up(host, port, *timeout.after, c_library)?,
        };
        let mut addresses = self.empty();
        for address in config.ip_family().keep_wanted(found.into_iter()).take(ADDRESSES_MAX) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

type Found = std::io::Result<Vec<SocketAddr>>;

fn c_library(host: &str, port: u16) -> Found {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// Runs `find` on a thread and waits at most `limit` for the addresses.
fn look_up(
    host: &str,
    port: u16,
    limit: Duration,
    find: impl FnOnce(&str, u16) -> Found + Send + 'static,
) -> Result<Vec<SocketAddr>, Error> {
    // The thread itself decrements the count, because it may outlive the query.
    struct Slot;
    impl Drop for Slot {
        fn drop(&mut self) {
            LOOKUPS.fetch_sub(1, Ordering::AcqRel);
        }
    }
    if LOOKUPS.fetch_add(1, Ordering::AcqRel) >= LOOKUPS_MAX {
        drop(Slot);
        return Err(Error::Timeout(Timeout::Resolve));
    }
    let slot = Slot;
    let (sender, receiver) = sync_channel(1);
    let host = host.to_owned();
    let run = move || {
        let found = find(&host, port);
        // Free the slot before the query continues, so that the caller sees a free slot after the answer.
        drop(slot);
        let _ = sender.send(found);
    };
    spawn("places-dns", STACK_BYTES, Box::new(run)).map_err(Error::Io)?;
    match receiver.recv_timeout(limit) {
        Ok(Ok(found)) => Ok(found),
        // The C library's text differs between boards and adds no information.
        Ok(Err(_)) => Err(Error::HostNotFound),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(Error::Timeout(Timeout::Resolve))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_are_found() {
        let limit = Duration::from_secs(60);
        let found = look_up("localhost", 80, limit, c_library).expect("every machine knows itself");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert!(look_up("no such name", 80, limit, c_library).is_err());
        hanging_look_ups_are_limited();
    }

    /// Called by the only test that looks up names, because the count belongs to the process.
    fn hanging_look_ups_are_limited() {
        assert_eq!(LOOKUPS.load(Ordering::Acquire), 0);
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        let timed_out = |found| matches!(found, Err(Error::Timeout(Timeout::Resolve)));
        for _ in 0..LOOKUPS_MAX {
            let held = std::sync::Arc::clone(&held);
            let hang = move |_: &str, _| {
                let _ = held.lock().map(|held| held.recv());
                Ok(Vec::new())
            };
            assert!(timed_out(look_up("x", 80, Duration::from_millis(1), hang)));
        }
        let never = |_: &str, _| unreachable!("there are too many of them");
        assert!(timed_out(look_up("x", 80, Duration::from_secs(60), never)));
        assert_eq!(LOOKUPS.load(Ordering::Acquire), LOOKUPS_MAX);
        drop(let_go);
        while LOOKUPS.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
    }
}
