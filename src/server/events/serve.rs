//! The tasks of subscribers: one each, and one that collects changes for all while there are any.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::Poll;

use futures_lite::{AsyncWrite, AsyncWriteExt, future};

use super::{Next, RingReader, hello};
use crate::server::control::Request;
use crate::server::herd_status::herd_answer;
use crate::server::limits::{
    EVENTS_EVERY_MS, HERD_EVENT_LOOKS, HERD_EVENT_MS_MAX, STATUS_EVENT_LOOKS, SUBSCRIBER_MS_MAX,
};
use crate::server::shared::{NodeRuntime, Server};

/// Sends all entries, then changes, until the subscriber disconnects, stops reading, or falls behind.
pub(crate) async fn watch<R: NodeRuntime>(
    server: &'static Server<R>,
    mut reader: RingReader<'static>,
    stream: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    keep_looking(server);
    let first = hello(&server.plan.borrow(), &server.events, &server.driver);
    server.in_time(SUBSCRIBER_MS_MAX, stream.write_all(first.as_bytes())).await?;
    drop(first);
    loop {
        send_changes(server, &mut reader, stream).await?;
        match reader.piece(&server.driver) {
            Some(piece) => server.in_time(SUBSCRIBER_MS_MAX, stream.write_all(&piece)).await?,
            None => more(&reader).await,
        }
    }
}

/// Sends what the ring has.
async fn send_changes<R: NodeRuntime>(
    server: &'static Server<R>,
    reader: &mut RingReader<'_>,
    stream: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    loop {
        let sending =
            poll_fn(|context| match reader.next(|bytes| Pin::new(&mut *stream).poll_write(context, bytes)) {
                Next::Sent(poll) => poll.map_ok(Some),
                Next::Nothing => Poll::Ready(Ok(None)),
                Next::Lost => Poll::Ready(Err(io::Error::other("the subscriber fell too far behind"))),
            });
        match server.in_time(SUBSCRIBER_MS_MAX, sending).await? {
            None => return Ok(()),
            Some(0) => return Err(ErrorKind::WriteZero.into()),
            Some(sent) => reader.sent(sent),
        }
    }
}

/// Waits until the ring has more.
async fn more(reader: &RingReader<'_>) {
    poll_fn(|context| match reader.next(|_| ()) {
        Next::Nothing => {
            reader.wait(context.waker());
            Poll::Pending
        }
        Next::Sent(()) | Next::Lost => Poll::Ready(()),
    })
    .await;
}

/// Starts the task that collects changes, unless it runs.
fn keep_looking<R: NodeRuntime>(server: &'static Server<R>) {
    if server.is_looking.replace(true) {
        return;
    }
    server.driver.watch(true);
    let looking = async move {
        future::or(look(server), ask(server)).await;
        server.driver.watch(false);
        server.events.forget();
        server.is_looking.set(false);
    };
    server.start(looking);
}

/// Collects changes until the last subscriber disconnects.
async fn look<R: NodeRuntime>(server: &'static Server<R>) {
    let mut looks = 0;
    while server.events.subscribers() > 0 {
        server.sleep_ms(EVENTS_EVERY_MS).await;
        server.events.look(&server.driver);
        looks += 1;
        if server.events.take_status_due() || looks % STATUS_EVENT_LOOKS == 0 {
            server.events.tell("status", &status(server));
        }
    }
}

/// Runs an inquiry about the herd at intervals.
async fn ask<R: NodeRuntime>(server: &'static Server<R>) {
    loop {
        if let Ok(answer) = herd_answer(server, Request::HerdJson, HERD_EVENT_MS_MAX).await {
            server.events.tell("herd", &answer);
        }
        server.sleep_ms(HERD_EVENT_LOOKS * EVENTS_EVERY_MS).await;
    }
}

fn status<R: NodeRuntime>(server: &Server<R>) -> String {
    server.driver.answer(Request::Json, server.stats())
}
