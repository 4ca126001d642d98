//! The control socket's task: whoever asks how the node is gets one answer.

use std::io;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use log::debug;

use super::Shell;
use crate::shell::control::{CONTROL_MS_MAX, REQUEST_BYTES_MAX, Request};
use crate::shell::limits::ACCEPT_PAUSE_MS;
use crate::shell::status::Facts;

/// Answers one after another, for ever.
pub(super) async fn serve(shell: &'static Shell, listener: Async<UnixListener>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            Timer::after(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            continue;
        };
        let in_time = async {
            Timer::after(Duration::from_millis(CONTROL_MS_MAX)).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        if let Err(error) = or(answer(shell, stream), in_time).await {
            debug!("somebody at the control socket was not answered: {error}");
        }
    }
}

async fn answer(shell: &Shell, mut stream: Async<std::os::unix::net::UnixStream>) -> io::Result<()> {
    let mut bytes = [0; REQUEST_BYTES_MAX];
    let mut len = 0;
    while len < bytes.len() && !bytes[..len].contains(&b'\n') {
        match stream.read(&mut bytes[len..]).await? {
            0 => break,
            read => len += read,
        }
    }
    let Some(request) = Request::parse(&bytes[..len]) else { return Err(io::ErrorKind::InvalidData.into()) };
    let clients = shell.clients.borrow().facts();
    let facts = Facts { unread_refused: shell.unread.refused(), ..clients };
    let answer = shell.driver.answer(request, facts);
    stream.write_all(answer.as_bytes()).await
}
