//! The half of the shell that waits: one thread, one executor, one owner of the node.
//!
//! `smol::LocalExecutor` is all that is used of smol itself: `smol::spawn` would start a thread. Every
//! task is one of a short list: the acceptors, a timer, one that tells the service manager, one that reads
//! the map again, one that waits for signals, a task a link, a dial, a request at the control socket or over HTTP. Clients,
//! the many, are not tasks but entries of a table (`clients`). The root future only runs the tasks, because the root is
//! polled at every wake.
//!
//! Invariant: no borrow of the node or of the shared buffers is held over an `.await`.

mod clients;
mod connection;
mod control;
mod http;
mod links;
mod live;
mod reactor;
mod signal;
mod snapshot;
mod timers;
mod turns;
mod watched;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future;
use log::{debug, error, info};
use smol::{LocalExecutor, Task};
use static_cell::ConstStaticCell;

use super::budget::Budget;
use super::control::Control;
use super::driver::{Driver, Memory, Work};
use super::http::HttpCounters;
use super::limits::{ACCEPT_PAUSE_MS, SILENT_MS_MIN, STATUS_FIRST_MS, TURN_TASKS, UNREAD_BYTES_MAX};
use super::listen::raise_descriptor_limit;
use super::live::Live;
use super::refused::Refused;
use super::service::{CLIENTS, LINKS, Service};
use super::status::Facts;
use super::wake::Wake;
use super::{Plan, Reread, RunError};
use crate::proto::time::Mono;
use clients::Clients;
use links::Links;
use reactor::Reactor;
use watched::Watched;

/// The node's memory: all zero, so it is no part of the program file, and resident only as touched.
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

/// Everything that the tasks share. It lives as long as the process.
struct Shell {
    driver: Driver,
    plan: RefCell<Plan>,
    reread: Reread,
    /// Rises when the map is read again, which gives nodes other numbers.
    generation: Cell<u32>,
    executor: LocalExecutor<'static>,
    reactor: Reactor,
    service: Service,
    listeners: RefCell<Listeners>,
    clients: RefCell<Clients>,
    links: RefCell<Links>,
    /// Those who watch the node, and whether a task looks for them.
    live: Live,
    is_looking: Cell<bool>,
    http: HttpCounters,
    /// Writes the table now and then, where the map asks for that.
    snapshots: RefCell<Option<Task<()>>>,
    /// Answers that clients have not read yet.
    unread: Budget,
    /// When the timer task wakes next, and what wakes it before that.
    timer_at: Cell<Mono>,
    timer_wake: Wake,
    /// Rung when the map is to be read again.
    reload_wake: Wake,
    /// Why the node is to stop, once it is.
    stopped: Cell<Option<&'static str>>,
}

/// The acceptors: each holds its listener.
#[derive(Default)]
struct Listeners {
    clients: Option<Task<()>>,
    links: Option<Task<()>>,
    http: Option<Task<()>>,
}

/// Runs the node until it is told to stop: by SIGTERM, SIGINT, or the end of standard input where the
/// plan says that it is supervised. SIGHUP makes it take the plan that `reread` gives.
///
/// # Errors
/// [`RunError`]: a listener that could not be bound, say. Nothing is left running then.
///
/// # Panics
/// If it is called twice in one process: there is one node's memory.
pub fn run(plan: Plan, reread: Reread) -> Result<(), RunError> {
    let me = plan.nodes[plan.me].clone();
    let supervised = plan.supervised;
    let shell = start(plan, reread)?;
    let life = async {
        snapshot::keep(shell).await;
        shell.driver.take_snapshot();
        shell.listen(Some(me.clients), Some(me.links)).await?;
        let outside = signal::Outside::new(&shell.reactor, supervised)?;
        let tell = || info!("{}", shell.driver.status());
        let stopped = async move { shell.stopped.set(Some(outside.wait(&shell.reload_wake, tell).await)) };
        shell.spawn(stopped).detach();
        shell.spawn(keep_time(shell)).detach();
        shell.spawn(keep_told(shell)).detach();
        shell.spawn(keep_map(shell)).detach();
        // It is taken away again when the node stops.
        let _control = shell.control(&me.name);
        shell.listen_http(me.http).await?;
        info!("{} listens to clients on {} and to its neighbours on {}", me.name, me.clients, me.links);
        shell.work();
        shell.service.ready(shell.driver.status());
        let why = run_tasks(shell).await;
        shell.service.stopping();
        snapshot::last(shell).await;
        info!("{} stops: {why}", me.name);
        Ok(())
    };
    let life = shell.reactor.run(life, &shell);
    life.map_err(|error| RunError::System { what: "epoll", error })?
}

