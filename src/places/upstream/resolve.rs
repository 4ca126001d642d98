//! Looks up an upstream's name within a time limit.
//!
//! Must not know what is asked of the upstream. The C library's look-up cannot be given a time limit, so it runs on a
//! thread of its own that is left behind when its time is up. ureq does the same, but without bound and with a panic when
//! no thread can be started, which would end the node. Invariants: at most [`LOOKUPS_MAX`] such threads, hanging ones
//! included; an address literal takes none.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::Builder;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, Timeout};

/// Most look-ups of an upstream's name at once, in the process. A hanging one is over when the C library gives up, 5 to 30 s by
/// its defaults.
pub const LOOKUPS_MAX: usize = 16;

/// A look-up's stack: address space, of which glibc touches some 20 KB and a plug-in of the name service perhaps more.
const STACK_BYTES: usize = 256 * 1024;

/// Most addresses of a name that are tried, ureq's own limit.
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

/// Has `find` find the addresses, and waits for that no longer than `limit`.
fn look_up(
    host: &str,
    port: u16,
    limit: Duration,
    find: impl FnOnce(&str, u16) -> Found + Send + 'static,
) -> Result<Vec<SocketAddr>, Error> {
    // Counted back by the thread itself, since it may outlive the query.
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
    let thread = Builder::new().name("places-dns".to_owned()).stack_size(STACK_BYTES);
    thread
        .spawn(move || {
            let found = find(&host, port);
            // Free before the query goes on: whoever saw the answer sees the slot free as well.
            drop(slot);
            let _ = sender.send(found);
        })
        .map_err(Error::Io)?;
    match receiver.recv_timeout(limit) {
        Ok(Ok(found)) => Ok(found),
        // The C library's words differ from board to board, and none says more than this.
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
    fn names_of_this_machine_are_found_and_others_are_not() {
        let limit = Duration::from_secs(60);
        let found = look_up("localhost", 80, limit, c_library).expect("every machine knows itself");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert!(look_up("no such name", 80, limit, c_library).is_err());
        hanging_look_ups_are_left_behind_up_to_a_limit();
    }

    /// Called by the only test that looks names up, since the count is the process's.
    fn hanging_look_ups_are_left_behind_up_to_a_limit() {
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
