//! Connections between nodes: accept, dial, read lines, pull lines.
//!
//! Lines are pulled from the node only when the socket has taken the ones before, so a slow link gets
//! the newest state of an entry and costs no memory. The core says when a connection must end.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_lite::future::{or, yield_now};
use futures_lite::{AsyncRead, AsyncWrite};
use log::{debug, warn};

use super::driver::Work;
use super::limits::{ACCEPT_PAUSE_MS, CONNECT_MS_MAX, LINK_SEND_BUFFER_BYTES, TURN_READS};
use super::look_up::look_up;
use super::notify::Notify;
use super::shared::{NodeRuntime, Server};
use crate::config::Endpoint;
use crate::proto::names::NodeId;
use crate::proto::node::SessionId;
use crate::proto::out::Out;

impl<R: NodeRuntime> Server<R> {
    /// Carries out what the node has decided about links, and keeps the timer right.
    pub(crate) fn work(&'static self) {
        while let Some(work) = self.driver.take_work() {
            match work {
                Work::Cut(id) => self.links.borrow_mut().close(id),
                Work::Dial(node) => self.start(dial(self, node)),
                Work::Wake(wakes) => self.links.borrow().wake(wakes),
            }
        }
        if self.driver.wake_at() < self.timer_at.get() {
            self.timer_wake.wake();
        }
    }
}

/// Accepts link connections for ever, also from peers that are not neighbours.
pub(crate) async fn accept<R: NodeRuntime>(server: &'static Server<R>, listener: R::TcpListener) {
    loop {
        if let Some(instant) = server.driver.clock().instant(server.driver.accept_at())
            && instant > Instant::now()
        {
            server.runtime.sleep_until(instant).await;
            continue;
        }
        match server.runtime.accept(&listener).await {
            Ok((stream, peer)) => {
                debug!("a link connection from {peer}");
                start(server, stream, peer.ip(), None);
                // Connections that came before have their turn before the next one: a crowd that waits to be accepted must
                // not push out a connection that has not even been read from.
                server.runtime.next_turn().await;
            }
            Err(error) => {
                server.accept_failed("links", &error);
                server.sleep_ms(ACCEPT_PAUSE_MS).await;
            }
        }
    }
}

/// Dials a neighbour once: the first of its addresses that answers.
async fn dial<R: NodeRuntime>(server: &'static Server<R>, node: NodeId) {
    let generation = server.generation.get();
    // The configuration was read again meanwhile: the number is another node's then, or none's.
    let is_over = || server.generation.get() != generation;
    let links = server.plan.borrow().nodes[node.index()].links.clone();
    let found = match &links {
        // It listens on a wildcard, so the address of its board is unknown: it has to dial.
        links if links.is_wildcard() => Err("its links address is a wildcard, so it must dial".to_owned()),
        Endpoint::Address(address) => Ok(vec![*address]),
        // Rare, so it costs a herd of addresses no memory.
        Endpoint::Name(name) => Box::pin(look_up(server, name)).await,
    };
    if is_over() {
        return;
    }
    let is_named = links.host().is_some();
    if is_named {
        server.driver.looked_up(node, &found);
    }
    let mut failed = found.as_ref().err().cloned().unwrap_or_default();
    for address in found.unwrap_or_default() {
        let connected = connect(server, address).await;
        if is_over() {
            return;
        }
        match connected {
            Ok(stream) => return start(server, stream, address.ip(), Some(node)),
            Err(error) if is_named => failed = format!("{address}: {error}"),
            Err(error) => failed = error.to_string(),
        }
    }
    server.driver.dial_failed(node, failed);
    server.work();
}

async fn connect<R: NodeRuntime>(
    server: &'static Server<R>,
    address: SocketAddr,
) -> io::Result<R::TcpStream> {
    let in_time = async {
        server.sleep_ms(CONNECT_MS_MAX).await;
        Err(io::Error::new(ErrorKind::TimedOut, "no answer"))
    };
    or(server.runtime.connect(address), in_time).await
}

/// Hands a connection to the node and gives it a task.
fn start<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: R::TcpStream,
    peer: IpAddr,
    dialled: Option<NodeId>,
) {
    // Best effort: without these updates are a little older when they arrive, and that is all.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&stream, true);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, LINK_SEND_BUFFER_BYTES);
    match server.driver.open_link(dialled, Some(peer)) {
        Ok(None) => debug!("a dialled connection is closed: the link came up meanwhile"),
        Ok(Some(id)) => {
            // The node may have closed an old connection for this one.
            server.work();
            let writer = Rc::new(Notify::default());
            writer.wake();
            let task = server.runtime.spawn(serve(server, stream, id, writer.clone()));
            server.links.borrow_mut().open(id, writer, task);
        }
        Err(error) => {
            warn!("a link could not be opened: {error}");
            if let Some(node) = dialled {
                server.driver.dial_failed(node, error.to_string());
            }
            server.work();
        }
    }
}

/// Why a connection ended without the core's doing.
enum Ended {
    ByPeer,
    ByError(io::Error),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Ended::ByPeer => f.write_str("the other end closed it"),
            Ended::ByError(error) => write!(f, "{error}"),
        }
    }
}

