//! Tokio, tuned as far as it lets one: `current_thread`, only the drivers that are used, tasks that are not boxed, and
//! sockets polled in place. `TcpStream::poll_read` knows that a read which leaves room has emptied the socket; `readable` and
//! `try_read` cost a system call more.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_lite::{AsyncRead, AsyncWrite};
use herd::server::client::tasks::{self, ClientTasks};
use herd::server::runtime::{Runtime, Signal};
use herd::server::shared::{NodeRuntime, Server};
use herd::server::status::RuntimeStats;
use tokio::io::ReadBuf;
use tokio::net::unix::pipe::Receiver;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

/// The blocking pool is not used; were it, one thread with a small stack would have to do.
const BLOCKING_THREADS_MAX: usize = 1;
const STACK_BYTES: usize = 64 * 1024;

/// The runtime.
pub(crate) struct Tokio(tokio::runtime::Runtime);

/// A task of this thread; dropping it ends it.
pub(crate) struct Task(Option<JoinHandle<()>>);

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

/// A stream of tokio, with the traits that the node knows.
pub(crate) struct Stream<S>(S);

impl<S: AsFd> AsFd for Stream<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<S: tokio::io::AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut bytes = ReadBuf::new(bytes);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut bytes))?;
        Poll::Ready(Ok(bytes.filled().len()))
    }
}

impl<S: tokio::io::AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _context: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn kind(signal: Signal) -> SignalKind {
    match signal {
        Signal::Terminate => SignalKind::terminate(),
        Signal::Interrupt => SignalKind::interrupt(),
        Signal::Reload => SignalKind::hangup(),
    }
}

impl Runtime for Tokio {
    type Task = Task;
    type TcpListener = TcpListener;
    type TcpStream = Stream<TcpStream>;
    type UnixListener = UnixListener;
    type UnixStream = Stream<UnixStream>;
    type Signals = Vec<(Signal, unix::Signal)>;

    fn new() -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.enable_io().enable_time().max_blocking_threads(BLOCKING_THREADS_MAX);
        Ok(Tokio(builder.thread_stack_size(STACK_BYTES).build()?))
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Task {
        Task(Some(spawn_local(future)))
    }

    fn detach(mut task: Task) {
        task.0 = None;
    }

    async fn end(mut task: Task) {
        if let Some(handle) = task.0.take() {
            handle.abort();
            let _ = handle.await;
        }
    }

    fn sleep_until(&'static self, at: Instant) -> impl Future<Output = ()> {
        tokio::time::sleep_until(at.into())
    }

    fn next_turn(&'static self) -> impl Future<Output = ()> {
        tokio::task::yield_now()
    }

    fn listen(&'static self, listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }

    async fn accept(&'static self, listener: &TcpListener) -> io::Result<(Self::TcpStream, SocketAddr)> {
        let (stream, peer) = listener.accept().await?;
        Ok((Stream(stream), peer))
    }

    async fn connect(&'static self, address: SocketAddr) -> io::Result<Self::TcpStream> {
        TcpStream::connect(address).await.map(Stream)
    }

    fn listen_unix(&'static self, listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_std(listener)
    }

    async fn accept_unix(&'static self, listener: &UnixListener) -> io::Result<Self::UnixStream> {
        Ok(Stream(listener.accept().await?.0))
    }

    fn signals(&'static self, wanted: &[Signal]) -> io::Result<Self::Signals> {
        wanted.iter().map(|wanted| Ok((*wanted, signal(kind(*wanted))?))).collect()
    }

    fn next_signal(signals: &mut Self::Signals) -> impl Future<Output = Option<Signal>> {
        std::future::poll_fn(|context| {
            for (signal, source) in &mut *signals {
                if let Poll::Ready(came) = source.poll_recv(context) {
                    return Poll::Ready(came.map(|()| *signal));
                }
            }
            Poll::Pending
        })
    }

    fn input_end(&'static self) -> io::Result<impl Future<Output = ()> + 'static> {
        let mut input = Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        Ok(async move {
            let mut ignored = [0; 64];
            while matches!(tokio::io::AsyncReadExt::read(&mut input, &mut ignored).await, Ok(1..)) {}
        })
    }
}

impl NodeRuntime for Tokio {
    type Clients = ClientTasks<Self>;
    type Client = Self::TcpStream;

    fn clients(&self, max: usize) -> Self::Clients {
        ClientTasks::new(max)
    }

    fn stats(clients: &Self::Clients) -> RuntimeStats {
        clients.stats()
    }

    fn accept_client(
        &'static self,
        listener: &TcpListener,
    ) -> impl Future<Output = io::Result<(Self::Client, SocketAddr)>> {
        self.accept(listener)
    }

    fn begin(server: &'static Server<Self>, client: Self::Client, peer: IpAddr) {
        tasks::begin(server, client, peer);
    }

    /// The root future is polled at every wake-up, so all that the node does is a task.
    fn run<T: 'static>(
        server: &'static Server<Self>,
        life: impl Future<Output = T> + 'static,
    ) -> io::Result<T> {
        let root = async { spawn_local(life).await.map_err(io::Error::other) };
        LocalSet::new().block_on(&server.runtime.0, root)
    }
}
