//! A door for a few: connections that send one request each, a bounded number at a time.
//!
//! A connection that has not sent its request makes way for a newcomer, the oldest first, after it has had
//! [`SILENT_MS_MIN`] to send it. So silent connections cannot keep the door shut.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future;
use log::debug;

use super::limits::{ACCEPT_PAUSE_MS, SILENT_MS_MIN};
use super::refused::Refused;
use super::server::{NodeRuntime, Server};
use super::wake::Wake;

/// What comes through a door.
pub(crate) struct Newcomer<S> {
    pub(crate) stream: S,
    /// Whether it comes from this board, for which one place is reserved.
    pub(crate) is_local: bool,
}

/// Answers connections, `most` at a time and one of this board beside them. When full, the connection that has longest not asked
/// for anything makes way; where all have asked, a newcomer is refused. `accept` gives nothing when it failed.
pub(crate) async fn answer_few<
    R: NodeRuntime,
    S: 'static,
    A: Future<Output = Option<Newcomer<S>>>,
    D: Future<Output = io::Result<()>> + 'static,
    F: Future<Output = ()>,
>(
    server: &'static Server<R>,
    most: usize,
    accept: impl Fn() -> A,
    answer: impl Fn(S, Ticket) -> D,
    refuse: impl Fn(S) -> F,
) {
    let silent = Rc::new(Silent::default());
    // Each task that answers holds one.
    let places = Rc::new(());
    let taken = || Rc::strong_count(&places) - 1;
    loop {
        if taken() >= most {
            match silent.oldest() {
                Some(since) => server.runtime.sleep_until(since + Duration::from_millis(SILENT_MS_MIN)).await,
                None if taken() > most => {
                    server.sleep_ms(ACCEPT_PAUSE_MS).await;
                    continue;
                }
                None => {}
            }
        }
        let Some(Newcomer { stream, is_local }) = accept().await else {
            server.sleep_ms(ACCEPT_PAUSE_MS).await;
            continue;
        };
        let has_place = taken() < most || silent.push_out() || (is_local && taken() == most);
        if has_place {
            let (place, answered) = (places.clone(), answer(stream, Ticket::new(&silent)));
            server.start(async move {
                if let Err(error) = answered.await {
                    server.driver.count(Refused::Ask);
                    debug!("somebody who asked how the node is was not answered: {error}");
                }
                drop(place);
            });
        } else {
            refuse(stream).await;
        }
        // A connection that came before is read from before the next one may push it out.
        server.runtime.next_turn().await;
    }
}

/// Connections that have not sent a whole request, the oldest first: since when, and what tells each to make way.
#[derive(Default)]
struct Silent(RefCell<VecDeque<(Instant, Rc<Wake>)>>);

impl Silent {
    fn oldest(&self) -> Option<Instant> {
        self.0.borrow().front().map(|(since, _)| *since)
    }

    fn push_out(&self) -> bool {
        let oldest = self.0.borrow_mut().pop_front();
        oldest.is_some_and(|(_, oldest)| {
            oldest.wake();
            true
        })
    }
}

/// A connection's place among those that have not asked yet.
pub(crate) struct Ticket {
    silent: Rc<Silent>,
    makes_way: Rc<Wake>,
}

impl Ticket {
    fn new(silent: &Rc<Silent>) -> Self {
        let makes_way = Rc::new(Wake::default());
        silent.0.borrow_mut().push_back((Instant::now(), makes_way.clone()));
        Ticket { silent: silent.clone(), makes_way }
    }

    /// Reads a request, unless this connection has to make way first.
    pub(crate) async fn read<T>(self, read: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let pushed_out = async {
            self.makes_way.wait().await;
            Err(io::ErrorKind::ConnectionAborted.into())
        };
        future::or(read, pushed_out).await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.silent.0.borrow_mut().retain(|(_, other)| !Rc::ptr_eq(other, &self.makes_way));
    }
}
