//! One client connection: read when ready, answer in one write, wait only for the client's own sake.
//!
//! It holds the socket and what [`Client`] keeps; buffers are shared and taken when the socket is ready. A client that does
//! not read is not read from. A client that waits for places waits alone.
//!
//! The module handles one socket. [`clients`](super::clients) decides about turns and closing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

use super::Epoll;
use super::reactor::Bell;
use super::readiness::Readiness;
use crate::places::Json;
use crate::proto::node::PlacesQuery;
use crate::proto::out::Out;
use crate::proto::time::Mono;
use crate::server::client::{Client, Rest, Unwritten, log_as, whatsat_answer};
use crate::server::limits::UNREAD_MS_MAX;
use crate::server::shared::Server;

/// A client connection.
pub(super) struct Slot {
    pub(super) stream: TcpStream,
    pub(super) came: u32,
    /// When the client last had an answer, or came.
    pub(super) active_at: Mono,
    /// What it waits for, if not for input.
    pub(super) waits: Option<Box<Waits>>,
    pub(super) client: Client,
    pub(super) readiness: Readiness,
    /// Whether the kernel tells of room to write.
    pub(super) is_room_watched: bool,
}

/// Rare waits. They are boxed, so they cost an ordinary connection only a pointer.
pub(super) enum Waits {
    /// Room for the rest of an answer, and then for the answer to a query behind it. The socket last took some at `since`.
    Room { rest: Rest, since: Mono, query: Option<Box<PlacesQuery>> },
    /// Places.
    Places(Box<PlacesQuery>),
    /// The end of what a refused client sends.
    End { until: Mono, bytes_left: usize },
}

/// Where other threads leave places for clients.
pub(super) struct Mailbox {
    pub(super) letters: Mutex<Vec<Letter>>,
    pub(super) bell: Arc<Bell>,
}

pub(super) struct Letter {
    pub(super) key: usize,
    pub(super) came: u32,
    pub(super) json: Json,
}

/// What is to be done about a client after its turn.
pub(super) enum After {
    /// It waits.
    Wait,
    /// There is more to do.
    Again,
    /// Its socket does not take this; a query may be behind it.
    Blocked(Unwritten, Option<Box<PlacesQuery>>),
    /// Nothing more is taken of what it sends.
    Linger,
    /// The connection ends.
    Close,
}

impl Mailbox {
    pub(super) fn post(self: &Arc<Self>, letter: Letter) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        self.bell.wake_by_ref();
    }
}

impl Slot {
    /// Since when the client has left an answer unread, if it has.
    pub(super) fn unread_since(&self) -> Option<Mono> {
        match self.waits.as_deref() {
            Some(Waits::Room { since, .. }) => Some(*since),
            _ => None,
        }
    }

    /// When the connection is closed, as things stand.
    pub(super) fn closes_at(&self) -> Option<Mono> {
        match self.waits.as_deref()? {
            Waits::Room { since, .. } => Some(since.after_ms(UNREAD_MS_MAX)),
            Waits::End { until, .. } => Some(*until),
            Waits::Places(_) => None,
        }
    }

    /// Does one thing: goes on with what it waits for, or else reads once, works off what it can, and writes the answers once.
    pub(super) fn turn(
        &mut self,
        server: &'static Server<Epoll>,
        mailbox: &Arc<Mailbox>,
        key: usize,
        brought: &mut usize,
    ) -> After {
        match self.waits.as_deref_mut() {
            None => self.read(server, mailbox, key, brought),
            Some(Waits::Places(_)) => After::Wait,
            Some(Waits::End { bytes_left, .. }) => {
                let (after, read) = discard(&self.stream, &mut self.readiness, *bytes_left);
                *bytes_left -= read;
                *brought = read;
                after
            }
            Some(Waits::Room { rest, since, query }) => {
                while !rest.next().is_empty() {
                    let len = rest.next().len();
                    let Some(written) = write_now(&self.stream, rest.next()) else {
                        return After::Close;
                    };
                    rest.took(written);
                    if written > 0 {
                        *since = server.driver.clock().steady();
                    }
                    if written < len {
                        self.readiness.can_write = false;
                        return After::Wait;
                    }
                }
                let query = query.take();
                self.waits = None;
                self.proceed(server, mailbox, key, query)
            }
        }
    }

