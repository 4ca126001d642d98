//! The control socket: whoever asks how the node or the herd is gets one answer.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use herd::shell::control::{CONTROL_MS_MAX, CONTROLS_MAX, Control, REQUEST_BYTES_MAX, Request};
use herd::shell::inquiry::{INQUIRY_MS_MAX, Inquiry, LOOK_EVERY_MS, ROUND_EVERY_MS};
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
        // Each task that answers holds one.
        let places = Rc::new(());
        loop {
            let accepted =
                if Rc::strong_count(&places) > CONTROLS_MAX { None } else { listener.accept().await.ok() };
            let Some((stream, _)) = accepted else {
                sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            };
            let place = places.clone();
            spawn_local(async move {
                // Whoever asks for nothing gets nothing.
                let _ = answer(shell, &stream).await;
                drop(place);
            });
        }
    });
    Some(control)
}

async fn answer(shell: &'static Shell, stream: &UnixStream) -> io::Result<()> {
    let request = in_time(CONTROL_MS_MAX, read_request(stream)).await?;
    if request == Request::Watch {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let answer = if request.is_of_herd() {
        herd_answer(shell, request).await?
    } else {
        let clients = shell.clients.borrow().facts();
        shell.driver.answer(request, Facts { unread_refused: shell.unread.refused(), ..clients })
    };
    in_time(CONTROL_MS_MAX, write_all(stream, answer.as_bytes())).await
}

async fn in_time<T>(ms: u64, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        sleep(Duration::from_millis(ms)).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    or(done, late).await
}

async fn read_request(stream: &UnixStream) -> io::Result<Request> {
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
    Request::parse(&bytes[..len]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

async fn write_all(stream: &UnixStream, mut rest: &[u8]) -> io::Result<()> {
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

/// Asks the herd, round after round, until it is in step or the time is over.
async fn herd_answer(shell: &'static Shell, request: Request) -> io::Result<String> {
    let until = Instant::now() + Duration::from_millis(INQUIRY_MS_MAX);
    let mut inquiry = shell.driver.inquiry().map_err(io::Error::other)?;
    loop {
        ask(shell, &mut inquiry, until).await?;
        if shell.driver.is_in_step(&inquiry) || Instant::now() >= until {
            return Ok(shell.driver.herd_answer(request, &inquiry));
        }
        sleep(Duration::from_millis(ROUND_EVERY_MS)).await;
    }
}

async fn ask(shell: &'static Shell, inquiry: &mut Inquiry, until: Instant) -> io::Result<()> {
    let number = shell.driver.ask_herd(inquiry).map_err(io::Error::other)?;
    shell.work();
    while Instant::now() < until {
        if let Some(sum) = shell.driver.take_sum(number) {
            inquiry.take(sum);
            break;
        }
        sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
    }
    Ok(())
}
