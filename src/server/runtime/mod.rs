//! What a node asks of the runtime that it waits with. What a node does is written once, in the rest of `server`.
//!
//! The runtime is chosen when the program is compiled, so nothing is boxed or looked up on the way to a socket. A runtime
//! has one thread. There are three: [`epoll`], the node's own, on Linux; `portable`, on the crates async-io and async-net, for
//! other systems (feature `portable`); and one on tokio in `benches/compare/tokio`, for comparison.
//!
//! The shape is that of the crate quinn's `runtime` folder. Beyond it, [`NodeRuntime`](super::shared::NodeRuntime) says how
//! client connections are served.

#[cfg(all(feature = "smol", target_os = "linux"))]
pub mod epoll;
#[cfg(all(feature = "smol", any(feature = "portable", not(target_os = "linux"))))]
pub mod portable;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use futures_lite::{AsyncRead, AsyncWrite};

/// A signal that a node obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop.
    Terminate,
    /// SIGINT: stop.
    Interrupt,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Tasks, times, sockets and signals.
///
/// Streams are read and written through `poll_read` and `poll_write`, so that a node can read into buffers that all its
/// connections share. A runtime keeps what it knows of a socket between two polls: a read that left room must not cost a
/// second system call where the kernel updates edges.
pub trait Runtime: Sized + 'static {
    /// A task. It ends when this is dropped.
    type Task: 'static;
    /// A listener for TCP.
    type TcpListener: 'static;
    /// A TCP connection.
    type TcpStream: AsyncRead + AsyncWrite + AsFd + Unpin + 'static;
    /// A listener on a Unix socket.
    type UnixListener: 'static;
    /// A connection to a Unix socket.
    type UnixStream: AsyncRead + AsyncWrite + AsFd + Unpin + 'static;
    /// The signals that are waited for.
    type Signals: 'static;

    /// The runtime of this process's node.
    ///
    /// # Errors
    /// What the system says.
    fn new() -> io::Result<Self>;

    /// Starts a task.
    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Self::Task;
    /// Lets a task run on without its handle.
    fn detach(task: Self::Task);
    /// Ends a task. What it held has been dropped when this is done.
    fn end(task: Self::Task) -> impl Future<Output = ()>;

    /// Waits until then.
    fn sleep_until(&'static self, at: Instant) -> impl Future<Output = ()>;
    /// Waits until every other task and client that is ready has had a turn.
    fn next_turn(&'static self) -> impl Future<Output = ()>;

    /// Takes a listener that does not block.
    ///
    /// # Errors
    /// What the system says.
    fn listen(&'static self, listener: TcpListener) -> io::Result<Self::TcpListener>;
    /// Accepts a connection.
    fn accept(
        &'static self,
        listener: &Self::TcpListener,
    ) -> impl Future<Output = io::Result<(Self::TcpStream, SocketAddr)>>;
    /// Connects to an address.
    fn connect(&'static self, address: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>>;

    /// The same for a Unix socket.
    ///
    /// # Errors
    /// What the system says.
    fn listen_unix(&'static self, listener: UnixListener) -> io::Result<Self::UnixListener>;
    /// The same for a Unix socket.
    fn accept_unix(
        &'static self,
        listener: &Self::UnixListener,
    ) -> impl Future<Output = io::Result<Self::UnixStream>>;

    /// Keeps these signals from ending the process, to be waited for.
    ///
    /// # Errors
    /// What the system says.
    fn signals(&'static self, wanted: &[Signal]) -> io::Result<Self::Signals>;
    /// The next of them; `None` when no other will come.
    fn next_signal(signals: &mut Self::Signals) -> impl Future<Output = Option<Signal>>;

    /// Waits for the end of standard input, which is a pipe.
    ///
    /// # Errors
    /// What the system says.
    fn input_end(&'static self) -> io::Result<impl Future<Output = ()> + 'static>;
}