/// Runs the tasks until the node is to stop; says why.
///
/// `LocalExecutor::run` does the same with a second queue of 8 KB, which is of use where several threads
/// share an executor, and with a future that is polled at every wake.
async fn run_tasks(shell: &'static Shell) -> &'static str {
    loop {
        for _ in 0..TURN_TASKS {
            shell.executor.tick().await;
            if let Some(why) = shell.stopped.get() {
                return why;
            }
        }
        // Tasks that wake each other all the time must not keep sockets and timers from being looked at.
        future::yield_now().await;
    }
}

/// Starts the node and puts what the tasks share where they find it.
///
/// Not inlined: a frame of [`run`] lasts as long as the node, and what it once held is never given back.
#[inline(never)]
fn start(plan: Plan, reread: Reread) -> Result<&'static Shell, RunError> {
    let clients_max = raise_descriptor_limit();
    let driver = Driver::start(MEMORY.take(), &plan)?;
    let reactor = Reactor::new().map_err(|error| RunError::System { what: "epoll", error })?;
    Ok(Box::leak(Box::new(Shell {
        driver,
        plan: RefCell::new(plan),
        reread,
        generation: Cell::new(0),
        executor: LocalExecutor::new(),
        service: Service::of_this_process(),
        listeners: RefCell::default(),
        clients: RefCell::new(Clients::new(clients_max, reactor.bell())),
        reactor,
        links: RefCell::new(Links::default()),
        live: Live::default(),
        is_looking: Cell::new(false),
        http: HttpCounters::default(),
        snapshots: RefCell::default(),
        unread: Budget::new(UNREAD_BYTES_MAX),
        timer_at: Cell::new(Mono::NEVER),
        timer_wake: Wake::default(),
        reload_wake: Wake::default(),
        stopped: Cell::new(None),
    })))
}

/// Ends an acceptor. Its listener is closed when this is done, where dropping the task leaves that to the
/// executor's next turn.
async fn end(acceptor: Option<Task<()>>) {
    if let Some(acceptor) = acceptor {
        acceptor.cancel().await;
    }
}

/// Answers all who come, `most` at a time. When full, the connection that has longest not asked for anything makes way; where
/// all have asked, newcomers wait with the kernel. `accept` gives nothing when it failed.
async fn answer_few<
    S: 'static,
    A: Future<Output = Option<S>>,
    D: Future<Output = io::Result<()>> + 'static,
>(
    shell: &'static Shell,
    most: usize,
    accept: impl Fn() -> A,
    answer: impl Fn(S, Ticket) -> D,
) {
    let silent = Rc::new(Silent::default());
    // Each task that answers holds one.
    let places = Rc::new(());
    loop {
        if Rc::strong_count(&places) > most {
            match silent.oldest() {
                Some(since) => shell.reactor.sleep_until(since + Duration::from_millis(SILENT_MS_MIN)).await,
                None => {
                    shell.reactor.sleep_ms(ACCEPT_PAUSE_MS).await;
                    continue;
                }
            }
        }
        let Some(stream) = accept().await else {
            shell.reactor.sleep_ms(ACCEPT_PAUSE_MS).await;
            continue;
        };
        if Rc::strong_count(&places) > most {
            silent.push_out();
        }
        let (place, answered) = (places.clone(), answer(stream, Ticket::new(&silent)));
        let task = async move {
            if let Err(error) = answered.await {
                shell.driver.count(Refused::Ask);
                debug!("somebody who asked how the node is was not answered: {error}");
            }
            drop(place);
        };
        shell.spawn(task).detach();
        // Whoever has come before is read from before the next one may push it out.
        shell.reactor.next_turn().await;
    }
}

