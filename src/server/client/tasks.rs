//! Client connections as tasks, one each: for runtimes without their own loop over many clients.
//!
//! The rules equal the rules of the node's own runtime. The node does not read from a client that does not read. A wait for
//! places blocks only its own client. A client that leaves answers unread is disconnected after [`UNREAD_MS_MAX`], or when
//! the memory for unread answers is full and this client has waited longest.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::future::yield_now;
use futures_lite::{AsyncRead, AsyncWrite};
use log::debug;
use slab::Slab;

use super::{Client, Unwritten, log_as, whatsat_answer};
use crate::proto::node::PlacesQuery;
use crate::proto::out::Out;
use crate::proto::time::Mono;
use crate::server::answer::answer_of;
use crate::server::limits::{TURN_READS, UNREAD_MS_MAX};
use crate::server::runtime::Runtime;
use crate::server::shared::{NodeRuntime, Server};
use crate::server::status::RuntimeStats;

/// The connections there are.
pub struct ClientTasks<R: Runtime> {
    slots: Slab<Slot<R>>,
    max: usize,
    pushed_out: u64,
    /// Disconnected because they did not read.
    unread: u64,
}

struct Slot<R: Runtime> {
    /// Dropping it closes the connection.
    _task: R::Task,
    /// When the client last had an answer, or came.
    active_at: Mono,
    /// Since when its socket has taken nothing of an answer.
    unread_since: Option<Mono>,
}

impl<R: Runtime> ClientTasks<R> {
    /// No connections, and at most so many.
    #[must_use]
    pub fn new(max: usize) -> Self {
        ClientTasks { slots: Slab::new(), max, pushed_out: 0, unread: 0 }
    }

    /// How many there are, and what became of others.
    #[must_use]
    pub fn stats(&self) -> RuntimeStats {
        RuntimeStats {
            clients: self.slots.len(),
            clients_max: self.max,
            clients_evicted: self.pushed_out,
            unread_refused: self.unread,
            ..RuntimeStats::default()
        }
    }

    /// Makes room for one more by closing a connection: that of the client that has left an answer unread for longest, or
    /// else that has longest had none.
    fn make_room(&mut self) {
        if self.slots.len() < self.max {
            return;
        }
        let idle = || self.slots.iter().min_by_key(|(_, slot)| slot.active_at).map(|(key, _)| key);
        if let Some(key) = self.longest_unread(None).or_else(idle) {
            self.close(key);
            self.pushed_out += 1;
            debug!("evicted the client that was idle longest, for a new one ({} so far)", self.pushed_out);
        }
    }

    /// The client, other than this one, whose socket has taken nothing for longest.
    fn longest_unread(&self, but: Option<usize>) -> Option<usize> {
        let blocked = self.slots.iter().filter(|(key, _)| Some(*key) != but);
        blocked.filter_map(|(key, slot)| Some((slot.unread_since?, key))).min().map(|(_, key)| key)
    }

    /// Closes a client for the sake of another one that does not read; `None` if that one has waited longest.
    fn close_longest_unread(&mut self, sake_of: usize) -> Option<()> {
        self.unread += 1;
        debug!(
            "disconnected a client that does not read: the memory for unread answers is full ({} so far)",
            self.unread
        );
        self.close(self.longest_unread(Some(sake_of))?);
        Some(())
    }

    fn close(&mut self, key: usize) {
        drop(self.slots.try_remove(key));
        if self.slots.is_empty() {
            // What a crowd took is given back.
            self.slots.shrink_to_fit();
        }
    }
}

/// Gives a client its task.
pub fn begin<R: NodeRuntime<Clients = ClientTasks<R>>>(
    server: &'static Server<R>,
    stream: R::TcpStream,
    peer: IpAddr,
) {
    // Answers leave in one write each, so nothing is gained by holding them back.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&stream, true);
    let mut clients = server.clients.borrow_mut();
    clients.make_room();
    let entry = clients.slots.vacant_entry();
    let client = Connection {
        server,
        stream,
        key: entry.key(),
        client: Client::of(server.driver.quota_key(peer), server.driver.lane(peer)),
    };
    let task = server.runtime.spawn(client.serve());
    entry.insert(Slot { _task: task, active_at: server.driver.clock().steady(), unread_since: None });
}

struct Connection<R: NodeRuntime> {
    server: &'static Server<R>,
    stream: R::TcpStream,
    key: usize,
    client: Client,
}

/// What a turn leaves to be done.
enum Next {
    /// Nothing but to wait for input. There may be more at once.
    Read { is_full: bool },
    /// There is more to work off.
    Again,
    /// Places are to be asked for.
    Places(Box<PlacesQuery>),
    /// The socket did not take this.
    Blocked { unwritten: Unwritten, query: Option<Box<PlacesQuery>> },
    /// Nothing more is taken of what comes, but the answers are to arrive.
    Linger,
    /// Nothing more will come of this connection.
    Close,
}

impl<R: NodeRuntime<Clients = ClientTasks<R>>> Connection<R> {
    /// One connection, from its first byte to its last.
    async fn serve(mut self) {
        let mut turns = 0_usize;
        while let Some(()) = self.turn(&mut turns).await {}
        // Takes this very task out; it ends here anyway.
        self.server.clients.borrow_mut().close(self.key);
    }

