//! The node's own runtime: an edge-triggered reactor under smol's executor, one thread, no allocation a turn.
//!
//! `smol::LocalExecutor` is all that is used of smol: `smol::spawn` would start a thread. Links, requests and streams, the
//! few, are tasks. Client connections, the many, are entries of a table that the loop serves (`clients`).

mod clients;
mod connection;
mod reactor;
mod readiness;
mod signal;
mod timers;
mod turns;
mod watched;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::time::Instant;

use futures_lite::future;
use nix::sys::signalfd::SignalFd;
use smol::{LocalExecutor, Task};

use super::{Runtime, Signal};
use crate::server::limits::TURN_TASKS;
use crate::server::shared::{NodeRuntime, Server};
use crate::server::status::RuntimeStats;
use clients::Clients;
use reactor::Reactor;
use watched::Watched;

/// The runtime.
pub struct Epoll {
    executor: LocalExecutor<'static>,
    reactor: Reactor,
}

impl Runtime for Epoll {
    type Task = Task<()>;
    type TcpListener = Watched<TcpListener>;
    type TcpStream = Watched<TcpStream>;
    type UnixListener = Watched<UnixListener>;
    type UnixStream = Watched<UnixStream>;
    type Signals = Watched<SignalFd>;

    fn new() -> io::Result<Self> {
        Ok(Epoll { executor: LocalExecutor::new(), reactor: Reactor::new()? })
    }

    /// All tasks are one type to the executor, whose code is there once: each type would add 3 KB.
    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Task<()> {
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(future);
        self.executor.spawn(future)
    }

    fn detach(task: Task<()>) {
        task.detach();
    }

    async fn end(task: Task<()>) {
        task.cancel().await;
    }

    fn sleep_until(&'static self, at: Instant) -> impl Future<Output = ()> {
        self.reactor.sleep_until(at)
    }

    fn next_turn(&'static self) -> impl Future<Output = ()> {
        self.reactor.next_turn()
    }

    fn listen(&'static self, listener: TcpListener) -> io::Result<Self::TcpListener> {
        self.reactor.watch(listener)
    }

    async fn accept(
        &'static self,
        listener: &Self::TcpListener,
    ) -> io::Result<(Self::TcpStream, SocketAddr)> {
        let (stream, peer) = listener.accept().await?;
        Ok((self.reactor.watch(stream)?, peer))
    }

    fn connect(&'static self, address: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> {
        self.reactor.connect(address)
    }

    fn listen_unix(&'static self, listener: UnixListener) -> io::Result<Self::UnixListener> {
        self.reactor.watch(listener)
    }

    async fn accept_unix(&'static self, listener: &Self::UnixListener) -> io::Result<Self::UnixStream> {
        self.reactor.watch(listener.accept().await?)
    }

    fn signals(&'static self, wanted: &[Signal]) -> io::Result<Self::Signals> {
        self.reactor.watch(signal::block(wanted)?)
    }

    fn next_signal(signals: &mut Self::Signals) -> impl Future<Output = Option<Signal>> {
        signal::next(signals)
    }

    fn input_end(&'static self) -> io::Result<impl Future<Output = ()> + 'static> {
        let input = io::stdin();
        rustix::io::ioctl_fionbio(&input, true)?;
        Ok(signal::until_end(self.reactor.watch(input)?))
    }
}

impl NodeRuntime for Epoll {
    type Clients = Clients;
    type Client = TcpStream;

    fn clients(&self, max: usize) -> Clients {
        Clients::new(max, self.reactor.bell())
    }

    fn stats(clients: &Clients) -> RuntimeStats {
        clients.stats()
    }

    fn accept_client(
        &'static self,
        listener: &Self::TcpListener,
    ) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> {
        listener.accept()
    }

    fn begin(server: &'static Server<Self>, stream: TcpStream, peer: IpAddr) {
        clients::begin(server, stream, peer);
    }

    /// `LocalExecutor::run` does the same with a second queue of 8 KB, which is of use where several threads share an
    /// executor, and with a future that is polled at every wake-up.
    fn run<T: 'static>(
        server: &'static Server<Self>,
        life: impl Future<Output = T> + 'static,
    ) -> io::Result<T> {
        let Epoll { executor, reactor } = &server.runtime;
        let life = executor.spawn(life);
        let root = async {
            loop {
                for _ in 0..TURN_TASKS {
                    executor.tick().await;
                    if life.is_finished() {
                        return life.await;
                    }
                }
                // Tasks that wake each other all the time must not keep sockets and timers from being looked at.
                future::yield_now().await;
            }
        };
        reactor.run(root, &server)
    }
}
