//! Client connections on tokio: `readable`, then `try_read` into the shared buffer, answers in one `try_write`.
//!
//! The same rules as in `herd::shell::smol`: a client that does not read is not read from, and one that waits for places
//! waits alone.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use herd::proto::node::PlacesQuery;
use herd::proto::out::Out;
use herd::proto::quota::Caller;
use herd::proto::time::Mono;
use herd::shell::client::{Client, whatsat_answer};
use herd::shell::limits::{ACCEPT_PAUSE_MS, LINGER_BYTES_MAX, LINGER_MS_MAX, UNREAD_MS_MAX};
use herd::shell::status::Facts;
use log::debug;
use slab::Slab;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::node::Shell;
use crate::task::Task;

/// The connections there are. Dropping a task closes its socket.
pub(crate) struct Clients {
    slots: Slab<Slot>,
    max: usize,
    pushed_out: u64,
}

struct Slot {
    _task: Task,
    /// When the client last had an answer, or came.
    active_at: Mono,
}

impl Clients {
    pub(crate) fn new(max: usize) -> Self {
        Clients { slots: Slab::new(), max, pushed_out: 0 }
    }

    pub(crate) fn facts(&self) -> Facts {
        let Clients { slots, max, pushed_out } = self;
        Facts { clients: slots.len(), clients_max: *max, clients_pushed_out: *pushed_out, ..Facts::default() }
    }

    /// Makes room for one more by closing the connection that has longest had no answer.
    fn make_room(&mut self) {
        if self.slots.len() < self.max {
            return;
        }
        let longest = self.slots.iter().min_by_key(|(_, slot)| slot.active_at).map(|(key, _)| key);
        if let Some(key) = longest {
            self.slots.remove(key);
            self.pushed_out += 1;
            debug!("the client that was longest idle is closed for a newcomer ({} so far)", self.pushed_out);
        }
    }
}

