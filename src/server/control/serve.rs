//! The control socket's tasks: each caller gets one answer.

use std::io;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{BUSY, CONTROL_MS_MAX, CONTROLS_MAX, REQUEST_BYTES_MAX, Request, is_allowed};
use crate::server::acceptor::{Newcomer, Ticket, answer_few};
use crate::server::events::{Subscriber, watch};
use crate::server::herd_status::{INQUIRY_MS_MAX, herd_answer};
use crate::server::http::{ListForm, write_clients};
use crate::server::limits::SILENT_MAX;
use crate::server::shared::{NodeRuntime, Server};

/// Answers for ever, a few at a time.
pub(crate) async fn serve<R: NodeRuntime>(server: &'static Server<R>, listener: R::UnixListener) {
    let accept = || async {
        let stream = server.runtime.accept_unix(&listener).await.ok()?;
        Some(Newcomer { stream, is_local: true })
    };
    // `answer_few` adds the place for this board, and all callers are on this board.
    answer_few(server, (CONTROLS_MAX - 1, SILENT_MAX), accept, |stream, ticket| {
        answer(server, stream, ticket)
    })
    .await;
}

async fn answer<R: NodeRuntime>(
    server: &'static Server<R>,
    mut stream: R::UnixStream,
    ticket: Ticket,
) -> io::Result<()> {
    // The socket's rights say the same, where the file system keeps them.
    if !is_allowed(&stream) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let asked = ticket.read(server, read_request(&mut stream));
    let (request, place) = server.in_time(CONTROL_MS_MAX, asked).await?;
    let _place = place.ok_or(io::ErrorKind::QuotaExceeded)?;
    let answer = match request {
        Request::HerdText | Request::HerdJson | Request::Nodes => {
            herd_answer(server, request, INQUIRY_MS_MAX).await?
        }
        Request::Text | Request::Verbose | Request::Json => server.driver.answer(request, server.stats()),
        Request::Clients => match write_clients(server, &mut stream, "", ListForm::Json).await {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => BUSY.to_owned(),
            written => return written,
        },
        Request::Watch => {
            let reader = server.events.join(Subscriber::Local).ok_or(io::ErrorKind::QuotaExceeded)?;
            return watch(server, reader, &mut stream).await;
        }
    };
    server.in_time(CONTROL_MS_MAX, stream.write_all(answer.as_bytes())).await
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Request> {
    let mut bytes = [0; REQUEST_BYTES_MAX];
    let mut len = 0;
    while len < bytes.len() && !bytes[..len].contains(&b'\n') {
        match stream.read(&mut bytes[len..]).await? {
            0 => break,
            read => len += read,
        }
    }
    Request::parse(&bytes[..len]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
