//! The readiness of a socket, and sockets that belong to a task, with their wakers.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use rustix::event::epoll::EventFlags;

use super::reactor::Reactor;

/// Something can be read, or the other end has closed.
const READ_FLAGS: EventFlags =
    EventFlags::IN.union(EventFlags::PRI).union(EventFlags::RDHUP).union(FAILED_FLAGS);
/// Something can be written, or nothing ever will.
const WRITE_FLAGS: EventFlags = EventFlags::OUT.union(FAILED_FLAGS);
const FAILED_FLAGS: EventFlags = EventFlags::HUP.union(EventFlags::ERR);
/// After these a read that leaves room proves nothing: the end may be behind it, or an urgent byte that parts the data.
const UNSURE_FLAGS: EventFlags = EventFlags::RDHUP.union(EventFlags::PRI).union(FAILED_FLAGS);

/// One of the two things that are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Reading,
    Writing,
}

/// The readiness of a socket, by the kernel's events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readiness {
    pub(super) can_read: bool,
    pub(super) can_write: bool,
    /// The end has come, or an urgent byte: a read that leaves room proves nothing then.
    pub(super) is_unsure: bool,
}

impl Readiness {
    /// A new socket: ready until the first attempt.
    pub(super) const UNTRIED: Readiness = Readiness { can_read: true, can_write: true, is_unsure: false };

    pub(super) fn add(&mut self, flags: EventFlags) {
        self.can_read |= flags.intersects(READ_FLAGS);
        self.can_write |= flags.intersects(WRITE_FLAGS);
        self.is_unsure |= flags.intersects(UNSURE_FLAGS);
    }

    /// A read has left room: the next bytes cause a new edge.
    pub(super) fn was_drained(&mut self) {
        self.can_read = self.is_unsure;
    }

    fn clear(&mut self, direction: For) {
        match direction {
            For::Reading => self.can_read = false,
            For::Writing => self.can_write = false,
        }
    }

    fn has(self, direction: For) -> bool {
        match direction {
            For::Reading => self.can_read,
            For::Writing => self.can_write,
        }
    }
}

/// What waits for a socket that belongs to a task.
pub(super) struct Source {
    readiness: Cell<Readiness>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

impl Source {
    pub(super) fn new() -> Self {
        let readiness = Cell::new(Readiness::UNTRIED);
        Source { readiness, reader: Cell::default(), writer: Cell::default() }
    }

    pub(super) fn add(&self, flags: EventFlags) {
        let mut readiness = self.readiness.get();
        readiness.add(flags);
        self.readiness.set(readiness);
        if flags.intersects(READ_FLAGS)
            && let Some(waker) = self.reader.take()
        {
            waker.wake();
        }
        if flags.intersects(WRITE_FLAGS)
            && let Some(waker) = self.writer.take()
        {
            waker.wake();
        }
    }

    fn wait(&self, direction: For, waker: &Waker) {
        let cell = if direction == For::Reading { &self.reader } else { &self.writer };
        keep(cell, waker);
    }
}

/// Stores a waker, and clones it only if it belongs to another task.
fn keep(cell: &Cell<Option<Waker>>, waker: &Waker) {
    let stored = cell.take().filter(|stored| stored.will_wake(waker));
    cell.set(Some(stored.unwrap_or_else(|| waker.clone())));
}

/// A descriptor that a task waits for.
pub struct Watched<T: AsFd> {
    io: T,
    source: Rc<Source>,
    key: usize,
    reactor: &'static Reactor,
}

impl<T: AsFd> Drop for Watched<T> {
    fn drop(&mut self) {
        self.reactor.unwatch(&self.io, self.key);
    }
}

impl<T: AsFd> AsFd for Watched<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl<T: AsFd> Watched<T> {
    pub(super) fn new(io: T, source: Rc<Source>, key: usize, reactor: &'static Reactor) -> Self {
        Watched { io, source, key, reactor }
    }

    pub(super) fn get(&self) -> &T {
        &self.io
    }

    /// Ready when an attempt can succeed. An attempt that would block must [`clear`](Self::clear) the readiness.
    pub(super) fn poll_ready(&self, direction: For, context: &mut Context) -> Poll<()> {
        if self.source.readiness.get().has(direction) {
            return Poll::Ready(());
        }
        self.source.wait(direction, context.waker());
        Poll::Pending
    }

    /// An attempt would have blocked.
    pub(super) fn clear(&self, direction: For) {
        let mut readiness = self.source.readiness.get();
        readiness.clear(direction);
        self.source.readiness.set(readiness);
    }

    /// A read has left room.
    fn was_drained(&self) {
        let mut readiness = self.source.readiness.get();
        readiness.was_drained();
        self.source.readiness.set(readiness);
    }

    /// Makes an attempt when it does not block.
    pub(super) fn poll_with<R>(
        &self,
        direction: For,
        context: &mut Context,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.poll_ready(direction, context));
            match attempt(&self.io) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.clear(direction),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// The same to wait for.
    pub(super) async fn with<R>(
        &self,
        direction: For,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(|context| self.poll_with(direction, context, &mut attempt)).await
    }
}

impl Watched<TcpListener> {
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.with(For::Reading, TcpListener::accept).await?;
        stream.set_nonblocking(true)?;
        Ok((stream, peer))
    }
}

impl Watched<UnixListener> {
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.with(For::Reading, UnixListener::accept).await?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

impl<T: AsFd + Unpin> AsyncRead for Watched<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(self: Pin<&mut Self>, context: &mut Context, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let room = bytes.len();
        let read = ready!(self.poll_with(For::Reading, context, |mut io| io.read(bytes)));
        if matches!(read, Ok(read) if read > 0 && read < room) {
            self.was_drained();
        }
        Poll::Ready(read)
    }
}

impl<T: AsFd + Unpin> AsyncWrite for Watched<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(For::Writing, context, |mut io| io.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _context: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