/// Accepts clients for ever.
pub(crate) async fn accept(shell: &'static Shell, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                debug!("client {peer} has come");
                begin(shell, stream, peer.ip());
                // A crowd that waits to be accepted must not hold up those who are in.
                yield_now().await;
            }
            Err(error) => {
                shell.driver.accept_failed("clients", &error);
                shell.warned();
                sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

/// Gives a client its task.
fn begin(shell: &'static Shell, stream: TcpStream, peer: IpAddr) {
    // Answers leave in one write each, so nothing is gained by holding them back.
    let _ = stream.set_nodelay(true);
    let mut clients = shell.clients.borrow_mut();
    clients.make_room();
    let entry = clients.slots.vacant_entry();
    let caller = shell.driver.caller(peer);
    let task = Task::start(serve(shell, stream, entry.key(), caller));
    entry.insert(Slot { _task: task, active_at: shell.driver.clock().now().mono });
}

/// What a turn leaves to be waited for.
enum Next {
    /// More input.
    Read,
    /// Nothing: there is more to work off.
    Again,
    /// Places.
    Places(Box<PlacesQuery>),
    /// Nothing more is taken of what comes, but the answers are to arrive.
    Linger,
    /// Nothing more will come of this connection.
    Close,
}

/// One connection, from its first byte to its last.
async fn serve(shell: &'static Shell, stream: TcpStream, key: usize, caller: Caller) {
    let mut client = Client::of(caller);
    loop {
        let (unwritten, next) = turn(shell, &stream, &mut client, key);
        // What seldom has to be waited for has memory of its own: it is no part of every connection.
        if let Some(unwritten) = unwritten
            && Box::pin(write_rest(shell, &stream, unwritten)).await.is_none()
        {
            break;
        }
        match next {
            Next::Read => {
                if stream.readable().await.is_err() {
                    break;
                }
            }
            // A client that sends without end has its turn among the others.
            Next::Again => yield_now().await,
            Next::Places(query) => {
                if Box::pin(answer_places(shell, &stream, query)).await.is_none() {
                    break;
                }
                touch(shell, key, shell.driver.clock().now().mono);
            }
            Next::Linger => {
                Box::pin(linger(&stream)).await;
                break;
            }
            Next::Close => break,
        }
    }
    // Takes this very task out; it ends here anyway.
    drop(shell.clients.borrow_mut().slots.try_remove(key));
}

fn touch(shell: &Shell, key: usize, now: Mono) {
    if let Some(slot) = shell.clients.borrow_mut().slots.get_mut(key) {
        slot.active_at = now;
    }
}

/// Reads once, works off what it can, writes the answers once. Waits for nothing.
///
/// Gives the bytes that the socket would not take.
fn turn(
    shell: &'static Shell,
    stream: &TcpStream,
    client: &mut Client,
    key: usize,
) -> (Option<Box<[u8]>>, Next) {
    let mut buffers = shell.driver.buffers();
    let buffers = &mut *buffers;
    let mut len = client.rest.len();
    buffers.input[..len].copy_from_slice(&client.rest);
    if !client.backlog && !client.ended {
        match stream.try_read(&mut buffers.input[len..]) {
            Ok(0) => client.ended = true,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (None, Next::Read),
            Err(error) if error.kind() == ErrorKind::Interrupted => return (None, Next::Again),
            Err(_) => return (None, Next::Close),
        }
    }
    let mut output = Out::new(&mut buffers.output[..]);
    let (done, query) = shell.driver.client_input(client, &buffers.input[..len], &mut output);
    client.rest = if done == len { Box::default() } else { buffers.input[done..len].into() };
    if !output.is_empty() {
        touch(shell, key, shell.driver.clock().last());
        shell.links.borrow().wake(shell.driver.take_wakes());
        shell.warned();
    }
    let next = match query {
        Some(query) => Next::Places(query),
        None if client.is_refused => Next::Linger,
        None if client.backlog => Next::Again,
        None if client.ended => Next::Close,
        None => Next::Read,
    };
    match write_now(stream, output.written()) {
        Some(written) if written == output.len() => (None, next),
        Some(written) => (Some(output.written()[written..].into()), next),
        None => (None, Next::Close),
    }
}

/// Lets the client read its answers.
async fn linger(stream: &TcpStream) {
    let _ = rustix::net::shutdown(stream, rustix::net::Shutdown::Write);
    let drained = async {
        let (mut scrap, mut left) = ([0; 512], LINGER_BYTES_MAX);
        while left > 0 && stream.readable().await.is_ok() {
            match stream.try_read(&mut scrap) {
                Ok(0) => return,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let _ = timeout(Duration::from_millis(LINGER_MS_MAX), drained).await;
}

/// Writes as much as the socket takes; `None` when it takes nothing any more.
fn write_now(stream: &TcpStream, bytes: &[u8]) -> Option<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.try_write(&bytes[written..]) {
            Ok(0) => return None,
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(written)
}

/// Writes what the socket did not take at once, as it comes to take it.
async fn write_rest(shell: &'static Shell, stream: &TcpStream, bytes: Box<[u8]>) -> Option<()> {
    let Some(_held) = shell.unread.hold(bytes.len()) else {
        debug!(
            "a client that does not read is closed: all leave too much unread ({} times so far)",
            shell.unread.refused()
        );
        return None;
    };
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        timeout(Duration::from_millis(UNREAD_MS_MAX), stream.writable()).await.ok()?.ok()?;
        rest = &rest[write_now(stream, rest)?..];
    }
    Some(())
}

/// Asks for places and writes the whole answer.
async fn answer_places(shell: &'static Shell, stream: &TcpStream, query: Box<PlacesQuery>) -> Option<()> {
    let (sender, receiver) = async_channel::bounded(1);
    shell.driver.ask_places(&query, move |json| {
        // A client that has gone meanwhile needs no answer.
        let _ = sender.try_send(json);
    });
    let json = receiver.recv().await.ok()?;
    let answer = whatsat_answer(&query, json);
    drop(query);
    let written = write_now(stream, &answer)?;
    if written == answer.len() { Some(()) } else { write_rest(shell, stream, answer[written..].into()).await }
}
