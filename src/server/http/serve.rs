//! The HTTP listener's tasks: one request a connection, a few at a time.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use rustix::net::sockopt::set_socket_send_buffer_size;

use super::send_list::write_clients;
use super::{
    Asked, EVENTS, GEOJSON, Guard, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_MS_MAX, JSON, ListForm,
    Page, asked, health, page, refusal, stream_head,
};
use crate::server::acceptor::{Newcomer, Ticket, answer_few};
use crate::server::events::{Subscriber, watch};
use crate::server::limits::{SILENT_MAX, SUBSCRIBER_SEND_BUFFER_BYTES};
use crate::server::metrics;
use crate::server::shared::{NodeRuntime, Server};
use crate::server::tls;

#[cfg(feature = "page")]
use {
    super::towns::towns,
    crate::proto::fields::{ClientId, ItemLimit, Radius},
    crate::server::answer::answer_of,
    std::net::IpAddr,
};

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
    answer_few(server, (HTTP_CONNECTIONS_MAX, SILENT_MAX), accept, |stream, ticket| {
        answer(server, address, stream, ticket)
    })
    .await;
}

async fn answer<R: NodeRuntime>(
    server: &'static Server<R>,
    listener: SocketAddr,
    stream: R::TcpStream,
    ticket: Ticket,
) -> io::Result<()> {
    let guard = Guard::new(listener, server.plan.borrow().keys.clone());
    // Boxed: the futures around it would hold its room several times.
    let read = Box::pin(async {
        let mut stream = tls::accept(server, stream).await?;
        let asked = read_request(&mut stream, &guard).await?;
        Ok((stream, asked))
    });
    let ((mut stream, asked), place) = server.in_time(HTTP_MS_MAX, ticket.read(server, read)).await?;
    let asked = if place.is_some() { asked } else { Asked::Wrong(503) };
    let is_refused = place.is_some() && matches!(asked, Asked::Wrong(_));
    answer_to(server, listener, &mut stream, asked).await?;
    // TLS ends with a word of its own, behind what the client has not read.
    server.in_time(HTTP_MS_MAX, stream.close()).await?;
    match is_refused {
        true => server.drain(&mut stream).await,
        false => Ok(()),
    }
}

#[cfg_attr(not(feature = "page"), expect(unused_variables, reason = "only the page asks for places"))]
async fn answer_to<R: NodeRuntime>(
    server: &'static Server<R>,
    listener: SocketAddr,
    stream: &mut (impl AsyncRead + AsyncWrite + AsFd + Unpin),
    asked: Asked,
) -> io::Result<()> {
    server.http.count(&asked);
    let answer = match asked {
        Asked::Page(Page::Metrics(format), is_head) => {
            let text = metrics::text(&server.driver.status_now(server.stats()), format);
            page(format.content_type(), &text, is_head)
        }
        Asked::Page(Page::Health, is_head) => health(is_head),
        Asked::Page(Page::Clients(form), true) => stream_head(list_type(form)),
        Asked::Page(Page::Clients(form), false) => return clients(server, stream, form).await,
        #[cfg(feature = "page")]
        Asked::Page(Page::Near(client, radius, items), is_head) => {
            near(server, listener.ip(), (&client, radius, items), is_head).await?
        }
        #[cfg(feature = "page")]
        Asked::Page(Page::Towns(area), is_head) => towns(server, area, is_head).await,
        Asked::Page(Page::Events, true) => stream_head(EVENTS),
        Asked::Page(Page::Events, false) => match server.events.join(Subscriber::Http) {
            Some(reader) => {
                let _ = set_socket_send_buffer_size(&*stream, SUBSCRIBER_SEND_BUFFER_BYTES);
                server.in_time(HTTP_MS_MAX, stream.write_all(stream_head(EVENTS).as_bytes())).await?;
                return watch(server, reader, stream).await;
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
        Asked::Page(Page::Root(_) | Page::Near(..) | Page::Towns(_), _) => refusal(404),
        Asked::Wrong(status) => refusal(status),
        Asked::More => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    server.in_time(HTTP_MS_MAX, stream.write_all(answer.as_bytes())).await
}

/// The content type of a list.
fn list_type(form: ListForm) -> &'static str {
    if form == ListForm::Json { JSON } else { GEOJSON }
}

/// The answer to `/near/ID`: what WHATSAT answers behind its first line.
#[cfg(feature = "page")]
async fn near<R: NodeRuntime>(
    server: &'static Server<R>,
    listener: IpAddr,
    (client, radius, items): (&ClientId, Radius, ItemLimit),
    is_head: bool,
) -> io::Result<String> {
    let now = server.driver.clock().now();
    let query = server.driver.with_node(|node| node.places_query(&now, client, radius, items));
    let Some(query) = query else { return Ok(refusal(404)) };
    // All viewers share a lane, beside the lanes of clients.
    let lane = server.driver.lane(listener);
    let answer = answer_of(|done| server.driver.ask_places(&query, lane, done));
    let json = answer.await.ok_or(io::ErrorKind::Interrupted)?;
    Ok(page(JSON, str::from_utf8(&json).map_err(io::Error::other)?, is_head))
}

/// The answer with a list.
async fn clients<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: &mut (impl AsyncWrite + Unpin),
    form: ListForm,
) -> io::Result<()> {
    match write_clients(server, stream, &stream_head(list_type(form)), form).await {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            server.in_time(HTTP_MS_MAX, stream.write_all(refusal(429).as_bytes())).await
        }
        written => written,
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
