//! The HTTP listener's tasks: one request a connection, a few at a time.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustix::net::sockopt::set_socket_send_buffer_size;

use super::watched::Watched;
use super::{Shell, Ticket, answer_few, live};
use crate::shell::http::{
    Asked, EVENTS, Guard, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_MS_MAX, JSON, Page, asked, health,
    page, refusal, stream_head,
};
use crate::shell::limits::WATCHER_SEND_BUFFER_BYTES;
use crate::shell::live::{Seat, clients_piece};
use crate::shell::metrics;

/// Answers for ever.
pub(super) async fn serve(shell: &'static Shell, listener: Watched<TcpListener>) {
    let Ok(address) = listener.get().local_addr() else { return };
    let accept = || async {
        let accepted = listener.accept().await.map_err(|error| shell.accept_failed("http", &error));
        shell.reactor.watch(accepted.ok()?.0).ok()
    };
    answer_few(shell, HTTP_CONNECTIONS_MAX, accept, |stream, ticket| answer(shell, address, stream, ticket))
        .await;
}

async fn answer(
    shell: &'static Shell,
    listener: SocketAddr,
    mut stream: Watched<TcpStream>,
    ticket: Ticket,
) -> io::Result<()> {
    let guard = Guard::new(listener, shell.plan.borrow().keys.clone());
    let asked = shell.in_time(HTTP_MS_MAX, ticket.read(read_request(&mut stream, &guard))).await?;
    shell.http.count(&asked);
    let answer = match asked {
        Asked::Page(Page::Metrics, is_head) => {
            page(metrics::CONTENT_TYPE, &metrics::text(&shell.driver.status_now(shell.facts())), is_head)
        }
        Asked::Page(Page::Health, is_head) => health(is_head),
        Asked::Page(Page::Clients, true) => stream_head(JSON),
        Asked::Page(Page::Clients, false) => return clients(shell, &mut stream).await,
        Asked::Page(Page::Events, true) => stream_head(EVENTS),
        Asked::Page(Page::Events, false) => match shell.live.join(Seat::Http) {
            Some(watcher) => {
                let _ = set_socket_send_buffer_size(stream.get(), WATCHER_SEND_BUFFER_BYTES);
                shell.in_time(HTTP_MS_MAX, stream.write_all(stream_head(EVENTS).as_bytes())).await?;
                return live::watch(shell, watcher, &mut stream).await;
            }
            None => refusal(503),
        },
        #[cfg(feature = "page")]
        Asked::Page(Page::Root, is_head) => {
            let (head, body) = crate::shell::http::root();
            shell.in_time(HTTP_MS_MAX, stream.write_all(head.as_bytes())).await?;
            return match is_head {
                true => Ok(()),
                false => shell.in_time(HTTP_MS_MAX, stream.write_all(body)).await,
            };
        }
        #[cfg(not(feature = "page"))]
        Asked::Page(Page::Root, _) => refusal(404),
        Asked::Wrong(status) => refusal(status),
        Asked::More => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    shell.in_time(HTTP_MS_MAX, stream.write_all(answer.as_bytes())).await
}

/// All clients, a piece at a time.
async fn clients(shell: &'static Shell, stream: &mut Watched<TcpStream>) -> io::Result<()> {
    shell.in_time(HTTP_MS_MAX, stream.write_all(stream_head(JSON).as_bytes())).await?;
    let mut next = Some(usize::MAX);
    while let Some(end) = next {
        let (piece, rest) = clients_piece(&shell.driver, end);
        shell.in_time(HTTP_MS_MAX, stream.write_all(piece.as_bytes())).await?;
        next = rest;
    }
    Ok(())
}

/// Reads until the head is there. Its buffer is the connection's own: there are few of them.
async fn read_request(stream: &mut Watched<TcpStream>, guard: &Guard) -> io::Result<Asked> {
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
