//! Accepts clients, one a turn.

use log::debug;

use crate::server::limits::ACCEPT_PAUSE_MS;
use crate::server::logging::{CLIENT, Peer, set_client};
use crate::server::shared::{NodeRuntime, Server};

/// Accepts clients for ever.
pub(crate) async fn accept<R: NodeRuntime>(server: &'static Server<R>, listener: R::TcpListener) {
    loop {
        match server.runtime.accept_client(&listener).await {
            Ok((stream, peer)) => {
                set_client(Some(peer));
                debug!(target: CLIENT, "client{Peer} has come");
                R::begin(server, stream, peer.ip());
                // A crowd that waits to be accepted must not hold up the clients that are connected.
                server.runtime.next_turn().await;
            }
            Err(error) => {
                server.accept_failed("clients", &error);
                server.sleep_ms(ACCEPT_PAUSE_MS).await;
            }
        }
    }
}