/// Connections that have not sent a whole request, the oldest first: since when, and what tells each to make way.
#[derive(Default)]
struct Silent(RefCell<VecDeque<(Instant, Rc<Wake>)>>);

impl Silent {
    fn oldest(&self) -> Option<Instant> {
        self.0.borrow().front().map(|(since, _)| *since)
    }

    fn push_out(&self) {
        if let Some((_, oldest)) = self.0.borrow_mut().pop_front() {
            oldest.wake();
        }
    }
}

/// A connection's place among those that have not asked yet.
struct Ticket {
    silent: Rc<Silent>,
    makes_way: Rc<Wake>,
}

impl Ticket {
    fn new(silent: &Rc<Silent>) -> Self {
        let makes_way = Rc::new(Wake::default());
        silent.0.borrow_mut().push_back((Instant::now(), makes_way.clone()));
        Ticket { silent: silent.clone(), makes_way }
    }

    /// Reads a request, unless this connection has to make way first.
    async fn read<T>(self, read: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let pushed_out = async {
            self.makes_way.wait().await;
            Err(io::ErrorKind::ConnectionAborted.into())
        };
        future::or(read, pushed_out).await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.silent.0.borrow_mut().retain(|(_, other)| !Rc::ptr_eq(other, &self.makes_way));
    }
}

impl Shell {
    /// Gives a future a task. All are one type to the executor, whose code is there once: a task of each type would be 3 KB.
    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Task<()> {
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(future);
        self.executor.spawn(future)
    }

    /// What comes in time, or else an error.
    async fn in_time<T>(&'static self, ms: u64, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let late = async {
            self.reactor.sleep_ms(ms).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        future::or(done, late).await
    }

    /// A listener of this runtime.
    fn listener(
        &'static self,
        member: &'static str,
        address: SocketAddr,
    ) -> Result<Watched<TcpListener>, RunError> {
        let listener = crate::shell::listen::listen(&self.service, member, address)?;
        self.reactor.watch(listener).map_err(|error| RunError::Bind { member, address, error })
    }

    /// Listens on the addresses that are given, instead of those before.
    async fn listen(
        &'static self,
        clients: Option<SocketAddr>,
        links: Option<SocketAddr>,
    ) -> Result<(), RunError> {
        if let Some(address) = clients {
            // The old one goes first: the new address may hold the old one, as 0.0.0.0 holds them all.
            let old = self.listeners.borrow_mut().clients.take();
            end(old).await;
            let listener = self.listener(CLIENTS, address)?;
            let task = self.spawn(clients::accept(self, listener));
            self.listeners.borrow_mut().clients = Some(task);
        }
        if let Some(address) = links {
            let old = self.listeners.borrow_mut().links.take();
            end(old).await;
            let listener = self.listener(LINKS, address)?;
            let task = self.spawn(links::accept(self, listener));
            self.listeners.borrow_mut().links = Some(task);
        }
        Ok(())
    }

