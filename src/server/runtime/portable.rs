//! The portable runtime: smol's executor, with sockets and times by async-io and async-net as they are published.
//!
//! It runs wherever the crate `polling` does: macOS and the BSDs too. On Linux the node's own runtime takes a thread, 48 KB and
//! two system calls a request less. A client is a task.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::time::Instant;

use async_io::{Async, Timer};
use async_signal::Signals;
use futures_lite::{AsyncReadExt, StreamExt, future};
use smol::{LocalExecutor, Task};

use super::{Runtime, Signal};
use crate::server::client::tasks::{self, ClientTasks};
use crate::server::shared::{NodeRuntime, Server};
use crate::server::status::RuntimeStats;

/// The runtime.
pub struct Portable {
    executor: LocalExecutor<'static>,
}

const NUMBERS: [(Signal, async_signal::Signal); 3] = [
    (Signal::Terminate, async_signal::Signal::Term),
    (Signal::Interrupt, async_signal::Signal::Int),
    (Signal::Reload, async_signal::Signal::Hup),
];

impl Runtime for Portable {
    type Task = Task<()>;
    type TcpListener = async_net::TcpListener;
    type TcpStream = async_net::TcpStream;
    type UnixListener = Async<UnixListener>;
    type UnixStream = Async<UnixStream>;
    type Signals = Signals;

    fn new() -> io::Result<Self> {
        Ok(Portable { executor: LocalExecutor::new() })
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Task<()> {
        self.executor.spawn(future)
    }

    fn detach(task: Task<()>) {
        task.detach();
    }

    async fn end(task: Task<()>) {
        task.cancel().await;
    }

    async fn sleep_until(&'static self, at: Instant) {
        Timer::at(at).await;
    }

    fn next_turn(&'static self) -> impl Future<Output = ()> {
        future::yield_now()
    }

    fn listen(&'static self, listener: TcpListener) -> io::Result<Self::TcpListener> {
        Ok(Async::new(listener)?.into())
    }

    fn accept(
        &'static self,
        listener: &Self::TcpListener,
    ) -> impl Future<Output = io::Result<(Self::TcpStream, SocketAddr)>> {
        listener.accept()
    }

    fn connect(&'static self, address: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> {
        async_net::TcpStream::connect(address)
    }

    fn listen_unix(&'static self, listener: UnixListener) -> io::Result<Self::UnixListener> {
        Async::new(listener)
    }

    async fn accept_unix(&'static self, listener: &Self::UnixListener) -> io::Result<Self::UnixStream> {
        Ok(listener.accept().await?.0)
    }

    fn signals(&'static self, wanted: &[Signal]) -> io::Result<Signals> {
        let wanted = NUMBERS.iter().filter(|(signal, _)| wanted.contains(signal));
        Signals::new(wanted.map(|(_, number)| *number))
    }

    async fn next_signal(signals: &mut Signals) -> Option<Signal> {
        let number = signals.next().await?.ok()?;
        NUMBERS.iter().find(|(_, signal)| *signal == number).map(|(signal, _)| *signal)
    }

    fn input_end(&'static self) -> io::Result<impl Future<Output = ()> + 'static> {
        let mut input = Async::new(io::stdin())?;
        Ok(async move {
            let mut ignored = [0; 64];
            while matches!(input.read(&mut ignored).await, Ok(1..)) {}
        })
    }
}

impl NodeRuntime for Portable {
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
        listener: &Self::TcpListener,
    ) -> impl Future<Output = io::Result<(Self::Client, SocketAddr)>> {
        listener.accept()
    }

    fn begin(server: &'static Server<Self>, client: Self::Client, peer: IpAddr) {
        tasks::begin(server, client, peer);
    }

    fn run<T: 'static>(
        server: &'static Server<Self>,
        life: impl Future<Output = T> + 'static,
    ) -> io::Result<T> {
        let life: Pin<Box<dyn Future<Output = T>>> = Box::pin(life);
        Ok(async_io::block_on(server.runtime.executor.run(life)))
    }
}
