//! Prepares the system's resources for a node: its listeners, and one descriptor per client.
//!
//! Independent of runtimes: sockets are std's and do not block.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use log::{info, warn};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::RunError;
use super::limits::{
    CLIENT_RECEIVE_BUFFER_BYTES, CLIENT_SEND_BUFFER_BYTES, CLIENTS_MAX, DESCRIPTORS_BESIDE_CLIENTS,
    LISTEN_BACKLOG,
};
use super::service::{CLIENTS, Service};

/// Listens on an address, with the listener that the service manager has stored if there is one.
///
/// # Errors
/// [`RunError::Bind`], which names `member` of the configuration.
pub fn listen(service: &Service, member: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    let taken = |address| service.take_stored(address).map_or_else(|| TcpListener::bind(address), Ok);
    let bound = taken(address).or_else(|error| match address {
        // A machine without IPv6 has IPv4's wildcard alone.
        SocketAddr::V6(v6) if v6.ip().is_unspecified() && is_without_ipv6(&error) => {
            taken((Ipv4Addr::UNSPECIFIED, v6.port()).into())
        }
        _ => Err(error),
    });
    let bound = bound.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let listener = bound.map_err(|error| RunError::Bind { member, address, error })?;
    service.keep(member, &listener);
    // std listens with a backlog of 128; to listen again changes nothing but that (listen(2)).
    if let Err(error) = rustix::net::listen(&listener, LISTEN_BACKLOG) {
        warn!("{member}: the listen backlog stays at 128: {error}");
    }
    if member == CLIENTS {
        // Accepted connections inherit them. Best effort: larger buffers only cost memory.
        let _ = set_socket_send_buffer_size(&listener, CLIENT_SEND_BUFFER_BYTES);
        let _ = set_socket_recv_buffer_size(&listener, CLIENT_RECEIVE_BUFFER_BYTES);
    }
    Ok(listener)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
        || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Whether it failed because another socket has the port.
pub fn is_in_use<T>(listened: &Result<T, RunError>) -> bool {
    matches!(listened, Err(RunError::Bind { error, .. }) if error.kind() == io::ErrorKind::AddrInUse)
}

/// Raises the descriptor limit for one descriptor per client. Returns the number of clients that it allows.
///
/// Service managers start programs with a soft limit of 1024 because of `select`, which this program
/// does not use.
#[must_use]
pub fn raise_descriptor_limit() -> usize {
    let wanted = CLIENTS_MAX as u64 + DESCRIPTORS_BESIDE_CLIENTS;
    let limit = getrlimit(Resource::Nofile);
    let granted =
        limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(limit.current.unwrap_or(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum: limit.maximum });
    let descriptors = if raised.is_ok() { granted } else { limit.current.unwrap_or(wanted) };
    let clients = descriptors.saturating_sub(DESCRIPTORS_BESIDE_CLIENTS).max(1);
    let clients = usize::try_from(clients).unwrap_or(CLIENTS_MAX).min(CLIENTS_MAX);
    if clients < CLIENTS_MAX {
        info!("the limit of {descriptors} descriptors allows {clients} clients, not {CLIENTS_MAX}");
    }
    clients
}
