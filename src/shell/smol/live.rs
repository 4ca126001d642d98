//! Those who watch the node: a task each, and one that looks for all of them while there are any.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::Poll;

use futures_lite::{AsyncWrite, AsyncWriteExt, future};

use super::{Shell, control};
use crate::shell::control::Request;
use crate::shell::limits::{
    LIVE_EVERY_MS, LIVE_HERD_LOOKS, LIVE_HERD_MS_MAX, LIVE_STATUS_LOOKS, WATCHER_MS_MAX,
};
use crate::shell::live::{Next, Watcher, hello};

/// Sends all that there is and then all that changes, until whoever watches goes, stops reading, or falls behind.
pub(super) async fn watch(
    shell: &'static Shell,
    mut watcher: Watcher<'static>,
    stream: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    keep_looking(shell);
    let first = hello(&shell.plan.borrow(), &shell.live, &shell.driver);
    shell.in_time(WATCHER_MS_MAX, stream.write_all(first.as_bytes())).await?;
    drop(first);
    loop {
        send_changes(shell, &mut watcher, stream).await?;
        match watcher.piece(&shell.driver) {
            Some(piece) => shell.in_time(WATCHER_MS_MAX, stream.write_all(&piece)).await?,
            None => more(&watcher).await,
        }
    }
}

/// Sends what the ring has.
async fn send_changes(
    shell: &'static Shell,
    watcher: &mut Watcher<'_>,
    stream: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    loop {
        let sending = poll_fn(|context| {
            match watcher.next(|bytes| Pin::new(&mut *stream).poll_write(context, bytes)) {
                Next::Sent(poll) => poll.map_ok(Some),
                Next::Nothing => Poll::Ready(Ok(None)),
                Next::Lost => Poll::Ready(Err(io::Error::other("it fell too far behind"))),
            }
        });
        match shell.in_time(WATCHER_MS_MAX, sending).await? {
            None => return Ok(()),
            Some(0) => return Err(ErrorKind::WriteZero.into()),
            Some(sent) => watcher.sent(sent),
        }
    }
}

/// Waits until the ring has more.
async fn more(watcher: &Watcher<'_>) {
    poll_fn(|context| match watcher.next(|_| ()) {
        Next::Nothing => {
            watcher.wait(context.waker());
            Poll::Pending
        }
        Next::Sent(()) | Next::Lost => Poll::Ready(()),
    })
    .await;
}

/// Looks for those who watch, if nobody does yet.
fn keep_looking(shell: &'static Shell) {
    if shell.is_looking.replace(true) {
        return;
    }
    shell.driver.watch(true);
    let looking = async move {
        future::or(look(shell), ask(shell)).await;
        shell.driver.watch(false);
        shell.live.forget();
        shell.is_looking.set(false);
    };
    shell.spawn(looking).detach();
}

/// Looks until nobody watches any more.
async fn look(shell: &'static Shell) {
    let mut looks = 0;
    while shell.live.watchers() > 0 {
        shell.reactor.sleep_ms(LIVE_EVERY_MS).await;
        shell.live.look(&shell.driver);
        looks += 1;
        if shell.live.take_somebody_new() || looks % LIVE_STATUS_LOOKS == 0 {
            shell.live.tell("status", &status(shell));
        }
    }
}

/// Asks the herd again and again.
async fn ask(shell: &'static Shell) {
    loop {
        if let Ok(answer) = control::herd_answer(shell, Request::HerdJson, LIVE_HERD_MS_MAX).await {
            shell.live.tell("herd", &answer);
        }
        shell.reactor.sleep_ms(LIVE_HERD_LOOKS * LIVE_EVERY_MS).await;
    }
}

fn status(shell: &Shell) -> String {
    shell.driver.answer(Request::Json, shell.facts())
}
