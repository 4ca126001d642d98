//! Accepts connections that send one request each, and answers a bounded number of them at a time.
//!
//! A new connection evicts the oldest one that has sent no request within [`SILENT_MS_MIN`]. So silent connections cannot
//! block others. A complete request waits up to [`PLACE_MS_MAX`] for a place. One extra place is reserved for connections from
//! this board.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future;
use log::debug;

use super::counters::Refused;
use super::limits::{ACCEPT_PAUSE_MS, PLACE_LOOK_MS, PLACE_MS_MAX, SILENT_MS_MIN};
use super::notify::Notify;
use super::shared::{NodeRuntime, Server};

/// An accepted connection.
pub(crate) struct Newcomer<S> {
    pub(crate) stream: S,
    /// Whether its peer is on this board.
    pub(crate) is_local: bool,
}

/// Accepts connections and lets `answer` answer each: `most` at a time, and one more from this board. At most `silent_max` have not
/// sent their request. `accept` returns `None` if it fails.
pub(crate) async fn answer_few<
    R: NodeRuntime,
    S: 'static,
    A: Future<Output = Option<Newcomer<S>>>,
    D: Future<Output = io::Result<()>> + 'static,
>(
    server: &'static Server<R>,
    (most, silent_max): (usize, usize),
    accept: impl Fn() -> A,
    answer: impl Fn(S, Ticket) -> D,
) {
    let door = Rc::new(Door { silent: RefCell::default(), places: Cell::new(0), most, silent_max });
    loop {
        if let Some(since) = door.full_since() {
            server.runtime.sleep_until(since + Duration::from_millis(SILENT_MS_MIN)).await;
        }
        let Some(Newcomer { stream, is_local }) = accept().await else {
            server.sleep_ms(ACCEPT_PAUSE_MS).await;
            continue;
        };
        if door.full_since().is_some() {
            door.push_out();
        }
        let answered = answer(stream, door.ticket(is_local));
        server.start(async move {
            if let Err(error) = answered.await {
                server.driver.count(Refused::StatusRequest);
                debug!("a request for status or a page was not answered: {error}");
            }
        });
        // Each connection is read from before the next one may evict it.
        server.runtime.next_turn().await;
    }
}

struct Door {
    /// Connections without an answer, the oldest first: since when, and the notification that evicts each.
    silent: RefCell<VecDeque<(Instant, Rc<Notify>)>>,
    /// The number of connections that are being answered.
    places: Cell<usize>,
    most: usize,
    /// The number of connections that may be without an answer.
    silent_max: usize,
}

impl Door {
    /// When the oldest was accepted, if no further one fits.
    fn full_since(&self) -> Option<Instant> {
        let silent = self.silent.borrow();
        silent.front().filter(|_| silent.len() >= self.silent_max).map(|(since, _)| *since)
    }

    fn push_out(&self) {
        if let Some((_, oldest)) = self.silent.borrow_mut().pop_front() {
            oldest.wake();
        }
    }

    fn ticket(self: &Rc<Self>, is_local: bool) -> Ticket {
        let makes_way = Rc::new(Notify::default());
        self.silent.borrow_mut().push_back((Instant::now(), makes_way.clone()));
        Ticket { door: self.clone(), makes_way, is_local }
    }

    fn place(self: &Rc<Self>, is_local: bool) -> Option<Place> {
        if self.places.get() >= self.most + usize::from(is_local) {
            return None;
        }
        self.places.set(self.places.get() + 1);
        Some(Place(self.clone()))
    }
}

/// A place for an answer, until this is dropped.
pub(crate) struct Place(Rc<Door>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.set(self.0.places.get() - 1);
    }
}

/// A connection without an answer yet.
pub(crate) struct Ticket {
    door: Rc<Door>,
    makes_way: Rc<Notify>,
    is_local: bool,
}

impl Ticket {
    /// Reads a request and waits for a place, unless the connection is evicted. Without a place after [`PLACE_MS_MAX`],
    /// the caller must refuse the request.
    pub(crate) async fn read<R: NodeRuntime, T>(
        self,
        server: &'static Server<R>,
        read: impl Future<Output = io::Result<T>>,
    ) -> io::Result<(T, Option<Place>)> {
        let admitted = async {
            let request = read.await?;
            let until = Instant::now() + Duration::from_millis(PLACE_MS_MAX);
            loop {
                let place = self.door.place(self.is_local);
                if place.is_some() || Instant::now() >= until {
                    return Ok((request, place));
                }
                server.sleep_ms(PLACE_LOOK_MS).await;
            }
        };
        let pushed_out = async {
            self.makes_way.wait().await;
            Err(io::ErrorKind::ConnectionAborted.into())
        };
        future::or(admitted, pushed_out).await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.door.silent.borrow_mut().retain(|(_, other)| !Rc::ptr_eq(other, &self.makes_way));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::limits::SILENT_MAX;

    fn door(most: usize) -> Rc<Door> {
        Rc::new(Door { silent: RefCell::default(), places: Cell::new(0), most, silent_max: SILENT_MAX })
    }

    #[test]
    fn one_place_more_is_for_this_board() {
        let door = door(2);
        let first = door.place(false).expect("there is room");
        let _second = door.place(false).expect("there is room");
        assert!(door.place(false).is_none());
        let own = door.place(true).expect("the place of this board");
        assert!(door.place(true).is_none(), "there is one such place");
        drop(first);
        assert!(door.place(false).is_none(), "two are answered");
        drop(own);
        assert!(door.place(false).is_some());
    }

    #[test]
    fn the_oldest_makes_way() {
        let door = door(1);
        let mut tickets: Vec<Ticket> = (1..SILENT_MAX).map(|_| door.ticket(false)).collect();
        assert!(door.full_since().is_none());
        tickets.push(door.ticket(false));
        assert!(door.full_since().is_some());
        door.push_out();
        let is_evicted =
            |ticket: &Ticket| future::block_on(future::poll_once(ticket.makes_way.wait())).is_some();
        assert!(is_evicted(&tickets[0]) && !is_evicted(&tickets[1]));
        assert!(door.full_since().is_none());
        tickets.clear();
        assert!(door.silent.borrow().is_empty());
    }
}