    /// Answers on this address over HTTP, instead of the one before, if on any.
    async fn listen_http(&'static self, address: Option<SocketAddr>) -> Result<(), RunError> {
        let old = self.listeners.borrow_mut().http.take();
        end(old).await;
        if let Some(address) = address {
            let member = "http";
            let listener = TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                self.reactor.watch(listener)
            });
            let listener = listener.map_err(|error| RunError::Bind { member, address, error })?;
            let name = self
                .driver
                .with_node(|node| String::from_utf8_lossy(node.names().name(node.me())).into_owned());
            if cfg!(feature = "page") {
                info!("{name} shows itself at http://{address}/ and its figures at /metrics");
            } else {
                info!("{name} shows its figures at http://{address}/metrics");
            }
            let task = self.spawn(http::serve(self, listener));
            self.listeners.borrow_mut().http = Some(task);
        }
        Ok(())
    }

    /// What the driver does not know of the node.
    fn facts(&self) -> Facts {
        let [http_answered, http_denied, http_refused] = self.http.all();
        let (watchers_lost, watchers_refused) = self.live.lost_and_refused();
        Facts {
            http_answered,
            http_denied,
            http_refused,
            watchers: self.live.watchers(),
            watchers_lost,
            watchers_refused,
            ..self.clients.borrow().facts()
        }
    }

    /// Answers those on the board who ask how the node is.
    fn control(&'static self, name: &str) -> Option<Control> {
        let (control, listener) = Control::listen(name)?;
        self.spawn(control::serve(self, self.reactor.watch(listener).ok()?)).detach();
        Some(control)
    }

    /// Takes the map as it is now. If it cannot be taken the old one stays in force.
    async fn reload(&'static self) -> Result<(), String> {
        let plan = (self.reread)()?;
        let (old, new) = {
            let old = self.plan.borrow();
            (old.nodes[old.me].clone(), plan.nodes[plan.me].clone())
        };
        let clients = (old.clients != new.clients).then_some(new.clients);
        let links = (old.links != new.links).then_some(new.links);
        let mut listening = self.listen(clients, links).await.map_err(|error| error.to_string());
        if listening.is_ok() && old.http != new.http {
            listening = self.listen_http(new.http).await.map_err(|error| error.to_string());
        }
        let taken = listening.and_then(|()| self.driver.reload(&plan).map_err(|error| error.to_string()));
        if let Err(why) = taken {
            let back = self.listen(clients.map(|_| old.clients), links.map(|_| old.links)).await;
            if old.http != new.http {
                let _ = self.listen_http(old.http).await;
            }
            return Err(back.err().map_or(why.clone(), |error| format!("{why}; and then {error}")));
        }
        let snapshots_stay = self.plan.borrow().snapshot_minutes == plan.snapshot_minutes;
        *self.plan.borrow_mut() = plan;
        self.generation.set(self.generation.get().wrapping_add(1));
        // What the map says is told first of all, and only then.
        self.live.renew();
        self.work();
        if !snapshots_stay {
            snapshot::keep(self).await;
        }
        Ok(())
    }

    /// Carries out what the node has decided about links, and keeps the timer right.
    fn work(&'static self) {
        while let Some(work) = self.driver.take_work() {
            match work {
                Work::Cut(id) => self.links.borrow_mut().close(id),
                Work::Dial(node) => self.spawn(links::dial(self, node)).detach(),
                Work::Wake(wakes) => self.links.borrow().wake(wakes),
            }
        }
        if self.driver.wake_at() < self.timer_at.get() {
            self.timer_wake.wake();
        }
    }

    /// Keeps the timer right after what can have warned and nothing else.
    fn warned(&self) {
        if self.driver.warns_at() < self.timer_at.get() {
            self.timer_wake.wake();
        }
    }

    /// A connection could not be accepted.
    fn accept_failed(&self, member: &str, error: &io::Error) {
        self.driver.accept_failed(member, error);
        self.warned();
    }
}

/// Calls the node when the clock says so; wakes for nothing else.
async fn keep_time(shell: &'static Shell) {
    loop {
        let at = shell.driver.wake_at();
        shell.timer_at.set(at);
        let due = async {
            match shell.driver.clock().instant(at) {
                Some(instant) => shell.reactor.sleep_until(instant).await,
                None => future::pending().await,
            };
        };
        future::or(due, shell.timer_wake.wait()).await;
        shell.driver.tick();
        shell.work();
    }
}

/// Tells the service manager that the node is alive, and how it is.
async fn keep_told(shell: &'static Shell) {
    let service = &shell.service;
    let Some(every) = service.every() else { return };
    // Links come up within the first second, which is worth an early word.
    let mut pause = every.min(Duration::from_millis(STATUS_FIRST_MS));
    loop {
        shell.reactor.sleep(pause).await;
        service.tick(shell.driver.status());
        pause = every;
    }
}

/// Reads the map again when it is asked to.
async fn keep_map(shell: &'static Shell) {
    let service = &shell.service;
    loop {
        shell.reload_wake.wait().await;
        service.reloading();
        if let Err(why) = shell.reload().await {
            shell.driver.count(Refused::Map);
            error!("the map stays as it was: {why}");
        }
        service.ready(shell.driver.status());
    }
}
