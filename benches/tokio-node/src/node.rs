//! The half of the shell that waits, on tokio: the same tasks as `herd::shell::smol` has, one thread, one owner.
//!
//! Tuned as far as tokio lets one: `current_thread`, only the drivers that are used, sockets read when they are ready and
//! into shared buffers, answers in one write, tasks of no more than they need.
//!
//! It keeps no snapshots: a map that asks for them (`snapshot_minutes`) is taken, and that member passed over.
//!
//! Invariant: no borrow of the node or of the shared buffers is held over an `.await`.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Duration;

use futures_lite::future::{or, pending};
use herd::proto::time::Mono;
use herd::shell::budget::Budget;
use herd::shell::driver::{Driver, Memory, Work};
use herd::shell::limits::{STATUS_FIRST_MS, UNREAD_BYTES_MAX};
use herd::shell::listen::raise_descriptor_limit;
use herd::shell::service::{CLIENTS, LINKS, Service};
use herd::shell::wake::Wake;
use herd::shell::{Plan, Reread, RunError};
use log::{error, info};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, sleep_until};

use crate::clients::{self, Clients};
use crate::control;
use crate::links::{self, Links};
use crate::stop::{Reload, Stop, Told};
use crate::task::Task;

/// The node's memory: all zero, so it is no part of the program file, and resident only as touched.
static MEMORY: static_cell::ConstStaticCell<Memory> = static_cell::ConstStaticCell::new(Memory::new());

/// The blocking pool is not used; were it, one thread with a small stack would have to do.
const BLOCKING_THREADS_MAX: usize = 1;
const STACK_BYTES: usize = 64 * 1024;

/// Everything that the tasks share. It lives as long as the process.
pub(crate) struct Shell {
    pub(crate) driver: Driver,
    pub(crate) plan: RefCell<Plan>,
    reread: Reread,
    /// Rises when the map is read again, which gives nodes other numbers.
    pub(crate) generation: Cell<u32>,
    service: Service,
    listeners: RefCell<Listeners>,
    pub(crate) clients: RefCell<Clients>,
    pub(crate) links: RefCell<Links>,
    /// Answers that clients have not read yet.
    pub(crate) unread: Budget,
    /// When the timer task wakes next, and what wakes it before that.
    timer_at: Cell<Mono>,
    timer_wake: Wake,
    /// Why the node is to stop, and what says so to the root.
    stopped: Cell<Option<&'static str>>,
    stop_wake: Wake,
}

/// The acceptors: each holds its listener.
#[derive(Default)]
struct Listeners {
    clients: Option<Task>,
    links: Option<Task>,
}

/// Runs the node until it is told to stop.
pub(crate) fn run(plan: Plan, reread: Reread) -> Result<(), RunError> {
    let me = plan.nodes[plan.me].clone();
    let supervised = plan.supervised;
    let shell = start(plan, reread)?;
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|error| RunError::System { what: "the runtime", error })?;
    let life = async {
        shell.listen(Some(me.clients), Some(me.links)).await?;
        let stop = Stop::new(supervised)?;
        let reload = Reload::new()?;
        spawn_local(async move {
            shell.stopped.set(Some(stop.wait().await));
            shell.stop_wake.wake();
        });
        spawn_local(keep_time(shell));
        spawn_local(keep_told(shell));
        spawn_local(keep_map(shell, reload));
        let mut told = Told::new()?;
        spawn_local(async move {
            loop {
                told.next().await;
                info!("{}", shell.driver.status());
            }
        });
        let _control = control::serve(shell, &me.name);
        info!("{} listens to clients on {} and to its neighbours on {}", me.name, me.clients, me.links);
        shell.work();
        shell.service.ready(shell.driver.status());
        // The root is polled at every wake, so it waits for no more than this.
        shell.stop_wake.wait().await;
        shell.service.stopping();
        info!("{} stops: {}", me.name, shell.stopped.get().unwrap_or_default());
        Ok(())
    };
    LocalSet::new().block_on(&runtime, life)
}

