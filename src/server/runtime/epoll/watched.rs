//! Sockets that belong to a task: accepting, connecting, reading and writing when the reactor reports them ready.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::reactor::Reactor;
use super::readiness::{For, Source};

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

impl Reactor {
    /// Watches a descriptor for a task. It must not block.
    pub(super) fn watch<T: AsFd>(&'static self, io: T) -> io::Result<Watched<T>> {
        let (source, key) = self.register(&io)?;
        Ok(Watched { io, source, key, reactor: self })
    }

    /// Connects to an address.
    pub(super) async fn connect(&'static self, address: SocketAddr) -> io::Result<Watched<TcpStream>> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        let outcome = rustix::net::connect(&socket, &address);
        let stream = self.watch(TcpStream::from(socket))?;
        match outcome {
            Ok(()) => return Ok(stream),
            Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        stream.clear(For::Writing);
        poll_fn(|context| stream.poll_ready(For::Writing, context)).await;
        match stream.get().take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }
}

impl<T: AsFd> Watched<T> {
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
