//! The HTTP listener's tasks: one answer a connection, a few at a time.

use std::io;

use async_net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::{Shell, answer_few, in_time};
use crate::shell::http::{
    Asked, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_MS_MAX, Page, asked, health, page, refusal,
};
use crate::shell::metrics;

/// Answers for ever.
pub(super) async fn serve(shell: &'static Shell, listener: TcpListener) {
    let accept = || async {
        let accepted = listener.accept().await.map_err(|error| shell.driver.accept_failed("http", &error));
        accepted.ok().map(|(stream, _)| stream)
    };
    answer_few(shell, HTTP_CONNECTIONS_MAX, accept, |stream| answer(shell, stream)).await;
}

async fn answer(shell: &'static Shell, mut stream: TcpStream) -> io::Result<()> {
    let answer = match in_time(HTTP_MS_MAX, read_request(&mut stream)).await? {
        Asked::Page(Page::Metrics, is_head) => {
            page(metrics::CONTENT_TYPE, &metrics::text(&shell.driver.status_now(shell.facts())), is_head)
        }
        Asked::Page(Page::Health, is_head) => health(is_head),
        Asked::Wrong(status) => refusal(status),
        Asked::More => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    in_time(HTTP_MS_MAX, stream.write_all(answer.as_bytes())).await
}

/// Reads until the head is there. Its buffer is the connection's own: there are few of them.
async fn read_request(stream: &mut TcpStream) -> io::Result<Asked> {
    let mut bytes = Vec::new();
    let mut piece = [0; 512];
    loop {
        let read = stream.read(&mut piece).await?;
        bytes.extend_from_slice(&piece[..read.min(HTTP_HEAD_BYTES_MAX - bytes.len())]);
        match asked(&bytes) {
            Asked::More if read > 0 => {}
            asked => return Ok(asked),
        }
    }
}