/// Starts the node and puts what the tasks share where they find it.
#[inline(never)]
fn start(plan: Plan, reread: Reread) -> Result<&'static Shell, RunError> {
    let clients_max = raise_descriptor_limit();
    let driver = Driver::start(MEMORY.take(), &plan)?;
    Ok(Box::leak(Box::new(Shell {
        driver,
        plan: RefCell::new(plan),
        reread,
        generation: Cell::new(0),
        service: Service::of_this_process(),
        listeners: RefCell::default(),
        clients: RefCell::new(Clients::new(clients_max)),
        links: RefCell::new(Links::default()),
        unread: Budget::new(UNREAD_BYTES_MAX),
        timer_at: Cell::new(Mono::NEVER),
        timer_wake: Wake::default(),
        stopped: Cell::new(None),
        stop_wake: Wake::default(),
    })))
}

impl Shell {
    fn bind(&self, member: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
        let listener = herd::shell::listen::listen(&self.service, member, address)?;
        TcpListener::from_std(listener).map_err(|error| RunError::Bind { member, address, error })
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
            let task = Task::start(clients::accept(self, self.bind(CLIENTS, address)?));
            self.listeners.borrow_mut().clients = Some(task);
        }
        if let Some(address) = links {
            let old = self.listeners.borrow_mut().links.take();
            end(old).await;
            let task = Task::start(links::accept(self, self.bind(LINKS, address)?));
            self.listeners.borrow_mut().links = Some(task);
        }
        Ok(())
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
        let listening = self.listen(clients, links).await.map_err(|error| error.to_string());
        let taken = listening.and_then(|()| self.driver.reload(&plan).map_err(|error| error.to_string()));
        if let Err(why) = taken {
            let back = self.listen(clients.map(|_| old.clients), links.map(|_| old.links)).await;
            return Err(back.err().map_or(why.clone(), |error| format!("{why}; and then {error}")));
        }
        *self.plan.borrow_mut() = plan;
        self.generation.set(self.generation.get().wrapping_add(1));
        self.work();
        Ok(())
    }

    /// Carries out what the node has decided about links, and keeps the timer right.
    pub(crate) fn work(&'static self) {
        while let Some(work) = self.driver.take_work() {
            match work {
                Work::Cut(id) => self.links.borrow_mut().close(id),
                Work::Dial(node) => {
                    spawn_local(links::dial(self, node));
                }
                Work::Wake(wakes) => self.links.borrow().wake(wakes),
            }
        }
        if self.driver.wake_at() < self.timer_at.get() {
            self.timer_wake.wake();
        }
    }

    /// Keeps the timer right after what can have warned and nothing else.
    pub(crate) fn warned(&self) {
        if self.driver.warns_at() < self.timer_at.get() {
            self.timer_wake.wake();
        }
    }
}

async fn end(acceptor: Option<Task>) {
    if let Some(acceptor) = acceptor {
        acceptor.end().await;
    }
}

/// Calls the node when the clock says so; wakes for nothing else.
async fn keep_time(shell: &'static Shell) {
    loop {
        let at = shell.driver.wake_at();
        shell.timer_at.set(at);
        let due = async {
            match shell.driver.clock().instant(at) {
                Some(instant) => sleep_until(instant.into()).await,
                None => pending().await,
            }
        };
        or(due, shell.timer_wake.wait()).await;
        shell.driver.tick();
        shell.work();
    }
}

/// Tells the service manager that the node is alive, and how it is.
async fn keep_told(shell: &'static Shell) {
    let Some(every) = shell.service.every() else { return };
    // Links come up within the first second, which is worth an early word.
    let mut pause = every.min(Duration::from_millis(STATUS_FIRST_MS));
    loop {
        sleep(pause).await;
        shell.service.tick(shell.driver.status());
        pause = every;
    }
}

/// Reads the map again when it is asked to.
async fn keep_map(shell: &'static Shell, mut reload: Reload) {
    loop {
        reload.next().await;
        shell.service.reloading();
        if let Err(why) = shell.reload().await {
            error!("the map stays as it was: {why}");
        }
        shell.service.ready(shell.driver.status());
    }
}
