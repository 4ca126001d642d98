//! Sends a list of all clients, when it has its turn.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::{AsyncWrite, AsyncWriteExt};

use super::HTTP_MS_MAX;
use super::list::{LIST_LOOK_MS, LIST_MS_MAX, ListForm, ListTurn, piece};
use crate::server::shared::{NodeRuntime, Server};

/// Writes the head and all clients, a piece at a time: one list at a time, and so many a second, as each is a walk through the
/// table. `ResourceBusy` if its turn has not come in time; nothing is written then.
pub(crate) async fn write_clients<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: &mut (impl AsyncWrite + Unpin),
    head: &str,
    form: ListForm,
) -> io::Result<()> {
    let turn = server.in_time(HTTP_MS_MAX, async { Ok(list_turn(server).await) }).await;
    let Ok(_turn) = turn else { return Err(io::ErrorKind::ResourceBusy.into()) };
    let until = Instant::now() + Duration::from_millis(LIST_MS_MAX);
    server.in_time(HTTP_MS_MAX, stream.write_all(head.as_bytes())).await?;
    let mut next = Some(usize::MAX);
    while let Some(end) = next {
        let (piece, rest) = piece(&server.driver, end, form);
        server.in_time(HTTP_MS_MAX, stream.write_all(piece.as_bytes())).await?;
        next = rest.filter(|_| Instant::now() < until);
    }
    Ok(())
}

/// Waits for the turn to list all clients.
pub(super) async fn list_turn<R: NodeRuntime>(server: &'static Server<R>) -> ListTurn<'static> {
    loop {
        match server.lists.take(Instant::now()) {
            Some(turn) => return turn,
            None => server.sleep_ms(LIST_LOOK_MS).await,
        }
    }
}
