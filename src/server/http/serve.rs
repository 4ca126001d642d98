//! The HTTP listener's tasks: one request a connection, a few at a time.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use rustix::net::sockopt::set_socket_send_buffer_size;

use super::{
    Asked, EVENTS, Guard, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_MS_MAX, JSON, LIST_LOOK_MS,
    LIST_MS_MAX, ListTurn, Page, asked, health, page, refusal, stream_head,
};
use crate::server::acceptor::{Newcomer, Ticket, answer_few};
use crate::server::events::{Subscriber, clients_piece, watch};
use crate::server::limits::SUBSCRIBER_SEND_BUFFER_BYTES;
use crate::server::metrics;
use crate::server::shared::{NodeRuntime, Server};

/// Answers for ever.
pub(crate) async fn serve<R: NodeRuntime>(
    server: &'static Server<R>,
    address: SocketAddr,
    listener: R::TcpListener,
) {
    let accept = || async {
        let accepted = server.runtime.accept(&listener).await;
        let (stream, peer) = accepted.map_err(|error| server.accept_failed("http", &error)).ok()?;
        Some(Newcomer { stream, is_local: peer.ip().to_canonical().is_loopback() })
    };
    answer_few(server, HTTP_CONNECTIONS_MAX, accept, |stream, ticket| {
        answer(server, address, stream, ticket)
    })
    .await;
}

async fn answer<R: NodeRuntime>(
    server: &'static Server<R>,
    listener: SocketAddr,
    mut stream: R::TcpStream,
    ticket: Ticket,
) -> io::Result<()> {
    let guard = Guard::new(listener, server.plan.borrow().keys.clone());
    let asked = ticket.read(server, read_request(&mut stream, &guard));
    let (asked, place) = server.in_time(HTTP_MS_MAX, asked).await?;
    let asked = if place.is_some() { asked } else { Asked::Wrong(503) };
    server.http.count(&asked);
    let answer = match asked {
        Asked::Page(Page::Metrics(format), is_head) => {
            let text = metrics::text(&server.driver.status_now(server.stats()), format);
            page(format.content_type(), &text, is_head)
        }
        Asked::Page(Page::Health, is_head) => health(is_head),
        Asked::Page(Page::Clients, true) => stream_head(JSON),
        Asked::Page(Page::Clients, false) => return clients(server, &mut stream).await,
        Asked::Page(Page::Events, true) => stream_head(EVENTS),
        Asked::Page(Page::Events, false) => match server.events.join(Subscriber::Http) {
            Some(reader) => {
                let _ = set_socket_send_buffer_size(&stream, SUBSCRIBER_SEND_BUFFER_BYTES);
                server.in_time(HTTP_MS_MAX, stream.write_all(stream_head(EVENTS).as_bytes())).await?;
                return watch(server, reader, &mut stream).await;
            }
            None => refusal(503),
        },
        #[cfg(feature = "page")]
        Asked::Page(Page::Root(coding), is_head) => {
            let (head, body) = super::root(coding);
            server.in_time(HTTP_MS_MAX, stream.write_all(head.as_bytes())).await?;
            return match is_head {
                true => Ok(()),
                false => server.in_time(HTTP_MS_MAX, stream.write_all(&body)).await,
            };
        }
        #[cfg(not(feature = "page"))]
        Asked::Page(Page::Root(_), _) => refusal(404),
        Asked::Wrong(status) => refusal(status),
        Asked::More => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    server.in_time(HTTP_MS_MAX, stream.write_all(answer.as_bytes())).await
}

/// The answer to `/clients`.
async fn clients<R: NodeRuntime>(server: &'static Server<R>, stream: &mut R::TcpStream) -> io::Result<()> {
    match write_clients(server, stream, &stream_head(JSON)).await {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            server.in_time(HTTP_MS_MAX, stream.write_all(refusal(429).as_bytes())).await
        }
        written => written,
    }
}

/// Writes the head and all clients, a piece at a time: one list at a time, and so many a second, as each is a walk through the
/// table. `ResourceBusy` if its turn has not come in time; nothing is written then.
pub(crate) async fn write_clients<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: &mut (impl AsyncWrite + Unpin),
    head: &str,
) -> io::Result<()> {
    let turn = server.in_time(HTTP_MS_MAX, async { Ok(list_turn(server).await) }).await;
    let Ok(_turn) = turn else { return Err(io::ErrorKind::ResourceBusy.into()) };
    let until = Instant::now() + Duration::from_millis(LIST_MS_MAX);
    server.in_time(HTTP_MS_MAX, stream.write_all(head.as_bytes())).await?;
    let mut next = Some(usize::MAX);
    while let Some(end) = next {
        let (piece, rest) = clients_piece(&server.driver, end);
        server.in_time(HTTP_MS_MAX, stream.write_all(piece.as_bytes())).await?;
        next = rest.filter(|_| Instant::now() < until);
    }
    Ok(())
}

/// Waits for the turn to list all clients.
async fn list_turn<R: NodeRuntime>(server: &'static Server<R>) -> ListTurn<'static> {
    loop {
        match server.lists.take(Instant::now()) {
            Some(turn) => return turn,
            None => server.sleep_ms(LIST_LOOK_MS).await,
        }
    }
}

/// Reads until the head is there. Its buffer is the connection's own: there are few of them.
async fn read_request(stream: &mut (impl AsyncRead + Unpin), guard: &Guard) -> io::Result<Asked> {
    let mut bytes = Vec::new();
    let mut piece = [0; 512];
    loop {
        let read = stream.read(&mut piece).await?;
        bytes.extend_from_slice(&piece[..read.min(HTTP_HEAD_BYTES_MAX - bytes.len())]);
        match asked(&bytes, guard) {
            Asked::More if read > 0 => {}
            asked => return Ok(asked),
        }
    }
}
