//! State that all tasks of a node share, on any runtime: one thread, one owner of the node.
//!
//! Invariant: no borrow of the node or of the shared buffers is held over an `.await`.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_lite::{AsyncRead, AsyncReadExt, future};
use static_cell::ConstStaticCell;

use super::budget::Budget;
use super::driver::{Driver, Memory};
use super::events::EventRing;
use super::http::{HttpCounters, Lists};
use super::limits::{LINGER_BYTES_MAX, LINGER_MS_MAX, UNREAD_BYTES_MAX};
use super::link_table::Links;
use super::listen::raise_descriptor_limit;
use super::notify::Notify;
use super::phones::Phones;
use super::runtime::Runtime;
use super::service::Service;
use super::status::RuntimeStats;
use super::tls::Tls;
use super::{NodeConfig, ReloadFn, RunError};
use crate::proto::time::Mono;

/// The node's memory: all zero, so it is not part of the program file, and pages become resident on first use.
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

/// How a runtime serves client connections, which are the many, and runs a node.
pub trait NodeRuntime: Runtime {
    /// The client connections there are.
    type Clients: 'static;
    /// A client connection that was just accepted.
    type Client;

    /// No connections yet, of at most `max`.
    fn clients(&self, max: usize) -> Self::Clients;
    /// How many there are, and what became of others.
    fn stats(clients: &Self::Clients) -> RuntimeStats;
    /// Accepts a client.
    fn accept_client(
        &'static self,
        listener: &Self::TcpListener,
    ) -> impl Future<Output = io::Result<(Self::Client, SocketAddr)>>;
    /// Serves a client from now on.
    fn begin(server: &'static Server<Self>, client: Self::Client, peer: IpAddr);
    /// Runs tasks and serves clients until `life` has ended.
    ///
    /// # Errors
    /// What the system says of waiting.
    fn run<T: 'static>(
        server: &'static Server<Self>,
        life: impl Future<Output = T> + 'static,
    ) -> io::Result<T>;
}

/// What all tasks share. It lives as long as the process.
pub struct Server<R: NodeRuntime> {
    /// What it runs on.
    pub runtime: R,
    /// The node and its buffers.
    pub driver: Driver,
    pub(crate) plan: RefCell<NodeConfig>,
    pub(crate) reread: ReloadFn,
    /// Rises when the configuration is read again, which gives nodes other numbers.
    pub(crate) generation: Cell<u32>,
    pub(crate) service: Service,
    pub(crate) listeners: RefCell<Listeners<R>>,
    /// The client connections.
    pub clients: RefCell<R::Clients>,
    pub(crate) links: RefCell<Links<R>>,
    /// The subscribers, and whether the task that collects changes runs.
    pub(crate) events: EventRing,
    pub(crate) is_looking: Cell<bool>,
    pub(crate) http: HttpCounters,
    pub(crate) lists: Lists,
    pub(crate) phones: Phones,
    pub(crate) tls: Tls,
    /// Writes the table now and then, where the configuration asks for that.
    pub(crate) snapshots: RefCell<Option<R::Task>>,
    /// Answers that clients have not read yet.
    pub(crate) unread: Budget,
    /// When the timer task wakes next, and what wakes it before that.
    pub(crate) timer_at: Cell<Mono>,
    pub(crate) timer_wake: Notify,
    /// Rung when the configuration is to be read again.
    pub(crate) reload_wake: Notify,
}

/// The acceptors: each holds its listener.
pub(crate) struct Listeners<R: Runtime> {
    pub(crate) clients: Option<R::Task>,
    pub(crate) links: Option<R::Task>,
    pub(crate) http: Option<R::Task>,
    pub(crate) phones: Option<R::Task>,
}

impl<R: NodeRuntime> Server<R> {
    /// Starts the node and puts what the tasks share where they find it.
    ///
    /// Not inlined: the frame of the caller lasts as long as the node, and the stack that a frame once took is never given
    /// back.
    #[inline(never)]
    pub(crate) fn start_node(mut plan: NodeConfig, reread: ReloadFn) -> Result<&'static Self, RunError> {
        let clients_max = raise_descriptor_limit();
        let driver = Driver::start(MEMORY.take(), &mut plan)?;
        let runtime = R::new().map_err(|error| RunError::System { what: "the runtime", error })?;
        Ok(Box::leak(Box::new(Server {
            driver,
            plan: RefCell::new(plan),
            reread,
            generation: Cell::new(0),
            service: Service::of_this_process(),
            listeners: RefCell::new(Listeners { clients: None, links: None, http: None, phones: None }),
            clients: RefCell::new(runtime.clients(clients_max)),
            runtime,
            links: RefCell::new(Links::new()),
            events: EventRing::default(),
            is_looking: Cell::new(false),
            http: HttpCounters::default(),
            lists: Lists::default(),
            phones: Phones::default(),
            tls: Tls::default(),
            snapshots: RefCell::new(None),
            unread: Budget::new(UNREAD_BYTES_MAX),
            timer_at: Cell::new(Mono::NEVER),
            timer_wake: Notify::default(),
            reload_wake: Notify::default(),
        })))
    }

    /// Starts a task that runs to its own end.
    pub fn start(&self, future: impl Future<Output = ()> + 'static) {
        R::detach(self.runtime.spawn(future));
    }

    /// Waits so many milliseconds.
    pub fn sleep_ms(&'static self, ms: u64) -> impl Future<Output = ()> {
        self.runtime.sleep_until(Instant::now() + Duration::from_millis(ms))
    }

    /// What comes in time, or else an error.
    pub(crate) async fn in_time<T>(
        &'static self,
        ms: u64,
        done: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let late = async {
            self.sleep_ms(ms).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        future::or(done, late).await
    }

    /// Reads what a client still sends, for a while: a connection that is closed with input unread is reset, and the answer that is
    /// on its way is lost (RFC 2525, section 2.17).
    pub(crate) async fn drain(&'static self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let drained = async {
            let (mut scrap, mut left) = ([0; 512], LINGER_BYTES_MAX);
            while left > 0 {
                match stream.read(&mut scrap).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Ok(())
        };
        self.in_time(LINGER_MS_MAX, drained).await
    }

    /// What the driver does not know of the node.
    pub(crate) fn stats(&self) -> RuntimeStats {
        let [http_answered, http_denied, http_refused] = self.http.all();
        let (subscribers_lost, subscribers_refused) = self.events.lost_and_refused();
        RuntimeStats {
            http_answered,
            http_denied,
            http_refused,
            phones: self.phones.counters.stats(),
            subscribers: self.events.subscribers(),
            subscribers_lost,
            subscribers_refused,
            reloads: self.generation.get(),
            ..R::stats(&self.clients.borrow())
        }
    }

    /// Keeps the timer right after what can have warned and nothing else.
    pub(crate) fn warned(&self) {
        if self.driver.warns_at() < self.timer_at.get() {
            self.timer_wake.wake();
        }
    }

    /// A connection could not be accepted.
    pub(crate) fn accept_failed(&self, member: &str, error: &io::Error) {
        self.driver.accept_failed(member, error);
        self.warned();
    }
}
