//! The control socket's tasks: whoever asks how the node or the herd is gets one answer.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::watched::Watched;
use super::{Shell, Ticket, answer_few, live};
use crate::shell::control::{CONTROL_MS_MAX, CONTROLS_MAX, REQUEST_BYTES_MAX, Request};
use crate::shell::inquiry::{INQUIRY_MS_MAX, Inquiry, LOOK_EVERY_MS, ROUND_EVERY_MS};
use crate::shell::live::Seat;

/// Answers for ever, a few at a time.
pub(super) async fn serve(shell: &'static Shell, listener: Watched<UnixListener>) {
    let accept = || async { shell.reactor.watch(listener.accept().await.ok()?).ok() };
    answer_few(shell, CONTROLS_MAX, accept, |stream, ticket| answer(shell, stream, ticket)).await;
}

async fn answer(shell: &'static Shell, mut stream: Watched<UnixStream>, ticket: Ticket) -> io::Result<()> {
    let request = shell.in_time(CONTROL_MS_MAX, ticket.read(read_request(&mut stream))).await?;
    let answer = match request {
        Request::HerdText | Request::HerdJson => herd_answer(shell, request, INQUIRY_MS_MAX).await?,
        Request::Text | Request::Json => shell.driver.answer(request, shell.facts()),
        Request::Watch => {
            let watcher = shell.live.join(Seat::Local).ok_or(io::ErrorKind::QuotaExceeded)?;
            return live::watch(shell, watcher, &mut stream).await;
        }
    };
    shell.in_time(CONTROL_MS_MAX, stream.write_all(answer.as_bytes())).await
}

async fn read_request(stream: &mut Watched<UnixStream>) -> io::Result<Request> {
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

/// Asks the herd, round after round, until it is in step or the time is over.
pub(super) async fn herd_answer(shell: &'static Shell, request: Request, ms: u64) -> io::Result<String> {
    let until = Instant::now() + Duration::from_millis(ms);
    let mut inquiry = shell.driver.inquiry().map_err(io::Error::other)?;
    loop {
        ask(shell, &mut inquiry, until).await?;
        if shell.driver.is_in_step(&inquiry) || Instant::now() >= until {
            return Ok(shell.driver.herd_answer(request, &inquiry));
        }
        shell.reactor.sleep_ms(ROUND_EVERY_MS).await;
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
        shell.reactor.sleep_ms(LOOK_EVERY_MS).await;
    }
    Ok(())
}
