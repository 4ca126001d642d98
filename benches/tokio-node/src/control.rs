//! The control socket: whoever asks how the node is gets one answer.

use std::io;
use std::time::Duration;

use futures_lite::future::or;
use herd::shell::control::{CONTROL_MS_MAX, Control, REQUEST_BYTES_MAX, Request};
use herd::shell::limits::ACCEPT_PAUSE_MS;
use herd::shell::status::Facts;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::node::Shell;

/// Answers those on the board, until the node stops and what this gives is dropped.
pub(crate) fn serve(shell: &'static Shell, name: &str) -> Option<Control> {
    let (control, listener) = Control::listen(name)?;
    let listener = UnixListener::from_std(listener).ok()?;
    spawn_local(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let in_time = async {
                        sleep(Duration::from_millis(CONTROL_MS_MAX)).await;
                        Err(io::ErrorKind::TimedOut.into())
                    };
                    // Whoever asks for nothing gets nothing.
                    let _ = or(answer(shell, &stream), in_time).await;
                }
                Err(_) => sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await,
            }
        }
    });
    Some(control)
}

async fn answer(shell: &Shell, stream: &UnixStream) -> io::Result<()> {
    let mut bytes = [0; REQUEST_BYTES_MAX];
    let mut len = 0;
    while len < bytes.len() && !bytes[..len].contains(&b'\n') {
        stream.readable().await?;
        match stream.try_read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let Some(request) = Request::parse(&bytes[..len]) else { return Err(io::ErrorKind::InvalidData.into()) };
    let clients = shell.clients.borrow().facts();
    let facts = Facts { unread_refused: shell.unread.refused(), ..clients };
    let answer = shell.driver.answer(request, facts);
    let mut rest = answer.as_bytes();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