    fn read(
        &mut self,
        server: &'static Server<Epoll>,
        mailbox: &Arc<Mailbox>,
        key: usize,
        brought: &mut usize,
    ) -> After {
        let mut buffers = server.driver.buffers();
        let buffers = &mut *buffers;
        let client = &mut self.client;
        let mut len = client.rest.len();
        buffers.input[..len].copy_from_slice(&client.rest);
        if !client.backlog && !client.ended {
            let room = buffers.input.len() - len;
            match self.stream.read(&mut buffers.input[len..]) {
                Ok(0) => client.ended = true,
                Ok(read) => {
                    len += read;
                    *brought = read;
                    if read < room {
                        self.readiness.was_drained();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readiness.can_read = false;
                    return After::Wait;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => return After::Again,
                Err(_) => return After::Close,
            }
        }
        let mut output = Out::new(&mut buffers.output[..]);
        log_as(&self.stream);
        let (done, query) = server.driver.client_input(client, &buffers.input[..len], &mut output);
        client.rest = if done == len { Box::default() } else { buffers.input[done..len].into() };
        if !output.is_empty() {
            self.active_at = server.driver.clock().last();
            server.links.borrow().wake(server.driver.take_wakes());
            server.warned();
        }
        match write_now(&self.stream, output.written()) {
            None => After::Close,
            Some(written) if written == output.len() => self.proceed(server, mailbox, key, query),
            Some(written) => After::Blocked(Unwritten::Lines(output.written()[written..].to_vec()), query),
        }
    }

    /// Everything that was to be written is.
    fn proceed(
        &mut self,
        server: &'static Server<Epoll>,
        mailbox: &Arc<Mailbox>,
        key: usize,
        query: Option<Box<PlacesQuery>>,
    ) -> After {
        if let Some(query) = query {
            let (mailbox, came) = (mailbox.clone(), self.came);
            server
                .driver
                .ask_places(&query, self.client.lane, move |json| mailbox.post(Letter { key, came, json }));
            self.waits = Some(Box::new(Waits::Places(query)));
            return After::Wait;
        }
        match () {
            () if self.client.is_refused => After::Linger,
            () if self.client.backlog || (self.readiness.can_read && !self.client.ended) => After::Again,
            () if self.client.ended => After::Close,
            () => After::Wait,
        }
    }

    /// Writes the whole answer to a WHATSAT.
    pub(super) fn answer_places(
        &mut self,
        server: &'static Server<Epoll>,
        mailbox: &Arc<Mailbox>,
        key: usize,
        json: Json,
    ) -> After {
        let Some(Waits::Places(query)) = self.waits.take().map(|waits| *waits) else {
            unreachable!("a client that waits for places waits for nothing else");
        };
        log_as(&self.stream);
        let answer = whatsat_answer(&query, &json);
        self.active_at = server.driver.clock().steady();
        match write_now(&self.stream, &answer) {
            None => After::Close,
            Some(written) if written == answer.len() => self.proceed(server, mailbox, key, None),
            Some(written) => After::Blocked(Unwritten::Places(query, json, written), None),
        }
    }
}

/// Reads up to so many bytes and throws them away; gives how many there were.
fn discard(mut stream: &TcpStream, readiness: &mut Readiness, bytes_max: usize) -> (After, usize) {
    let mut scrap = [0; 1024];
    let room = scrap.len().min(bytes_max);
    match stream.read(&mut scrap[..room]) {
        Ok(0) => (After::Close, 0),
        Ok(read) => (After::Again, read),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            readiness.can_read = false;
            (After::Wait, 0)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => (After::Again, 0),
        Err(_) => (After::Close, 0),
    }
}

/// Writes as much as the socket takes; `None` when it takes nothing any more.
fn write_now(mut stream: &TcpStream, bytes: &[u8]) -> Option<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return None,
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(written)
}