    /// `None` when the connection ends. Rare waits are boxed, so they cost an ordinary connection no memory.
    async fn turn(&mut self, turns: &mut usize) -> Option<()> {
        match poll_fn(|context| self.poll_turn(context)).await {
            Next::Read { is_full } => {
                *turns = turns.wrapping_add(1);
                // A client that sends without end has its turn among the others.
                if is_full || turns.is_multiple_of(TURN_READS) {
                    yield_now().await;
                }
                Some(())
            }
            Next::Again => {
                yield_now().await;
                Some(())
            }
            Next::Places(query) => Box::pin(self.answer_places(query)).await,
            Next::Blocked { unwritten, query } => {
                Box::pin(async {
                    self.write_rest(unwritten).await?;
                    match query {
                        Some(query) => self.answer_places(query).await,
                        None => Some(()),
                    }
                })
                .await
            }
            Next::Linger => {
                Box::pin(self.linger()).await;
                None
            }
            Next::Close => None,
        }
    }

    /// Reads once, into the shared buffer, works off what it can, and writes the answers once.
    fn poll_turn(&mut self, context: &mut Context) -> Poll<Next> {
        let Connection { server, stream, key, client } = self;
        if client.ended && !client.backlog {
            return Poll::Ready(if client.is_refused { Next::Linger } else { Next::Close });
        }
        let mut buffers = server.driver.buffers();
        let buffers = &mut *buffers;
        let mut len = client.rest.len();
        let mut is_full = false;
        if !client.backlog {
            match Pin::new(&mut *stream).poll_read(context, &mut buffers.input[len..]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => client.ended = true,
                Poll::Ready(Ok(read)) => {
                    is_full = len + read == buffers.input.len();
                    buffers.input[..len].copy_from_slice(&client.rest);
                    len += read;
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {
                    return Poll::Ready(Next::Again);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Close),
            }
        }
        if client.backlog || client.ended {
            buffers.input[..len].copy_from_slice(&client.rest);
        }
        let mut output = Out::new(&mut buffers.output[..]);
        log_as(&*stream);
        let (done, query) = server.driver.client_input(client, &buffers.input[..len], &mut output);
        client.rest = if done == len { Box::default() } else { buffers.input[done..len].into() };
        if !output.is_empty() {
            if let Some(slot) = server.clients.borrow_mut().slots.get_mut(*key) {
                slot.active_at = server.driver.clock().last();
            }
            server.links.borrow().wake(server.driver.take_wakes());
            server.warned();
        }
        Poll::Ready(match poll_write(stream, context, output.written()) {
            Err(()) => Next::Close,
            Ok(written) if written < output.len() => {
                Next::Blocked { unwritten: Unwritten::Lines(output.written()[written..].to_vec()), query }
            }
            Ok(_) => match query {
                Some(query) => Next::Places(query),
                None if client.backlog || client.ended => Next::Again,
                None => Next::Read { is_full },
            },
        })
    }

    /// Writes what the socket did not take at once, as it comes to take it.
    async fn write_rest(&mut self, mut unwritten: Unwritten) -> Option<()> {
        let (server, key) = (self.server, self.key);
        let mut rest = loop {
            match unwritten.hold(&server.unread) {
                Ok(rest) => break rest,
                Err(back) => unwritten = back,
            }
            server.clients.borrow_mut().close_longest_unread(key)?;
            // What its task held is given back in the task's own turn.
            server.runtime.next_turn().await;
        };
        while !rest.next().is_empty() {
            self.set_unread_since(Some(server.driver.clock().steady()));
            let stream = &mut self.stream;
            let some = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, rest.next()));
            match server.in_time(UNREAD_MS_MAX, some).await {
                Ok(0) => return None,
                Ok(some) => rest.took(some),
                Err(error) => {
                    if error.kind() == ErrorKind::TimedOut {
                        server.clients.borrow_mut().unread += 1;
                        debug!(
                            "disconnected a client that does not read: no bytes taken for {UNREAD_MS_MAX} ms"
                        );
                    }
                    return None;
                }
            }
        }
        self.set_unread_since(None);
        Some(())
    }

    fn set_unread_since(&self, since: Option<Mono>) {
        if let Some(slot) = self.server.clients.borrow_mut().slots.get_mut(self.key) {
            slot.unread_since = since;
        }
    }

    /// Asks for places and writes the whole answer.
    async fn answer_places(&mut self, query: Box<PlacesQuery>) -> Option<()> {
        let server = self.server;
        let json = answer_of(|done| server.driver.ask_places(&query, self.client.lane, done)).await?;
        log_as(&self.stream);
        let answer = whatsat_answer(&query, &json);
        if let Some(slot) = server.clients.borrow_mut().slots.get_mut(self.key) {
            slot.active_at = server.driver.clock().steady();
        }
        let stream = &mut self.stream;
        let written = poll_fn(|context| Poll::Ready(poll_write(stream, context, &answer))).await.ok()?;
        if written == answer.len() {
            return Some(());
        }
        drop(answer);
        self.write_rest(Unwritten::Places(query, json, written)).await
    }

    /// Lets the client read its answers.
    async fn linger(&mut self) {
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write);
        let _ = self.server.drain(&mut self.stream).await;
    }
}

/// Writes as much as the socket takes; an error when it takes nothing any more.
fn poll_write(
    stream: &mut (impl AsyncWrite + Unpin),
    context: &mut Context,
    bytes: &[u8],
) -> Result<usize, ()> {
    let mut written = 0;
    while written < bytes.len() {
        match Pin::new(&mut *stream).poll_write(context, &bytes[written..]) {
            Poll::Ready(Ok(0)) => return Err(()),
            Poll::Ready(Ok(some)) => written += some,
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
            Poll::Ready(Err(_)) => return Err(()),
            Poll::Pending => break,
        }
    }
    Ok(written)
}