/// Both directions of a connection. Each has it for the time of a poll.
struct Link<R: NodeRuntime> {
    server: &'static Server<R>,
    stream: RefCell<R::TcpStream>,
    id: SessionId,
}

async fn serve<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: R::TcpStream,
    id: SessionId,
    writer: Rc<Notify>,
) {
    let link = Link { server, stream: RefCell::new(stream), id };
    let ended = or(link.read_lines(), link.write_lines(&writer)).await;
    server.driver.link_closed(id, &ended);
    server.work();
    server.links.borrow_mut().close(id);
}

impl<R: NodeRuntime> Link<R> {
    async fn read_lines(&self) -> Ended {
        let mut rest: Box<[u8]> = Box::default();
        let mut turns = 0_usize;
        loop {
            match poll_fn(|context| self.poll_read_turn(context, &mut rest)).await {
                Ok(Read::Ended) => return Ended::ByPeer,
                Ok(read) => {
                    self.server.work();
                    self.keep_pace().await;
                    turns = turns.wrapping_add(1);
                    if matches!(read, Read::Full) || turns.is_multiple_of(TURN_READS) {
                        // A neighbour that always has more must not hold up the others.
                        yield_now().await;
                    }
                }
                Err(error) => return Ended::ByError(error),
            }
        }
    }

    /// Waits until the neighbour may be read again.
    async fn keep_pace(&self) {
        let at = self.server.driver.read_at(self.id);
        if let Some(instant) = self.server.driver.clock().instant(at)
            && instant > Instant::now()
        {
            self.server.runtime.sleep_until(instant).await;
        }
    }

    /// Reads once, into the shared buffer, and works off whole lines.
    fn poll_read_turn(&self, context: &mut Context, rest: &mut Box<[u8]>) -> Poll<io::Result<Read>> {
        let driver = &self.server.driver;
        let mut buffers = driver.buffers();
        let held = rest.len();
        let read = ready!(poll_read(&self.stream, context, &mut buffers.input[held..]))?;
        if read == 0 {
            return Poll::Ready(Ok(Read::Ended));
        }
        buffers.input[..held].copy_from_slice(rest);
        let is_full = held + read == buffers.input.len();
        let input = &mut buffers.input[..held + read];
        let done = driver.link_input(self.id, input);
        // A part that is longer than any line belongs to a connection that was just cut.
        let stays = driver.is_open(self.id);
        if let Some(line) = driver.refusal(self.id) {
            // Best effort: without it the other end's log does not know the reason.
            let _ = poll_write(&self.stream, context, &[line, b"\n"].concat());
        }
        *rest = if stays { input[done..].into() } else { Box::default() };
        Poll::Ready(Ok(if is_full { Read::Full } else { Read::Some }))
    }

    async fn write_lines(&self, writer: &Notify) -> Ended {
        let mut unwritten: Box<[u8]> = Box::default();
        loop {
            match poll_fn(|context| self.poll_write_turn(context, &mut unwritten)).await {
                Ok(true) => {}
                Ok(false) => {
                    // What was sent may have moved the time of the next ping or digest.
                    self.server.work();
                    writer.wait().await;
                }
                Err(error) => return Ended::ByError(error),
            }
        }
    }

    /// Writes what was left, or else pulls lines and writes them in one piece; `false` when there is nothing to pull.
    ///
    /// Waits while the socket takes nothing: only then what has been pulled gets memory of its own.
    fn poll_write_turn(&self, context: &mut Context, unwritten: &mut Box<[u8]>) -> Poll<io::Result<bool>> {
        if !unwritten.is_empty() {
            let written = ready!(poll_write(&self.stream, context, unwritten))?;
            *unwritten = unwritten[written..].into();
            return Poll::Ready(Ok(true));
        }
        let driver = &self.server.driver;
        let mut buffers = driver.buffers();
        let mut output = Out::new(&mut buffers.output[..]);
        driver.pull_link(self.id, &mut output);
        if output.is_empty() {
            return Poll::Ready(Ok(false));
        }
        match poll_write(&self.stream, context, output.written()) {
            Poll::Ready(Ok(written)) => {
                *unwritten = output.written()[written..].into();
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                *unwritten = output.written().into();
                Poll::Pending
            }
        }
    }
}

/// What a read brought.
enum Read {
    Some,
    /// As much as there was room for: there may be more.
    Full,
    Ended,
}

fn poll_read<S: AsyncRead + Unpin>(
    stream: &RefCell<S>,
    context: &mut Context,
    bytes: &mut [u8],
) -> Poll<io::Result<usize>> {
    Pin::new(&mut *stream.borrow_mut()).poll_read(context, bytes)
}

fn poll_write<S: AsyncWrite + Unpin>(
    stream: &RefCell<S>,
    context: &mut Context,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    let written = ready!(Pin::new(&mut *stream.borrow_mut()).poll_write(context, bytes))?;
    Poll::Ready(if written == 0 { Err(ErrorKind::WriteZero.into()) } else { Ok(written) })
}
